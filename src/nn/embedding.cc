#include "nn/embedding.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace heed::nn {
namespace {

constexpr size_t kAhead = 8;  // lookups in flight, as in kernels/simd.cc

}  // namespace

void RowGradient::Start(size_t table_rows, size_t width) {
  for (const uint32_t row : rows_) slot_[row] = 0;
  rows_.clear();
  sums_.clear();
  if (slot_.size() < table_rows) slot_.resize(table_rows, 0);
  width_ = width;
}

void RowGradient::Add(const uint32_t* rows, size_t row_step, size_t column, ConstMat g) {
  slots_of_batch_.resize(g.rows);
  for (size_t i = 0; i < g.rows; ++i) {
    if (i + kAhead < g.rows) __builtin_prefetch(&slot_[rows[(i + kAhead) * row_step]], 1);
    uint32_t& slot = slot_[rows[i * row_step]];
    if (slot == 0) {
      rows_.push_back(rows[i * row_step]);
      slot = static_cast<uint32_t>(rows_.size());
    }
    slots_of_batch_[i] = slot - 1;
  }
  sums_.resize(rows_.size() * width_, 0.0f);
  kernels::Active().scatter_add(g.data, g.stride, slots_of_batch_.data(), g.rows, g.cols,
                                sums_.data() + column, width_);
}

double RowGradient::Squares() const {
  return static_cast<double>(kernels::Active().sum_squares(sums_.data(), sums_.size()));
}

EmbeddingTable::EmbeddingTable(const TableShape& shape) : shape_(shape) {
  Admit(kAbsent);  // the two shared rows, drawn like the others
  Admit(kUnseen);
  keys_.assign(2, 0);
}

uint32_t EmbeddingTable::Admit(uint64_t key) {
  const auto row = static_cast<uint32_t>(keys_.size());
  keys_.push_back(key);
  const size_t width = shape_.width;
  values_.resize(keys_.size() * width, 0.0f);
  moment1_.resize(keys_.size() * width, 0.0f);
  moment2_.resize(keys_.size() * width, 0.0f);
  squares_.resize(keys_.size(), 0.0f);
  Random random(MixHash(shape_.seed + MixHash(key + (row < 2 ? 0 : 2))));
  // Uniform of the wanted deviation; a normal draw would cost ten times as much and train the same.
  const double limit = std::sqrt(3.0) * static_cast<double>(shape_.init_deviation);
  float* values = values_.data() + row * width;
  for (size_t i = 0; i + shape_.zero_tail < width; ++i) {
    values[i] = static_cast<float>(random.Uniform(-limit, limit));
  }
  return row;
}

void EmbeddingTable::Rows(const uint64_t* keys, size_t key_step, size_t n, uint32_t* rows,
                          size_t row_step) const {
  for (size_t i = 0; i < n; ++i) {
    if (i + kAhead < n) map_.Prefetch(keys[(i + kAhead) * key_step]);
    const uint64_t key = keys[i * key_step];
    uint32_t row = kAbsent;
    if (key != 0) {
      const KeyMap::Entry* entry = map_.Find(key);
      row = entry == nullptr || entry->row == 0 ? kUnseen : entry->row;
    }
    rows[i * row_step] = row;
  }
}

void EmbeddingTable::CountRows(const uint64_t* keys, size_t key_step, size_t n, uint32_t* rows,
                               size_t row_step) {
  for (size_t i = 0; i < n; ++i) {
    if (i + kAhead < n) map_.Prefetch(keys[(i + kAhead) * key_step]);
    const uint64_t key = keys[i * key_step];
    uint32_t row = kAbsent;
    if (key != 0) {
      KeyMap::Entry& entry = map_.FindOrInsert(key);
      if (entry.row == 0 && ++entry.count >= shape_.admit_after) entry.row = Admit(key);
      row = entry.row == 0 ? kUnseen : entry.row;
    }
    rows[i * row_step] = row;
  }
}

void EmbeddingTable::Gather(const uint32_t* rows, size_t row_step, size_t column, Mat out) const {
  assert(column + out.cols <= shape_.width);
  kernels::Active().gather(values_.data() + column, shape_.width, rows, row_step, out.rows,
                           out.cols, out.data, out.stride);
}

void EmbeddingTable::Apply(const Update& update, const RowGradient& gradient) {
  const kernels::Table& k = kernels::Active();
  const size_t width = shape_.width;
  const kernels::AdamStep adam = AdamStepOf(update);
  for (size_t i = 0; i < gradient.rows().size(); ++i) {
    const size_t row = gradient.rows()[i];
    const float* g = gradient.Of(i);
    float* value = values_.data() + row * width;
    if (update.rule == Rule::kAdam) {
      k.adam(value, moment1_.data() + row * width, moment2_.data() + row * width, g, width, adam);
    } else {
      float& sum = squares_[row];
      sum += k.sum_squares(g, width) / static_cast<float>(width);
      const float rate = update.rate / (std::sqrt(sum) + update.epsilon);
      k.scale(1.0f - rate * update.l2, value, width);
      k.axpy(-rate, g, value, width);
    }
  }
}

std::vector<EmbeddingTable::Waiting> EmbeddingTable::waiting() const {
  std::vector<Waiting> waiting;
  for (const KeyMap::Entry& entry : map_.slots()) {
    if (entry.key != 0 && entry.row == 0) waiting.push_back({entry.key, entry.count});
  }
  std::sort(waiting.begin(), waiting.end(),
            [](const Waiting& a, const Waiting& b) { return a.key < b.key; });
  return waiting;
}

Status EmbeddingTable::Restore(Stored stored) {
  const size_t n = stored.keys.size(), width = shape_.width;
  const bool sizes = n >= 2 && stored.keys[0] == 0 && stored.keys[1] == 0 &&
                     stored.values.size() == n * width && stored.moment1.size() == n * width &&
                     stored.moment2.size() == n * width && stored.squares.size() == n;
  if (!sizes) return Corruption("table: sizes disagree");
  KeyMap map;
  for (size_t row = 2; row < n; ++row) {
    if (stored.keys[row] == 0) return Corruption("table: key 0 has a row of its own");
    KeyMap::Entry& entry = map.FindOrInsert(stored.keys[row]);
    if (entry.row != 0) return Corruption("table: a key comes twice");
    entry.row = static_cast<uint32_t>(row);
    entry.count = shape_.admit_after;
  }
  uint64_t last = 0;
  for (const Waiting& waiting : stored.waiting) {
    const bool fits = waiting.key > last && waiting.count > 0 && waiting.count < shape_.admit_after;
    if (!fits) return Corruption("table: waiting keys out of order or counted past admission");
    last = waiting.key;
    KeyMap::Entry& entry = map.FindOrInsert(waiting.key);
    if (entry.row != 0) return Corruption("table: a key waits and has a row");
    entry.count = waiting.count;
  }
  map_ = std::move(map);
  keys_ = std::move(stored.keys);
  values_ = std::move(stored.values);
  moment1_ = std::move(stored.moment1);
  moment2_ = std::move(stored.moment2);
  squares_ = std::move(stored.squares);
  return {};
}

}  // namespace heed::nn
