#include "nn/embedding.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>

#include "base/random.h"
#include "base/team.h"
#include "kernels/denormals.h"

namespace heed::nn {
namespace {

constexpr size_t kAhead = 8;      // rows in flight, as in kernels/simd.cc
constexpr size_t kFarAhead = 32;  // where each is one line only

// A call of memcpy for every row costs as much as the row does when it is one line.
void CopyRow(const std::byte* source, size_t bytes, float* to) {
  auto* target = reinterpret_cast<std::byte*>(to);
  size_t i = 0;
  for (; i + 64 <= bytes; i += 64) std::memcpy(target + i, source + i, 64);
  if (i < bytes) std::memcpy(target + i, source + i, bytes - i);
}

[[gnu::always_inline]] inline void FetchRow(const void* row, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) {
    __builtin_prefetch(static_cast<const std::byte*>(row) + i, 0, 2);
  }
}

}  // namespace

void RowGradient::Start(size_t table_rows, size_t width) {
  for (Lane& lane : lanes_) {
    lane.rows.clear();
    lane.numbers.clear();
    lane.set.clear();
    lane.slot_of.clear();
  }
  numbers_ = 0;
  if (places_.size() < table_rows) places_.resize(table_rows);
  if (++batch_ == 0) {  // after four thousand million batches
    std::fill(places_.begin(), places_.end(), Place{});
    batch_ = 1;
  }
  width_ = width;
}

void RowGradient::Add(const uint32_t* rows, size_t row_step, size_t column, ConstMat g) {
  Lane& lane = lanes_[0];
  slots_of_batch_.resize(g.rows);
  const size_t known = lane.rows.size();
  for (size_t i = 0; i < g.rows; ++i) {
    if (i + kAhead < g.rows) __builtin_prefetch(&places_[rows[(i + kAhead) * row_step]], 1);
    const uint32_t row = rows[i * row_step];
    slots_of_batch_[i] = lane.SlotOf(NumberOf(row), row);
  }
  lane.Grow(width_);
  std::fill(lane.set.begin() + static_cast<ptrdiff_t>(known), lane.set.end(), 1);
  if (const size_t added = lane.rows.size() - known; added > 0) {
    std::memset(lane.sums.data() + known * width_, 0, added * width_ * sizeof(float));
  }
  kernels::Active().scatter_add(g.data, g.stride, slots_of_batch_.data(), g.rows, g.cols,
                                lane.sums.data() + column, width_);
}

void RowGradient::StartMarks(size_t places) {
  // As many marks as rows, or 16 a place where that is less: of a large table one row in sixteen, at most,
  // is then taken for another, and a hundred thousand places take half a megabyte, which the second cache
  // holds.
  constexpr size_t kEach = 16, kWord = 32;
  const size_t marks = std::bit_ceil(std::max(std::min(places_.size(), kEach * places), kWord));
  mark_mask_ = marks - 1;
  marks_.assign(marks / kWord, 0);
}

void RowGradient::Mark(const uint32_t* rows, size_t row_step, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    const size_t at = rows[i * row_step] & mark_mask_, shift = at % 32 * 2;
    uint64_t& marks = marks_[at / 32];
    marks |= ((marks >> shift & 1) + 1) << shift;
  }
}

void RowGradient::Number(const uint32_t* rows, size_t step, size_t n, uint32_t* numbers) {
  // Which come twice is no more than chance: they are collected without a branch.
  repeated_.resize(n);
  size_t repeated = 0;
  for (size_t i = 0; i < n; ++i) {
    const size_t at = rows[i * step] & mark_mask_;
    numbers[i * step] = kOnce;
    repeated_[repeated] = static_cast<uint32_t>(i);
    repeated += marks_[at / 32] >> (at % 32 * 2 + 1) & 1;
  }
  for (size_t j = 0; j < repeated; ++j) {
    if (j + kFarAhead < repeated) {
      __builtin_prefetch(&places_[rows[repeated_[j + kFarAhead] * step]], 1);
    }
    const size_t i = repeated_[j] * step;
    numbers[i] = NumberOf(rows[i]);
  }
}

