#include "media/running_norm.h"

#include <algorithm>
#include <cmath>

namespace heed::media {

MedianAndDeviation RobustSpread(const std::vector<float>& sorted) {
  const size_t n = sorted.size();
  MedianAndDeviation out;
  out.median = (static_cast<double>(sorted[(n - 1) / 2]) + sorted[n / 2]) / 2;
  // Distances grow to both sides of the median: the next smallest is left or right of those taken.
  size_t left = (n + 1) / 2, right = left;  // taken: [left, right)
  const auto take = [&] {
    const bool lower =
        left > 0 && (right == n || out.median - sorted[left - 1] <= sorted[right] - out.median);
    return lower ? out.median - sorted[--left] : sorted[right++] - out.median;
  };
  double middle = 0, before = 0;
  for (size_t taken = 0; taken <= n / 2; ++taken) before = middle, middle = take();
  out.deviation = n % 2 == 1 ? middle : (before + middle) / 2;
  return out;
}

RunningNorm::RunningNorm(const RunningNormConfig& config)
    : config_(config), series_(kFeatureCount) {}

void RunningNorm::Apply(Moment* moment) {
  ++records_;
  moment->z = {};
  for (const MomentFeatureInfo& info : Features()) {
    Series& series = series_[static_cast<size_t>(info.feature)];
    while (!series.by_time.empty() && series.by_time.front().first + config_.window < records_) {
      const float old = series.by_time.front().second;
      series.sorted.erase(std::lower_bound(series.sorted.begin(), series.sorted.end(), old));
      series.by_time.pop_front();
    }
    const std::optional<float> value = moment->values.Get(info.feature);
    if (!value) continue;
    if (!series.sorted.empty() && series.sorted.size() >= config_.warm) {
      const MedianAndDeviation usual = RobustSpread(series.sorted);
      const double spread =
          std::max(1.4826 * usual.deviation, static_cast<double>(info.resolution));
      moment->z.SetUnbounded(info.feature, std::clamp((*value - usual.median) / spread,
                                                      -config_.limit, config_.limit));
    }
    series.by_time.emplace_back(records_, *value);
    series.sorted.insert(std::upper_bound(series.sorted.begin(), series.sorted.end(), *value),
                         *value);
  }
}

}  // namespace heed::media
