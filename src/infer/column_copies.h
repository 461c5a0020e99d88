// Columns of an int8 layer's input stored more than once: a few wide numbers among many small ones
// (a count beside attention outputs) lose most, and one step of 1/127 of their range shows in the
// order of candidates. c copies of a column, each shifted by 1 / c of a step and met by 1 / c of its
// weights, add up to steps c times as fine; the product itself stays what it was. (Outlier channel
// splitting: Zhao et al., ICML 2019, with evenly spread shifts.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "infer/layer.h"

namespace heed::infer {

struct ColumnCopies {
  struct Copy {
    uint32_t of = 0;     // the column
    float shift = 0.0f;  // x[K + i] = x[of] + shift
  };
  std::vector<Copy> copies;     // behind the K columns
  std::vector<uint32_t> times;  // [K]: how often each column is stored, itself counted

  size_t columns() const { return times.size() + copies.size(); }
  // Rows [n, columns()] whose first K columns are set.
  void Fill(float* x, size_t n, size_t stride) const {
    for (size_t i = 0; i < n; ++i, x += stride) {
      for (size_t c = 0; c < copies.size(); ++c) {
        x[times.size() + c] = x[copies[c].of] + copies[c].shift;
      }
    }
  }
};

// `inputs` of K columns; `weight_squares` [K]: of each column's weights in all layers that read it.
// A column's error is taken as (step |w| / times)^2 and copies are made where they take most away,
// until the best takes less than a fiftieth of the error that is left, or a quarter of K is spent.
ColumnCopies ChooseCopies(const Quantised& inputs, std::span<const double> weight_squares);

// The layer that gives of the copied columns what `plain` gives of the K, and their scales.
PlainLayer Copied(const PlainLayer& plain, const ColumnCopies& copies);
Quantised Copied(const Quantised& inputs, const ColumnCopies& copies);

}  // namespace heed::infer
