#include "nn/loss.h"

#include <algorithm>
#include <cmath>

namespace heed::nn {

float Sigmoid(float z) {
  // The exponent is never positive: no overflow at either end.
  const float e = std::exp(-std::abs(z));
  return z >= 0.0f ? 1.0f / (1.0f + e) : e / (1.0f + e);
}

double BceWithLogits(ConstMat logits, std::span<const float> labels, std::span<const float> weights,
                     std::span<const float> task_weights, Mat d_logits) {
  const size_t T = logits.cols;
  const bool by_task = T > 1 && weights.size() == logits.rows * T;
  double total = 0.0;
  for (const float w : weights) total += static_cast<double>(w);
  if (by_task) total /= static_cast<double>(T);
  if (weights.empty()) total = static_cast<double>(logits.rows);
  const double share = total > 0.0 ? 1.0 / total : 0.0;
  double loss = 0.0;
  for (size_t n = 0; n < logits.rows; ++n) {
    for (size_t t = 0; t < T; ++t) {
      const size_t at = by_task ? n * T + t : n;
      const double weight = share * (weights.empty() ? 1.0 : static_cast<double>(weights[at]));
      const float y = labels[n * T + t], z = logits.Row(n)[t];
      float& d = d_logits.Row(n)[t];
      d = 0.0f;
      if (std::isnan(y) || weight == 0.0) continue;
      const double factor = weight * static_cast<double>(task_weights[t]);
      const double stable = static_cast<double>(std::max(z, 0.0f) - z * y) +
                            std::log1p(std::exp(-std::abs(static_cast<double>(z))));
      loss += factor * stable;
      d = static_cast<float>(factor) * (Sigmoid(z) - y);
    }
  }
  return loss;
}

}  // namespace heed::nn
