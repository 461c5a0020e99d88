#include "nn/class_loss.h"

#include <algorithm>
#include <cmath>

namespace heed::nn {

double ClassLoss(ConstMat logits, std::span<const uint32_t> labels, const ClassLossOptions& options,
                 Mat d_logits) {
  const size_t C = logits.cols;
  assert(labels.size() == logits.rows);
  const auto weight = [&](size_t n) {
    assert(labels[n] < C);
    return options.class_weights.empty() ? 1.0
                                         : static_cast<double>(options.class_weights[labels[n]]);
  };
  double total = 0.0, sum = 0.0;
  for (size_t n = 0; n < logits.rows; ++n) total += weight(n);
  const auto even = static_cast<double>(options.smoothing) / static_cast<double>(C);
  for (size_t n = 0; n < logits.rows; ++n) {
    const float* z = logits.Row(n);
    float* d = d_logits.Row(n);
    const auto top = static_cast<double>(*std::max_element(z, z + C));
    double mass = 0.0;
    for (size_t c = 0; c < C; ++c) mass += std::exp(static_cast<double>(z[c]) - top);
    const double log_mass = top + std::log(std::max(mass, 1.0));  // the largest term alone is 1
    const double share = total > 0.0 ? weight(n) / total : 0.0;
    for (size_t c = 0; c < C; ++c) {
      const double log_p = static_cast<double>(z[c]) - log_mass;
      const double target =
          even + (c == labels[n] ? 1.0 - static_cast<double>(options.smoothing) : 0.0);
      sum -= share * target * log_p;
      d[c] = static_cast<float>(share * (std::exp(log_p) - target));
    }
  }
  return sum;
}

}  // namespace heed::nn