void RowGradient::Merge() {
  constexpr size_t kPiece = 1024;  // rows; those of a lane are all different
  Lane& all = lanes_[0];
  for (size_t l = 1; l < kLanes; ++l) {
    const Lane& lane = lanes_[l];
    const size_t n = lane.rows.size();
    slots_of_batch_.resize(n);
    for (size_t i = 0; i < n; ++i) {
      slots_of_batch_[i] = all.SlotOf(lane.numbers[i], lane.rows[i]);
    }
    all.Grow(width_);
    ParallelFor((n + kPiece - 1) / kPiece, [&](size_t piece) {
      for (size_t i = piece * kPiece; i < std::min(n, (piece + 1) * kPiece); ++i) {
        AddAt(0, slots_of_batch_[i], lane.sums.data() + i * width_);
      }
    });
  }
}

double RowGradient::Squares() const {
  constexpr size_t kPiece = size_t{1} << 16;  // numbers
  const Lane& all = lanes_[0];
  const size_t numbers = all.rows.size() * width_;
  std::vector<double> sums((numbers + kPiece - 1) / kPiece);
  ParallelFor(sums.size(), [&](size_t piece) {
    const size_t first = piece * kPiece;
    sums[piece] = static_cast<double>(
        kernels::Active().sum_squares(all.sums.data() + first, std::min(kPiece, numbers - first)));
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

EmbeddingTable::EmbeddingTable(const TableShape& shape) : shape_(shape) {
  Admit(kAbsent);  // the two shared rows, drawn like the others
  Admit(kUnseen);
}

void EmbeddingTable::Resize(size_t rows) {
  rows_ = rows;
  if (compact_.empty()) {
    values_.resize(rows * shape_.width, 0.0f);
  } else {
    compact_.Resize(rows);
  }
  if (!moment1_.empty()) moment1_.resize(values_.size(), 0.0f);
  if (!moment2_.empty()) moment2_.resize(values_.size(), 0.0f);
  if (!squares_.empty()) squares_.resize(rows, 0.0f);
  if (!counted_at_.empty()) counted_at_.resize(rows, now_);
  if (!changed_.empty()) changed_.resize(rows, kChanged);
}

uint32_t EmbeddingTable::Admit(uint64_t key) {
  auto row = static_cast<uint32_t>(rows_);
  if (free_.empty()) {
    Resize(rows_ + 1);
  } else {
    row = free_.back();
    free_.pop_back();
    Counted(row);
  }
  if (!row_keys_.empty()) {
    row_keys_.resize(rows_, 0);
    row_keys_[row] = key;
  }
  const size_t width = shape_.width;
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
  if (map_.slots().empty()) {
    for (size_t i = 0; i < n; ++i) rows[i * row_step] = RowOf(keys[i * key_step]);
    return;
  }
  // Most keys lie on the line where their probes begin. The others are left for a second pass, which
  // fetches their second lines ahead: one waited for at once would hold up those behind it.
  constexpr size_t kPiece = 1024;
  uint32_t left[kPiece];
  for (size_t first = 0; first < n; first += kPiece) {
    const size_t some = std::min(kPiece, n - first);
    const uint64_t* own = keys + first * key_step;
    uint32_t* found = rows + first * row_step;
    size_t lefts = 0;
    for (size_t i = 0; i < some; ++i) {
      if (first + i + kFarAhead < n) map_.Prefetch(own[(i + kFarAhead) * key_step]);
      const uint64_t key = own[i * key_step];
      const KeyMap::Entry& entry = map_.OnFirstLine(key);
      // A key that waits has row 0, and is unseen.
      found[i * row_step] = entry.row + (entry.row == kAbsent && key != 0 ? kUnseen : 0);
      left[lefts] = static_cast<uint32_t>(i);
      lefts += entry.key != key ? 1 : 0;
    }
    for (size_t j = 0; j < lefts; ++j) {
      if (j + kAhead < lefts) map_.PrefetchSecondLine(own[left[j + kAhead] * key_step]);
      found[left[j] * row_step] = RowOf(own[left[j] * key_step]);
    }
  }
}

void EmbeddingTable::LookUp(const uint64_t* keys, size_t key_step, Mat out) const {
  assert(out.cols <= shape_.width);
  // On their way at any time: this many places of the index, then this many rows.
  constexpr size_t kPlacesAhead = 32, kRowsAhead = 16;
  const std::byte* rows[kRowsAhead];
  const bool plain = compact_.empty();
  const size_t bytes = plain ? out.cols * sizeof(float) : compact_.row_bytes();
  const size_t n = out.rows;
  for (size_t i = 0; i < n + kPlacesAhead + kRowsAhead; ++i) {
    if (i < n) map_.Prefetch(keys[i * key_step]);
    const std::byte*& row = rows[i % kRowsAhead];
    if (i >= kPlacesAhead + kRowsAhead) {
      float* to = out.Row(i - kPlacesAhead - kRowsAhead);
      if (plain) {
        CopyRow(row, bytes, to);
      } else {
        compact_.Read(row, 0, out.cols, to);
      }
    }
    if (i >= kPlacesAhead && i - kPlacesAhead < n) {
      const uint32_t found = RowOf(keys[(i - kPlacesAhead) * key_step]);
      row = plain ? reinterpret_cast<const std::byte*>(Row(found)) : compact_.Row(found);
      FetchRow(row, bytes);
    }
  }
}

void EmbeddingTable::CountRows(const uint64_t* keys, size_t key_step, size_t n, uint32_t* rows,
                               size_t row_step) {
  // Most keys have a row, and finding those changes nothing; what is left is counted in order.
  constexpr size_t kPiece = 8192;
  const size_t pieces = (n + kPiece - 1) / kPiece;
  std::vector<uint8_t> left(pieces, 0);
  ParallelFor(pieces, [&](size_t piece) {
    const size_t first = piece * kPiece, last = std::min(n, first + kPiece);
    Rows(keys + first * key_step, key_step, last - first, rows + first * row_step, row_step);
    for (size_t i = first; i < last; ++i) {
      const uint32_t row = rows[i * row_step];
      left[piece] |= static_cast<uint8_t>(row == kUnseen);
      if (!counted_at_.empty()) Counted(row);
    }
  });
  for (size_t i = 0; i < n; ++i) {
    if (left[i / kPiece] == 0) {
      i += kPiece - 1 - i % kPiece;
      continue;
    }
    const uint64_t key = keys[i * key_step];
    if (key == 0 || rows[i * row_step] != kUnseen) continue;
    KeyMap::Entry& entry = map_.FindOrInsert(key);
    if (entry.row == 0 && ++entry.count >= shape_.admit_after) entry.row = Admit(key);
    if (entry.row != 0) rows[i * row_step] = entry.row;
  }
}

void EmbeddingTable::Gather(const uint32_t* rows, size_t row_step, size_t column, Mat out) const {
  assert(column + out.cols <= shape_.width);
  for (size_t i = 0; !compact_.empty() && i < out.rows; ++i) {
    if (i + kAhead < out.rows) {
      FetchRow(compact_.Row(rows[(i + kAhead) * row_step]), compact_.row_bytes());
    }
    compact_.Read(compact_.Row(rows[i * row_step]), column, out.cols, out.Row(i));
  }
  if (!compact_.empty()) return;
  kernels::Active().gather(values_.data() + column, shape_.width, rows, row_step, out.rows,
                           out.cols, out.data, out.stride);
}

void EmbeddingTable::PrepareState(Rule rule) {
  if (rule == Rule::kAdagrad) {
    squares_.resize(rows_, 0.0f);
  } else {
    moment1_.resize(values_.size(), 0.0f);
    moment2_.resize(values_.size(), 0.0f);
  }
}

void EmbeddingTable::Apply(const Update& update, const RowGradient& gradient) {
  PrepareState(update.rule);
  // Blocks of rows, each fetched while the one before is updated.
  constexpr std::array<uint32_t, kAhead> kEach = {0, 1, 2, 3, 4, 5, 6, 7};
  constexpr size_t kPiece = 1024;
  const auto apply = [&](const std::vector<uint32_t>& rows, const float* g, size_t g_stride) {
    ParallelFor((rows.size() + kPiece - 1) / kPiece, [&](size_t piece) {
      const kernels::FlushDenormals flush;
      kernels::RowFetch none;
      const size_t last = std::min(rows.size(), (piece + 1) * kPiece);
      for (size_t i = piece * kPiece; i < last; i += kAhead) {
        for (size_t ahead = i + kAhead; ahead < std::min(i + 2 * kAhead, last); ++ahead) {
          PrefetchState(update, rows[ahead]);
          const float* value = Row(rows[ahead]);
          for (size_t j = 0; j < shape_.width; j += 16) __builtin_prefetch(value + j, 1);
        }
        (void)ApplyAt(update, rows.data() + i, 1, kEach.data(), std::min(kAhead, last - i),
                      g + i * g_stride, g_stride, &none);
      }
    });
  };
  apply(gradient.rows(), gradient.Of(0), shape_.width);
  if (!update.all_rows) return;
  std::vector<uint32_t> others;
  for (uint32_t row = 0; row < rows(); ++row) {
    if (!gradient.Touched(row)) others.push_back(row);
  }
  const Floats zeros(shape_.width, 0.0f);
  apply(others, zeros.data(), 0);
}

double EmbeddingTable::ApplyAt(const Update& update, const uint32_t* rows, size_t row_step,
                               const uint32_t* index, size_t n, const float* g, size_t g_stride,
                               kernels::RowFetch* next) {
  const size_t width = shape_.width;
  for (size_t i = 0; i < n && !changed_.empty(); ++i)
    changed_[rows[index[i] * row_step]] = kChanged;
  if (update.rule == Rule::kAdagrad) {
    return kernels::ActiveHistory().adagrad_rows(values_.data(), squares_.data(), rows, row_step,
                                                 index, n, width, g, g_stride, update.rate,
                                                 update.epsilon, update.l2, next);
  }
  const kernels::Table& k = kernels::Active();
  const kernels::AdamStep adam = AdamStepOf(update);
  double all = 0.0;
  for (size_t i = 0; i < n; ++i) {
    const float* own = g + index[i] * g_stride;
    const float sum = k.sum_squares(own, width);
    all += static_cast<double>(sum);
    if (!std::isfinite(sum)) continue;
    const size_t at = size_t{rows[index[i] * row_step]} * width;
    k.adam(values_.data() + at, moment1_.data() + at, moment2_.data() + at, own, width, adam);
  }
  return all;
}

void EmbeddingTable::MoveTowards(const EmbeddingTable& other, float keep) {
  const kernels::Table& k = kernels::Active();
  const size_t known = values_.size();
  if (rows() != other.rows()) {
    assert(free_.empty() && other.free_.empty());
    map_ = other.map_;
    Resize(other.rows_);
    std::copy(other.values_.begin() + static_cast<ptrdiff_t>(known), other.values_.end(),
              values_.begin() + static_cast<ptrdiff_t>(known));
    if (!row_keys_.empty()) row_keys_ = keys();
  }
  std::fill(changed_.begin(), changed_.end(), kChanged);
  k.scale(keep, values_.data(), known);
  k.axpy(1.0f - keep, other.values_.data(), values_.data(), known);
}

void EmbeddingTable::TrackKeys() { row_keys_ = keys(); }

void EmbeddingTable::CopyRows(const EmbeddingTable& from, std::span<const uint32_t> rows) {
  assert(row_keys_.size() == rows_ && from.row_keys_.size() == from.rows_);
  const size_t known = rows_, width = shape_.width;
  if (known < from.rows_) {
    Resize(from.rows_);
    row_keys_.resize(from.rows_, 0);
  }
  std::vector<uint32_t> all(rows.begin(), rows.end());
  for (size_t row = known; row < rows_; ++row) all.push_back(static_cast<uint32_t>(row));
  bool left = false;  // a key that was here, as its row expired there
  for (const uint32_t row : all) {
    if (compact_.empty()) {
      std::copy_n(from.Row(row), width, values_.data() + size_t{row} * width);
    } else {
      compact_.Set(row, from.Row(row));
    }
    left = left || (row_keys_[row] != 0 && row_keys_[row] != from.row_keys_[row]);
  }
  if (left) {  // rare, and a pass over the table: expiry is one, too
    for (const uint32_t row : all) {
      if (row_keys_[row] != from.row_keys_[row]) row_keys_[row] = 0;
    }
    map_.RemoveIf([&](const KeyMap::Entry& entry) {
      return entry.row != 0 && row_keys_[entry.row] != entry.key;
    });
  }
  for (const uint32_t row : all) {
    if (row_keys_[row] == from.row_keys_[row]) continue;
    row_keys_[row] = from.row_keys_[row];
    if (row_keys_[row] != 0) map_.FindOrInsert(row_keys_[row]).row = row;
  }
}

void EmbeddingTable::DropState() {
  moment1_ = {};
  moment2_ = {};
  squares_ = {};
  counted_at_ = {};
  changed_ = {};
}

void EmbeddingTable::StoreAs(kernels::Precision precision) {
  assert(precision_ == kernels::Precision::kFp32 && moment1_.empty() && squares_.empty());
  if (precision == kernels::Precision::kFp32) return;
  CompactRows compact(precision, shape_.width, shape_.zero_tail);
  compact.Resize(rows_);
  for (uint32_t row = 0; row < rows_; ++row) compact.Set(row, Row(row));
  precision_ = precision;
  compact_ = std::move(compact);
  values_ = {};
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

size_t EmbeddingTable::bytes() const {
  const size_t floats = values_.size() + moment1_.size() + moment2_.size() + squares_.size();
  return floats * sizeof(float) + compact_.bytes() + map_.slots().size() * sizeof(KeyMap::Entry) +
         (counted_at_.size() + free_.size()) * sizeof(uint32_t) + changed_.size() +
         row_keys_.size() * sizeof(uint64_t);
}

std::vector<uint64_t> EmbeddingTable::keys() const {
  std::vector<uint64_t> keys(rows_, 0);
  for (const KeyMap::Entry& entry : map_.slots()) {
    if (entry.row != 0) keys[entry.row] = entry.key;
  }
  return keys;
}

void EmbeddingTable::SetClock(uint32_t now) {
  now_ = counted_at_.empty() ? now : std::max(now, now_);
  if (!counted_at_.empty()) return;
  counted_at_.assign(rows_, now);
  std::fill(changed_.begin(), changed_.end(), kChanged);
}

std::vector<uint32_t> EmbeddingTable::Expire(uint32_t oldest) {
  assert(!counted_at_.empty());
  const size_t before = free_.size();
  map_.RemoveIf([&](const KeyMap::Entry& entry) {
    const bool waits = entry.row == 0;
    if (!waits && counted_at_[entry.row] >= oldest) return false;
    if (!waits) free_.push_back(entry.row);
    return true;
  });
  const size_t width = shape_.width;
  for (size_t i = before; i < free_.size(); ++i) {
    const uint32_t row = free_[i];
    const auto clear = [&](Floats* of, size_t n) {
      if (!of->empty()) std::fill_n(of->data() + row * n, n, 0.0f);
    };
    clear(&values_, width);
    clear(&moment1_, width);
    clear(&moment2_, width);
    clear(&squares_, 1);
    counted_at_[row] = 0;
    if (!row_keys_.empty()) row_keys_[row] = 0;
    if (!changed_.empty()) changed_[row] = kChanged;
  }
  std::vector<uint32_t> expired(free_.begin() + static_cast<ptrdiff_t>(before), free_.end());
  std::sort(expired.begin(), expired.end(), std::greater<>());
  std::sort(free_.begin(), free_.end(), std::greater<>());
  return expired;
}

}  // namespace heed::nn
