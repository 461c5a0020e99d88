// Embedding tables without collisions, and the gradient of the rows a batch touched.
//
// Row 0 is the absent key's (key 0), row 1 the unseen keys'. A key gets a row of its own when it has
// been counted `admit_after` times; before that it reads and trains row 1, which is what a key never
// seen in training will read, too. A new row's numbers are drawn uniformly from (seed, key),
// so they do not depend on the order in which keys arrive.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
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
class RowGradient {
 public:
  void Start(size_t table_rows, size_t width);  // empty; keeps memory
  // For i < n: adds row i of `g` to columns column .. column + g.cols - 1 of rows[i * row_step].
  void Add(const uint32_t* rows, size_t row_step, size_t column, ConstMat g);
  const std::vector<uint32_t>& rows() const { return rows_; }
  const float* Of(size_t i) const { return sums_.data() + i * width_; }
  double Squares() const;  // of all sums

 private:
  size_t width_ = 0;
  std::vector<uint32_t> rows_;
  std::vector<uint32_t> slot_;  // by table row: 1 + index into rows_, 0 when untouched
  std::vector<uint32_t> slots_of_batch_;
  Floats sums_;  // [rows_, width]
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

  // out[i] = the first out.cols numbers, from `column` on, of rows[i * row_step].
  void Gather(const uint32_t* rows, size_t row_step, size_t column, Mat out) const;
  const float* Row(uint32_t row) const { return values_.data() + row * shape_.width; }
  size_t rows() const { return keys_.size(); }
  uint32_t width() const { return shape_.width; }
  const TableShape& shape() const { return shape_; }

  // Touched rows only. Adam is "lazy": moments of untouched rows stand still, and the bias
  // correction follows the global step (as PyTorch's SparseAdam). Adagrad is row-wise: one sum per
  // row, of the mean square of its gradient. L2 acts on touched rows.
  void Apply(const Update& update, const RowGradient& gradient);

  // For files: keys by row (0 for the first two), and the counts of keys still waiting.
  struct Waiting {
    uint64_t key = 0;
    uint32_t count = 0;
  };
  const std::vector<uint64_t>& keys() const { return keys_; }
  std::vector<Waiting> waiting() const;  // ascending by key
  const Floats& values() const { return values_; }
  const Floats& moment1() const { return moment1_; }
  const Floats& moment2() const { return moment2_; }
  const Floats& squares() const { return squares_; }
  struct Stored {
    std::vector<uint64_t> keys;
    std::vector<Waiting> waiting;
    Floats values, moment1, moment2, squares;
  };
  // kCorruption when sizes disagree or a key comes twice.
  Status Restore(Stored stored);

 private:
  uint32_t Admit(uint64_t key);

  TableShape shape_;
  KeyMap map_;
  std::vector<uint64_t> keys_;         // by row
  Floats values_, moment1_, moment2_;  // [rows, width]
  Floats squares_;                     // [rows]: row-wise Adagrad
};

}  // namespace heed::nn
