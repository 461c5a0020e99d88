#include "train/calibration.h"

#include <algorithm>
#include <cmath>

namespace heed::train {
namespace {

double LogOnePlusExp(double x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}

// Negative log-likelihood plus the pull.
double Loss(std::span<const float> logits, std::span<const float> labels, double a, double b) {
  double loss = 0.5 * ((a - 1) * (a - 1) + b * b);
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(labels[i])) continue;
    const double z = a * logits[i] + b;
    loss += LogOnePlusExp(z) - labels[i] * z;
  }
  return loss;
}

}  // namespace

Calibration FitPlatt(std::span<const float> logits, std::span<const float> labels) {
  double a = 1, b = 0;
  double loss = Loss(logits, labels, a, b);
  for (int iteration = 0; iteration < 50; ++iteration) {
    double ga = a - 1, gb = b, haa = 1, hab = 0, hbb = 1;
    for (size_t i = 0; i < logits.size(); ++i) {
      if (std::isnan(labels[i])) continue;
      const double x = logits[i], p = 1 / (1 + std::exp(-(a * x + b)));
      const double error = p - labels[i], weight = p * (1 - p);
      ga += error * x, gb += error;
      haa += weight * x * x, hab += weight * x, hbb += weight;
    }
    const double determinant = haa * hbb - hab * hab;
    const double da = (hbb * ga - hab * gb) / determinant, db = (haa * gb - hab * ga) / determinant;
    double step = 1, next = Loss(logits, labels, a - da, b - db);
    while (next > loss && step > 1e-6) {
      step /= 2;
      next = Loss(logits, labels, a - step * da, b - step * db);
    }
    if (!(next < loss)) break;
    a -= step * da, b -= step * db;
    const double gain = loss - next;
    loss = next;
    if (gain < 1e-9 * std::max(1.0, loss)) break;
  }
  return {static_cast<float>(a), static_cast<float>(b)};
}

float FitShift(std::span<const float> logits, std::span<const float> labels, float scale) {
  // The mean prediction rises with the shift, so halving the interval finds the crossing; 60 halvings
  // of [-30, 30] reach the precision of a double.
  double low = -30, high = 30;
  for (int i = 0; i < 60; ++i) {
    const double shift = (low + high) / 2;
    double excess = shift;  // the weak pull
    for (size_t j = 0; j < logits.size(); ++j) {
      if (std::isnan(labels[j])) continue;
      excess += 1 / (1 + std::exp(-(static_cast<double>(scale) * logits[j] + shift))) - labels[j];
    }
    (excess > 0 ? high : low) = shift;
  }
  return static_cast<float>((low + high) / 2);
}

}  // namespace heed::train
