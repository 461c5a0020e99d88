// Minimising a smooth function whole, without rates or batches: limited-memory BFGS (Nocedal 1980;
// Liu & Nocedal 1989) with steps halved until they descend enough (Armijo 1966).
//
// For a strongly convex function, which is what a linear model with an L2 penalty is, it ends in the one
// minimum whatever it began with. Deterministic; of one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

namespace heed::nn {

struct LbfgsOptions {
  uint32_t memory = 10;     // steps remembered, each twice the length of x
  uint32_t steps = 300;     // at most
  double tolerance = 1e-4;  // of the gradient's norm, as a share of what it was at first
};

struct LbfgsResult {
  double value = 0;
  uint32_t steps = 0;
  bool converged = false;  // to the tolerance
};

// Value at x; sets gradient, as long as x.
using Slope = std::function<double(std::span<const double> x, std::span<double> gradient)>;

// From x, which becomes the best point found.
LbfgsResult MinimizeLbfgs(const Slope& slope, const LbfgsOptions& options, std::span<double> x);

}  // namespace heed::nn
