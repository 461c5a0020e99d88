// Softmax cross-entropy over classes that exclude each other.
#pragma once

#include <cstdint>
#include <span>

#include "nn/mat.h"

namespace heed::nn {

struct ClassLossOptions {
  std::span<const float> class_weights;  // [C], >= 0; empty: all 1
  float smoothing = 0.0f;  // share of the target spread over all classes (Szegedy et al. 2016)
};

// N samples, C classes: loss = sum_n w[y_n] ce(z_n, t_n) / sum_n w[y_n], with
//   ce(z, t) = log sum_c exp(z_c) - sum_c t_c z_c,   t = (1 - smoothing) onehot(y) + smoothing / C.
// labels are below C. With no weight at all the loss and its gradient are 0. Sets d_logits [N, C].
// Summed in double, in row order.
double ClassLoss(ConstMat logits, std::span<const uint32_t> labels, const ClassLossOptions& options,
                 Mat d_logits);

}  // namespace heed::nn
