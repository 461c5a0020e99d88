// How each number was distributed over the training rows, kept with a ranker so that what it is served can be
// compared (train/progressive.h): bins of about equal share, by quantiles.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/status.h"

namespace heed::model {

// Letters: D numbers of a schema, B bins. Plain data; const members are safe from many threads.
struct NumericBins {
  static constexpr size_t kBins = 10;           // B
  static constexpr size_t kShares = kBins + 1;  // the last one: rows without the number

  // Of each column (NaN: absent), by its own quantiles. A value so frequent that it is several quantiles
  // leaves the bins between them empty. O(n log n) a column.
  static NumericBins Of(std::vector<std::vector<float>> columns);

  bool empty() const { return shares.empty(); }  // not known, as in files of earlier builds
  // Where a value of number i is counted: bin b holds what is above edge b - 1 and not above edge b.
  size_t BinOf(size_t i, float value) const;
  std::span<const float> SharesOf(size_t i) const {
    return std::span(shares).subspan(i * kShares, kShares);
  }
  // kCorruption unless they are those of `numerics` numbers.
  Status Check(size_t numerics) const;

  std::vector<float> edges;   // [D, B - 1], ascending in each row
  std::vector<float> shares;  // [D, B + 1], each row sums to 1
};

}  // namespace heed::model
