#include "infer/column_copies.h"

#include <algorithm>

namespace heed::infer {

ColumnCopies ChooseCopies(const Quantised& inputs, std::span<const double> weight_squares) {
  const size_t K = inputs.scale.size();
  ColumnCopies out;
  out.times.assign(K, 1);
  std::vector<double> error(K);  // of a column stored once
  double left = 0.0;
  for (size_t k = 0; k < K; ++k) {
    const double step = 1.0 / static_cast<double>(inputs.scale[k]);
    left += error[k] = step * step * weight_squares[k];
  }
  const auto gain = [&](size_t k) {
    const double times = out.times[k];
    return error[k] / (times * times) - error[k] / ((times + 1) * (times + 1));
  };
  for (size_t spent = 0; spent < K / 4; ++spent) {
    size_t best = 0;
    for (size_t k = 1; k < K; ++k) {
      if (gain(k) > gain(best)) best = k;
    }
    if (!(gain(best) > 0.02 * left)) break;
    left -= gain(best);
    ++out.times[best];
  }
  for (size_t k = 0; k < K; ++k) {
    for (uint32_t i = 1; i < out.times[k]; ++i) {
      const float share = static_cast<float>(i) / static_cast<float>(out.times[k]);
      out.copies.push_back({static_cast<uint32_t>(k), share / inputs.scale[k]});
    }
  }
  return out;
}

PlainLayer Copied(const PlainLayer& plain, const ColumnCopies& copies) {
  PlainLayer out = plain;
  out.K = copies.columns();
  for (size_t k = 0; k < plain.K; ++k) {
    const float share = 1.0f / static_cast<float>(copies.times[k]);
    for (size_t n = 0; n < plain.N; ++n) out.weights[k * plain.N + n] *= share;
  }
  for (const ColumnCopies::Copy& copy : copies.copies) {
    for (size_t n = 0; n < plain.N; ++n) {
      const float weight = out.weights[copy.of * plain.N + n];
      out.weights.push_back(weight);
      out.bias[n] -= weight * copy.shift;
    }
  }
  return out;
}

Quantised Copied(const Quantised& inputs, const ColumnCopies& copies) {
  Quantised out = inputs;
  for (const ColumnCopies::Copy& copy : copies.copies) out.scale.push_back(inputs.scale[copy.of]);
  return out;
}

}  // namespace heed::infer
