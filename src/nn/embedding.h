// Embedding tables without collisions, and the gradient of the rows a batch touched.
//
// Row 0 is the absent key's (key 0), row 1 the unseen keys'. A key gets a row of its own when it has
// been counted `admit_after` times; before that it reads and trains row 1, which is what a key never
// seen in training will read, too. A new row's numbers are drawn uniformly from (seed, key),
// so they do not depend on the order in which keys arrive.
//
// A row of width 64 that row-wise Adagrad trains takes 256 bytes, 4 of its sum, 27 to 33 of the map from
// keys, 4 when rows expire and 1 when changes are tracked (nn_test measures it). Adam's moments are there
// only once Adam has been used.
#pragma once

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/status.h"
#include "kernels/history.h"
#include "nn/compact_rows.h"
#include "nn/key_map.h"
#include "nn/mat.h"
#include "nn/optimizer.h"

namespace heed::nn {

struct TableShape {
  uint32_t width = 16;           // numbers a row
  uint32_t zero_tail = 0;        // of them, the last ones start at zero (a wide part's weights)
  uint32_t admit_after = 1;      // at least 1
  float init_deviation = 0.01f;  // standard deviation of the others
  uint64_t seed = 0;
};

// Sums of gradients by row: each row once, in the order of first touch, which is what makes a batch
// exact (an optimiser sees one gradient a row) and deterministic.
//
// A backward pass that meets rows in order may be told which of them the batch has at one place only:
// these it can update on the spot, while they are in the cache, and the result is the same. After Start
// tell of all places of the batch (StartMarks, Mark), then ask Number, then SlotOf and AddAt for those
// that are not alone, then Merge. Several threads may do so from SlotOf on, each in a lane of its own,
// whose sums are added in the order of lanes.
class RowGradient {
 public:
  static constexpr uint32_t kOnce = ~0u;
  static constexpr size_t kLanes = 4;

  void Start(size_t table_rows, size_t width);  // empty; keeps memory
  void StartMarks(size_t places);               // how many Mark will be told of
  // Rows of the table the batch began with.
  void Mark(const uint32_t* rows, size_t row_step, size_t n);
  // After all: numbers[i * step] = kOnce where rows[i * step] was marked once, else what SlotOf takes. In
  // tables of many more rows than places a few that were marked once get a number, too.
  void Number(const uint32_t* rows, size_t step, size_t n, uint32_t* numbers);
  // Of a lane, for AddAt, which must follow. Fetches the sum that will be added to.
  uint32_t SlotOf(size_t lane, uint32_t number, uint32_t row) {
    Lane& own = lanes_[lane];
    const uint32_t slot = own.SlotOf(number, row);
    own.Grow(width_);
    if (own.set[slot] != 0) {
      const float* sum = own.sums.data() + slot * width_;
      for (size_t j = 0; j < width_; j += 16) __builtin_prefetch(sum + j, 1);
    }
    return slot;
  }
  // Adds g [width] to a slot of a lane.
  void AddAt(size_t lane, uint32_t slot, const float* g) {
    Lane& own = lanes_[lane];
    float* sum = own.sums.data() + slot * width_;
    if (own.set[slot] != 0) {
      kernels::Active().axpy(1.0f, g, sum, width_);
    } else {
      own.set[slot] = 1;
      std::memcpy(sum, g, width_ * sizeof(float));
    }
  }
  void Merge();  // all lanes into the first, which is what follows
  // For i < n: adds row i of `g` to columns column .. column + g.cols - 1 of rows[i * row_step].
  void Add(const uint32_t* rows, size_t row_step, size_t column, ConstMat g);
  const std::vector<uint32_t>& rows() const { return lanes_[0].rows; }
  const float* Of(size_t i) const { return lanes_[0].sums.data() + i * width_; }
  bool Touched(size_t row) const { return Knows(places_[row]); }  // or numbered
  double Squares() const;                                         // of all sums

 private:
  // The number a batch gave to a table row. Those of earlier batches stay, told apart by their batch,
  // so that nothing is cleared.
  struct Place {
    uint32_t batch = 0;
    uint32_t number = 0;
  };
  struct alignas(64) Lane {  // a line of its own: its thread's pushes are nobody else's
    std::vector<uint32_t> rows, numbers;  // by slot
    std::vector<uint8_t> set;             // by slot: whether its sum holds anything yet
    std::vector<uint32_t> slot_of;        // by number, or kOnce; as long as asked so far
    Floats sums;                          // [rows, width], and memory of earlier batches behind
    void Grow(size_t width) {             // so that sums of all rows have a place
      const size_t wanted = rows.size() * width;
      if (sums.size() < wanted) sums.resize(std::max(wanted, 2 * sums.size()));
    }
    uint32_t SlotOf(uint32_t number, uint32_t row) {
      if (slot_of.size() <= number)
        slot_of.resize(std::max<size_t>(number + 1, 2 * slot_of.size()), kOnce);
      if (slot_of[number] == kOnce) {
        slot_of[number] = static_cast<uint32_t>(rows.size());
        rows.push_back(row);
        numbers.push_back(number);
        set.push_back(0);
      }
      return slot_of[number];
    }
  };
  bool Knows(const Place& place) const { return place.batch == batch_; }
  uint32_t NumberOf(uint32_t row) {
    Place& place = places_[row];
    if (!Knows(place)) place = {batch_, numbers_++};
    return place.number;
  }

