// Losses of logits and of values, for several tasks at once.
#pragma once

#include <span>
#include <vector>

#include "nn/mat.h"

namespace heed::nn {

float Sigmoid(float z);

// N samples, T tasks: loss = sum_{n,t} task_weights[t] w[n,t] bce(z[n,t], y[n,t]) / mean_t sum_n w[n,t],
//   bce(z, y) = max(z, 0) - z y + log1p(exp(-|z|)).
// A label that is NaN is not known and adds nothing. weights [N, T], or [N]: alike for all tasks, or
// empty: all 1; when they sum to 0 the loss and its gradient are 0. Sets d_logits [N, T]. Summed in double, in row order.
double BceWithLogits(ConstMat logits, std::span<const float> labels, std::span<const float> weights,
                     std::span<const float> task_weights, Mat d_logits);

// Huber's loss of one column of the same samples: h(z - y / delta) with h(r) = r^2 / 2 up to |r| = 1 and
// |r| - 1/2 beyond, that is Huber's of y itself with that delta, over delta^2. Labels, weights and their mean
// as above, so a label that is NaN adds nothing. Sets d_logits[:, task].
double HuberOfUnits(ConstMat logits, size_t task, float delta, std::span<const float> labels,
                    std::span<const float> weights, float task_weight, Mat d_logits);

// h and its slope.
double Huber(double r);
double HuberSlope(double r);

}  // namespace heed::nn
