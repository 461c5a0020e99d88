#include "nn/lbfgs.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>
#include <vector>

namespace heed::nn {
namespace {

using Vector = std::vector<double>;

// A step taken and what it did to the gradient.
struct Pair {
  Vector step, change;
  double inverse = 0;  // 1 / (step . change)
};

double Dot(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

void Add(double factor, const Vector& from, Vector* to) {
  for (size_t i = 0; i < from.size(); ++i) (*to)[i] += factor * from[i];
}

// The two loops over the pairs that apply the approximate inverse Hessian.
Vector Direction(const std::deque<Pair>& pairs, const Vector& gradient) {
  Vector d = gradient;
  Vector shares(pairs.size());
  for (size_t i = pairs.size(); i-- > 0;) {
    shares[i] = pairs[i].inverse * Dot(pairs[i].step, d);
    Add(-shares[i], pairs[i].change, &d);
  }
  double size = 1.0 / std::max(1.0, std::sqrt(Dot(gradient, gradient)));
  if (!pairs.empty()) {
    const Pair& last = pairs.back();
    size = 1.0 / (last.inverse * Dot(last.change, last.change));
  }
  for (double& value : d) value *= -size;
  for (size_t i = 0; i < pairs.size(); ++i) {
    Add(-shares[i] - pairs[i].inverse * Dot(pairs[i].change, d), pairs[i].step, &d);
  }
  return d;
}

}  // namespace

LbfgsResult MinimizeLbfgs(const Slope& slope, const LbfgsOptions& options, std::span<double> x) {
  constexpr double kEnough = 1e-4;  // of the descent that the slope promises
  constexpr int kHalvings = 40;
  LbfgsResult result;
  Vector gradient(x.size()), next(x.size()), next_gradient(x.size());
  std::deque<Pair> pairs;
  result.value = slope(x, gradient);
  const double enough = options.tolerance * std::sqrt(Dot(gradient, gradient));
  while (true) {
    result.converged = std::sqrt(Dot(gradient, gradient)) <= enough;
    if (result.converged || result.steps == options.steps) return result;
    const Vector direction = Direction(pairs, gradient);
    const double descent = Dot(direction, gradient);
    double length = 1.0, value = 0.0;
    int halvings = 0;
    for (; halvings < kHalvings; ++halvings, length *= 0.5) {
      std::copy(x.begin(), x.end(), next.begin());
      Add(length, direction, &next);
      value = slope(next, next_gradient);
      if (value <= result.value + kEnough * length * descent) break;
    }
    if (halvings == kHalvings) return result;  // as low as the numbers' precision goes
    ++result.steps;
    Pair pair{direction, next_gradient};
    for (double& one : pair.step) one *= length;
    Add(-1.0, gradient, &pair.change);
    // Positive where the function is convex; a pair without it would turn the direction uphill.
    if (const double both = Dot(pair.step, pair.change); both > 0.0) {
      pair.inverse = 1.0 / both;
      pairs.push_back(std::move(pair));
      if (pairs.size() > options.memory) pairs.pop_front();
    }
    std::copy(next.begin(), next.end(), x.begin());
    gradient.swap(next_gradient);
    result.value = value;
  }
}

}  // namespace heed::nn