  size_t width_ = 0;
  // Two bits a row, or for several rows when there are many more than places: marked, marked again.
  std::vector<uint64_t> marks_;
  size_t mark_mask_ = 0;
  LineVector<Place> places_;  // by table row
  uint32_t batch_ = 0;
  uint32_t numbers_ = 0;  // given out
  Lane lanes_[kLanes];
  std::vector<uint32_t> slots_of_batch_, repeated_;
};

class EmbeddingTable {
 public:
  static constexpr uint32_t kAbsent = 0, kUnseen = 1;

  EmbeddingTable() = default;
  explicit EmbeddingTable(const TableShape& shape);

  // rows[i * row_step] = the row of keys[i * key_step], i < n.
  void Rows(const uint64_t* keys, size_t key_step, size_t n, uint32_t* rows, size_t row_step) const;
  // The same, counting each key first and admitting it when its count is reached; a batch's later
  // occurrences already see a row admitted by an earlier one.
  void CountRows(const uint64_t* keys, size_t key_step, size_t n, uint32_t* rows, size_t row_step);

  // Rows and Gather in one: out[i] = the first out.cols numbers of the row of keys[i * key_step]. The
  // misses of one key's place, row and numbers overlap with those of the next keys.
  void LookUp(const uint64_t* keys, size_t key_step, Mat out) const;
  // out[i] = the first out.cols numbers, from `column` on, of rows[i * row_step].
  void Gather(const uint32_t* rows, size_t row_step, size_t column, Mat out) const;
  // Not of a table in low precision.
  const float* Row(uint32_t row) const {
    assert(precision_ == kernels::Precision::kFp32);
    const size_t at = size_t{row} * shape_.width;
    return values_.data() + at;
  }
  float* Row(uint32_t row) {
    assert(precision_ == kernels::Precision::kFp32);
    const size_t at = size_t{row} * shape_.width;
    return values_.data() + at;
  }
  // The zero_tail last numbers of a row, floats in every precision.
  const float* Tail(uint32_t row) const {
    return compact_.empty() ? Row(row) + shape_.width - shape_.zero_tail : compact_.Tail(row);
  }
  size_t rows() const { return rows_; }
  uint32_t width() const { return shape_.width; }
  const TableShape& shape() const { return shape_; }
  // Of all its arrays, as far as they are used; what they have room for beyond that is not touched, and so
  // is no memory yet.
  size_t bytes() const;

  // Touched rows only. Adam is "lazy": moments of untouched rows stand still, and the bias
  // correction follows the global step (as PyTorch's SparseAdam). Adagrad is row-wise: one sum per
  // row, of the mean square of its gradient. L2 acts on touched rows.
  // With update.all_rows every row is a touched one.
  void Apply(const Update& update, const RowGradient& gradient);

  // Room for the state of `rule` where there is none yet. Before ApplyAt.
  void PrepareState(Rule rule);
  // The same for the rows at rows[index[i] * row_step], i < n, with gradients g + index[i] * g_stride of
  // full width, on the spot. A gradient that is not finite changes nothing. Returns the sum of their
  // squares. No two of the rows may be the same. `next`: fetched from meanwhile.
  double ApplyAt(const Update& update, const uint32_t* rows, size_t row_step, const uint32_t* index,
                 size_t n, const float* g, size_t g_stride, kernels::RowFetch* next);
  // Fetches what ApplyAt changes beside the values, which whoever has just read them still has. Inlined
  // for the reason in key_map.h.
  [[gnu::always_inline]] void PrefetchState(const Update& update, uint32_t row) const {
    if (update.rule == Rule::kAdagrad) {
      __builtin_prefetch(&squares_[row], 1);
      return;
    }
    for (size_t j = 0; j < shape_.width; j += 16) {
      __builtin_prefetch(&moment1_[row * shape_.width + j], 1);
      __builtin_prefetch(&moment2_[row * shape_.width + j], 1);
    }
  }

  // Values become keep * own + (1 - keep) * other's; rows only `other` has, its later self, are taken
  // with their keys and counts. Not for tables whose rows expire.
  void MoveTowards(const EmbeddingTable& other, float keep);

