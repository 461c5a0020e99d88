#include "nn/lbfgs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"

namespace heed::nn {
namespace {

TEST(Lbfgs, WalksRosenbrocksValleyToItsEnd) {
  std::vector<double> x = {-1.2, 1.0};
  const auto valley = [](std::span<const double> at, std::span<double> d) {
    const double a = 1.0 - at[0], b = at[1] - at[0] * at[0];
    d[0] = -2.0 * a - 400.0 * at[0] * b;
    d[1] = 200.0 * b;
    return a * a + 100.0 * b * b;
  };
  const LbfgsResult result = MinimizeLbfgs(valley, {.tolerance = 1e-10}, x);
  EXPECT_TRUE(result.converged);
  EXPECT_LT(result.steps, 100u);
  EXPECT_NEAR(x[0], 1.0, 1e-8);
  EXPECT_NEAR(x[1], 1.0, 1e-8);
  EXPECT_NEAR(result.value, 0.0, 1e-15);
}

// sum_i (1 + i)^2 (x_i - m_i)^2 / 2, stretched along its axes by up to 400.
TEST(Lbfgs, FindsTheMinimumOfAStretchedBowlFromAnywhere) {
  Random random(3);
  std::vector<double> middle(20);
  for (double& m : middle) m = random.Normal();
  const auto bowl = [&](std::span<const double> at, std::span<double> d) {
    double value = 0.0;
    for (size_t i = 0; i < at.size(); ++i) {
      const double stretch = std::pow(1.0 + static_cast<double>(i), 2), off = at[i] - middle[i];
      value += 0.5 * stretch * off * off;
      d[i] = stretch * off;
    }
    return value;
  };
  for (int round = 0; round < 10; ++round) {
    std::vector<double> x(middle.size());
    for (double& one : x) one = 10.0 * random.Normal();
    EXPECT_TRUE(MinimizeLbfgs(bowl, {.tolerance = 1e-9}, x).converged);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], middle[i], 1e-4) << i;
  }
}

TEST(Lbfgs, SaysWhenItsStepsWereTooFew) {
  std::vector<double> x = {100.0};
  const auto bowl = [](std::span<const double> at, std::span<double> d) {
    d[0] = at[0] * at[0] * at[0];
    return 0.25 * d[0] * at[0];
  };
  const LbfgsResult result = MinimizeLbfgs(bowl, {.steps = 2}, x);
  EXPECT_FALSE(result.converged);
  EXPECT_EQ(result.steps, 2u);
  EXPECT_LT(result.value, 0.25e8);
  std::vector<double> there = {0.0};
  EXPECT_TRUE(MinimizeLbfgs(bowl, {}, there).converged);
}

}  // namespace
}  // namespace heed::nn
