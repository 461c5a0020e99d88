// Platt scaling: p = sigmoid(scale * logit + shift), fitted by maximum likelihood on held-out rows.
#pragma once

#include <span>

namespace heed::train {

struct Calibration {
  float scale = 1.0f, shift = 0.0f;
};

// Newton's method on a convex problem; rows with a NaN label are left out. A weak pull towards the
// identity (one row's worth) keeps separable or one-class rows finite. O(rows * ~10).
Calibration FitPlatt(std::span<const float> logits, std::span<const float> labels);

// The shift alone, for a given scale: afterwards the mean prediction is the mean label.
float FitShift(std::span<const float> logits, std::span<const float> labels, float scale);

}  // namespace heed::train