  // Keeps keys by row from now on, 8 bytes each.
  void TrackKeys();
  // Of a row; 0 for the first two and for places that wait for a key. With TrackKeys.
  uint64_t KeyOf(uint32_t row) const { return row_keys_[row]; }
  // Takes over `rows` of `from`, this table's later self, and every row only that has; values and
  // keys, no optimiser's state. Both keep keys by row.
  void CopyRows(const EmbeddingTable& from, std::span<const uint32_t> rows);
  // Gives the optimiser's state back: a table to be read, at a third of the memory.
  void DropState();
  // Keeps the numbers in low precision from now on, for whoever only reads: LookUp, Gather and Tail go on,
  // CopyRows rounds what it takes over. Neither Apply nor a file is possible any more. After DropState.
  void StoreAs(kernels::Precision precision);
  kernels::Precision precision() const { return precision_; }

  // Expiry by age. From the first call on the table knows when each row was last counted, in whatever the
  // caller counts time by (steps, minutes of the events); it never falls, whatever `now` is.
  void SetClock(uint32_t now);
  // Rows last counted before `oldest` give their places to keys that come after, the lowest first: their
  // keys are as if never seen. So are all keys still waiting: who is to be admitted must reach its count
  // between two calls. Returns the rows that went, descending. Needs a clock.
  std::vector<uint32_t> Expire(uint32_t oldest);

  // Which rows change, in whatever way, the admitted and the expired included. TakeChanged gives those of
  // the time since tracking began or since the last call, ascending.
  void TrackChanges(bool track);
  std::vector<uint32_t> TakeChanged();
  // Of a copy of `original` that is to take the place of `replaced`, the copy of it that did so before: what
  // TakeChanged gives is what it would have given of `replaced`, and what has changed in `original` since
  // that was made. All three are tracked.
  void TakePlaceOf(const EmbeddingTable& replaced, EmbeddingTable* original);
  // What copies there are of this table is not known: the next to take a place has changed in every row.
  void ForgetCopies();

  // For files: keys by row (0 for the first two and for places that wait for a key), and the counts of
  // keys still waiting.
  struct Waiting {
    uint64_t key = 0;
    uint32_t count = 0;
  };
  std::vector<uint64_t> keys() const;    // made on demand
  std::vector<Waiting> waiting() const;  // ascending by key
  const Floats& values() const { return values_; }
  const Floats& moment1() const { return moment1_; }
  const Floats& moment2() const { return moment2_; }
  const Floats& squares() const { return squares_; }
  const LineVector<uint32_t>& counted_at() const { return counted_at_; }  // empty without a clock
  struct Stored {
    std::vector<uint64_t> keys;
    std::vector<Waiting> waiting;
    Floats values, moment1, moment2, squares;
    LineVector<uint32_t> counted_at;
  };
  // kCorruption when sizes disagree or a key comes twice. Each of the optimisers' states (both moments;
  // squares) may be empty, and so may counted_at; only with it rows may be without a key.
  Status Restore(Stored stored);

  // What changed, for files that hold only that: rows ascending, with everything of theirs, in a table
  // that now has `table_rows` of them.
  struct Change {
    uint64_t table_rows = 0;
    bool moments = false, squares = false, ages = false;  // whether the table has them
    std::vector<uint32_t> rows;
    Stored now;  // of these rows; all keys that wait
  };
  Change ChangeOf(std::vector<uint32_t> rows) const;
  // kCorruption, and nothing is changed, unless it fits this table.
  Status ApplyChange(Change change);

 private:
  uint32_t RowOf(uint64_t key) const {
    if (key == 0) return kAbsent;
    const KeyMap::Entry* entry = map_.Find(key);
    return entry == nullptr || entry->row == 0 ? kUnseen : entry->row;
  }
  uint32_t Admit(uint64_t key);
  void Resize(size_t rows);
  void Counted(uint32_t row) {
    // Several threads may meet a row; each writes the same.
    std::atomic_ref(counted_at_[row]).store(now_, std::memory_order_relaxed);
    if (!changed_.empty())
      std::atomic_ref(changed_[row]).store(kChanged, std::memory_order_relaxed);
  }
  // Of changed_: for TakeChanged, and for TakePlaceOf.
  static constexpr uint8_t kUntaken = 1, kUncopied = 2, kChanged = kUntaken | kUncopied;

  TableShape shape_;
  KeyMap map_;
  size_t rows_ = 0;
  std::vector<uint32_t> free_;         // places without a key, descending
  Floats values_, moment1_, moment2_;  // [rows, width]; moments: Adam's, or empty
  kernels::Precision precision_ = kernels::Precision::kFp32;
  CompactRows compact_;  // in low precision, instead of values_
  Floats squares_;       // [rows]: row-wise Adagrad's, or empty
  uint32_t now_ = 0;
  LineVector<uint32_t> counted_at_;  // [rows], or empty: no clock
  LineVector<uint8_t> changed_;      // [rows], or empty: not tracked
  std::vector<uint64_t> row_keys_;   // [rows], or empty: not kept
};

}  // namespace heed::nn
