// Finite differences as the judge of a gradient.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "nn/parameter.h"

namespace heed::nn {

// Σ a_i b_i: a loss whose gradient by `a` is `b`.
inline double Inner(const Matrix& a, const Matrix& b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += static_cast<double>(a.data()[i]) * static_cast<double>(b.data()[i]);
  }
  return sum;
}

// Every number of `values` is moved a little both ways; `loss` must change as `gradient` says. Where
// two steps give two slopes there is a kink, and nothing to compare: at most a fifth may be so.
template <typename Loss>
void ExpectSlopes(Matrix* values, const Matrix& gradient, const std::string& name, Loss loss) {
  size_t kinks = 0;
  for (size_t i = 0; i < values->size(); ++i) {
    float& value = values->data()[i];
    const float saved = value;
    const auto slope = [&](float step) {
      value = saved + step;
      const double above = loss();
      value = saved - step;
      const double below = loss();
      value = saved;
      return (above - below) / (2.0 * static_cast<double>(step));
    };
    const double wide = slope(8e-3f), narrow = slope(2e-3f);
    if (std::abs(wide - narrow) > 1e-2 * (1.0 + std::abs(wide))) {
      ++kinks;
      continue;
    }
    ASSERT_NEAR(wide, static_cast<double>(gradient.data()[i]), 1e-2 * (1.0 + std::abs(wide)))
        << name << "[" << i << "]";
  }
  EXPECT_LE(kinks, values->size() / 5 + 2) << name;
}

}  // namespace heed::nn
