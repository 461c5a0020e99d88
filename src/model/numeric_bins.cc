#include "model/numeric_bins.h"

#include <algorithm>
#include <cmath>

namespace heed::model {

NumericBins NumericBins::Of(std::vector<std::vector<float>> columns) {
  NumericBins out;
  for (size_t i = 0; i < columns.size(); ++i) {
    std::vector<float>& values = columns[i];
    const size_t rows = values.size();
    std::erase_if(values, [](float v) { return std::isnan(v); });
    std::sort(values.begin(), values.end());
    const size_t n = values.size();
    for (size_t b = 1; b < kBins; ++b) {
      out.edges.push_back(n == 0 ? 0.0f : values[(b * n + kBins - 1) / kBins - 1]);
    }
    std::vector<size_t> counts(kShares, 0);
    for (const float value : values) ++counts[out.BinOf(i, value)];
    counts[kBins] = rows - n;
    for (const size_t count : counts) {
      out.shares.push_back(rows == 0 ? 0.0f : static_cast<float>(count) / static_cast<float>(rows));
    }
  }
  return out;
}

size_t NumericBins::BinOf(size_t i, float value) const {
  if (std::isnan(value)) return kBins;
  const auto first = edges.begin() + static_cast<ptrdiff_t>(i * (kBins - 1));
  return static_cast<size_t>(std::lower_bound(first, first + (kBins - 1), value) - first);
}

Status NumericBins::Check(size_t numerics) const {
  if (edges.size() != numerics * (kBins - 1) || shares.size() != numerics * kShares) {
    return Corruption("numeric.edges, numeric.shares: not of the schema's numbers");
  }
  for (size_t i = 0; i < numerics; ++i) {
    const auto first = edges.begin() + static_cast<ptrdiff_t>(i * (kBins - 1));
    if (!std::is_sorted(first, first + (kBins - 1))) {
      return Corruption("numeric.edges: not ascending");
    }
    double sum = 0;
    for (const float share : SharesOf(i)) {
      if (!(share >= 0.0f)) return Corruption("numeric.shares: below 0");
      sum += static_cast<double>(share);
    }
    if (!(std::abs(sum - 1) < 1e-3)) return Corruption("numeric.shares: do not sum to 1");
  }
  return {};
}

}  // namespace heed::model
