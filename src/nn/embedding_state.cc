// What of a table is kept and given back: whole, or what changed since.
#include <algorithm>
#include <utility>

#include "nn/embedding.h"

namespace heed::nn {

void EmbeddingTable::TrackChanges(bool track) {
  if (track && !changed_.empty()) {
    (void)TakeChanged();
  } else {
    changed_.assign(track ? rows_ : 0, 0);
  }
}

std::vector<uint32_t> EmbeddingTable::TakeChanged() {
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < changed_.size(); ++row) {
    if ((changed_[row] & kUntaken) == 0) continue;
    rows.push_back(row);
    changed_[row] &= static_cast<uint8_t>(~kUntaken);
  }
  return rows;
}

void EmbeddingTable::TakePlaceOf(const EmbeddingTable& replaced, EmbeddingTable* original) {
  assert(changed_.size() == rows_ && original->changed_.size() == rows_);
  for (size_t row = 0; row < rows_; ++row) {
    const bool changed = row >= replaced.rows_ || (replaced.changed_[row] & kUntaken) != 0 ||
                         (original->changed_[row] & kUncopied) != 0;
    changed_[row] = changed ? kUntaken : 0;
    original->changed_[row] &= static_cast<uint8_t>(~kUncopied);
  }
}

void EmbeddingTable::ForgetCopies() {
  for (uint8_t& changed : changed_) changed |= kUncopied;
}

EmbeddingTable::Change EmbeddingTable::ChangeOf(std::vector<uint32_t> rows) const {
  Change change{.table_rows = rows_,
                .moments = !moment1_.empty(),
                .squares = !squares_.empty(),
                .ages = !counted_at_.empty(),
                .rows = std::move(rows),
                .now = {}};
  const std::vector<uint64_t> all_keys = row_keys_.empty() ? keys() : row_keys_;
  const auto take = [&](const Floats& from, size_t n, Floats* to) {
    if (from.empty()) return;
    to->resize(change.rows.size() * n);
    for (size_t i = 0; i < change.rows.size(); ++i) {
      std::copy_n(from.data() + change.rows[i] * n, n, to->data() + i * n);
    }
  };
  for (const uint32_t row : change.rows) {
    change.now.keys.push_back(all_keys[row]);
    if (!counted_at_.empty()) change.now.counted_at.push_back(counted_at_[row]);
  }
  change.now.waiting = waiting();
  take(values_, shape_.width, &change.now.values);
  take(moment1_, shape_.width, &change.now.moment1);
  take(moment2_, shape_.width, &change.now.moment2);
  take(squares_, 1, &change.now.squares);
  return change;
}

Status EmbeddingTable::ApplyChange(Change change) {
  const size_t n = change.rows.size(), width = shape_.width;
  const bool sizes = change.table_rows >= rows_ && change.table_rows - rows_ <= n &&
                     change.now.keys.size() == n && change.now.values.size() == n * width &&
                     (n == 0 || change.rows.back() < change.table_rows);
  if (!sizes) return Corruption("table: a change's sizes disagree");
  for (size_t i = 0; i + 1 < n; ++i) {
    if (change.rows[i] >= change.rows[i + 1]) return Corruption("table: changed rows out of order");
  }
  // Every row that is new has to be among the changed ones, which are ascending.
  if (const size_t added = change.table_rows - rows_;
      added > 0 && change.rows[n - added] != rows_) {
    return Corruption("table: a new row is left out");
  }
  Stored all{.keys = keys(),
             .waiting = std::move(change.now.waiting),
             .values = values_,
             .moment1 = moment1_,
             .moment2 = moment2_,
             .squares = squares_,
             .counted_at = counted_at_};
  all.keys.resize(change.table_rows, 0);
  bool fits = true;
  const auto put = [&](bool has, const auto& from, size_t each, auto* to) {
    fits = fits && from.size() == (has ? n * each : 0) && (has || to->empty());
    if (!fits || !has) return;
    to->resize(change.table_rows * each);  // state that this table does not have yet began as zeros
    for (size_t i = 0; i < n; ++i) {
      std::copy_n(from.data() + i * each, each, to->data() + change.rows[i] * each);
    }
  };
  put(true, change.now.keys, 1, &all.keys);
  put(true, change.now.values, width, &all.values);
  put(change.moments, change.now.moment1, width, &all.moment1);
  put(change.moments, change.now.moment2, width, &all.moment2);
  put(change.squares, change.now.squares, 1, &all.squares);
  put(change.ages, change.now.counted_at, 1, &all.counted_at);
  if (!fits) return Corruption("table: a change's sizes disagree");
  return Restore(std::move(all));
}

Status EmbeddingTable::Restore(Stored stored) {
  const size_t n = stored.keys.size(), width = shape_.width;
  const auto full = [](const auto& state, size_t size) {
    return state.empty() || state.size() == size;
  };
  const bool sizes = n >= 2 && stored.keys[0] == 0 && stored.keys[1] == 0 &&
                     stored.values.size() == n * width && full(stored.moment1, n * width) &&
                     stored.moment1.size() == stored.moment2.size() && full(stored.squares, n) &&
                     full(stored.counted_at, n);
  if (!sizes) return Corruption("table: sizes disagree");
  KeyMap map;
  map.Reserve(n + stored.waiting.size());
  std::vector<uint32_t> free;
  for (size_t row = n; row-- > 2;) {
    if (stored.keys[row] != 0) continue;
    if (stored.counted_at.empty()) return Corruption("table: key 0 has a row of its own");
    free.push_back(static_cast<uint32_t>(row));
  }
  for (size_t row = 2; row < n; ++row) {
    if (stored.keys[row] == 0) continue;
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
  rows_ = n;
  free_ = std::move(free);
  values_ = std::move(stored.values);
  moment1_ = std::move(stored.moment1);
  moment2_ = std::move(stored.moment2);
  squares_ = std::move(stored.squares);
  counted_at_ = std::move(stored.counted_at);
  now_ = counted_at_.empty() ? 0 : *std::max_element(counted_at_.begin(), counted_at_.end());
  changed_.assign(changed_.empty() ? 0 : rows_, kChanged);
  if (!row_keys_.empty()) row_keys_ = keys();
  return {};
}

}  // namespace heed::nn
