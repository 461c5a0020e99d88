#include "nn/loss.h"

#include <algorithm>
#include <cmath>

namespace heed::nn {

float Sigmoid(float z) {
  // The exponent is never positive: no overflow at either end.
  const float e = std::exp(-std::abs(z));
  return z >= 0.0f ? 1.0f / (1.0f + e) : e / (1.0f + e);
}

namespace {

// What a weight is to be multiplied with: one over their sum, of one task.
double ShareOf(std::span<const float> weights, size_t rows, bool by_task, size_t tasks) {
  double total = 0.0;
  for (const float w : weights) total += static_cast<double>(w);
  if (by_task) total /= static_cast<double>(tasks);
  if (weights.empty()) total = static_cast<double>(rows);
  return total > 0.0 ? 1.0 / total : 0.0;
}

}  // namespace

double BceWithLogits(ConstMat logits, std::span<const float> labels, std::span<const float> weights,
                     std::span<const float> task_weights, Mat d_logits) {
  const size_t T = logits.cols;
  const bool by_task = T > 1 && weights.size() == logits.rows * T;
  const double share = ShareOf(weights, logits.rows, by_task, T);
  double loss = 0.0;
  for (size_t n = 0; n < logits.rows; ++n) {
    for (size_t t = 0; t < T; ++t) {
      const size_t at = by_task ? n * T + t : n;
      const double weight = share * (weights.empty() ? 1.0 : static_cast<double>(weights[at]));
      const float y = labels[n * T + t], z = logits.Row(n)[t];
      float& d = d_logits.Row(n)[t];
      d = 0.0f;
      const double factor = weight * static_cast<double>(task_weights[t]);
      if (std::isnan(y) || factor == 0.0) continue;
      const double stable = static_cast<double>(std::max(z, 0.0f) - z * y) +
                            std::log1p(std::exp(-std::abs(static_cast<double>(z))));
      loss += factor * stable;
      d = static_cast<float>(factor) * (Sigmoid(z) - y);
    }
  }
  return loss;
}

double Huber(double r) {
  const double size = std::abs(r);
  return size <= 1.0 ? 0.5 * r * r : size - 0.5;
}

double HuberSlope(double r) { return std::clamp(r, -1.0, 1.0); }

double HuberOfUnits(ConstMat logits, size_t task, float delta, std::span<const float> labels,
                    std::span<const float> weights, float task_weight, Mat d_logits) {
  const size_t T = logits.cols;
  const bool by_task = T > 1 && weights.size() == logits.rows * T;
  const double share = ShareOf(weights, logits.rows, by_task, T);
  double loss = 0.0;
  for (size_t n = 0; n < logits.rows; ++n) {
    const size_t at = by_task ? n * T + task : n;
    const double weight = share * (weights.empty() ? 1.0 : static_cast<double>(weights[at]));
    const float y = labels[n * T + task];
    float& d = d_logits.Row(n)[task];
    d = 0.0f;
    if (std::isnan(y) || weight == 0.0) continue;
    const double r = static_cast<double>(logits.Row(n)[task]) -
                     static_cast<double>(y) / static_cast<double>(delta);
    const double factor = weight * static_cast<double>(task_weight);
    loss += factor * Huber(r);
    d = static_cast<float>(factor * HuberSlope(r));
  }
  return loss;
}

}  // namespace heed::nn
