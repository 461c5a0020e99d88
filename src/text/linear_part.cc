#include "text/linear_part.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "nn/lbfgs.h"

namespace heed::text {
namespace {

// What is minimised, by w [n, C] and after it b [C].
struct Regression {
  const KnownNgrams& texts;
  std::span<const float> x;  // parallel to texts.rows
  std::span<const uint32_t> labels;
  std::vector<double> costs;  // [C]: of a text with this label
  size_t bias;                // n C: where b begins

  double operator()(std::span<const double> w, std::span<double> d_w) const {
    const size_t C = costs.size();
    std::vector<double> z(C);
    double value = 0.0;
    for (size_t i = 0; i < bias; ++i) {
      value += 0.5 * w[i] * w[i];
      d_w[i] = w[i];
    }
    std::fill(d_w.begin() + static_cast<ptrdiff_t>(bias), d_w.end(), 0.0);
    for (size_t text = 0; text < texts.size(); ++text) {
      const size_t first = texts.offsets[text], last = texts.offsets[text + 1];
      for (size_t c = 0; c < C; ++c) z[c] = w[bias + c];
      for (size_t t = first; t < last; ++t) {
        const double* own = w.data() + texts.rows[t] * C;
        for (size_t c = 0; c < C; ++c) z[c] += static_cast<double>(x[t]) * own[c];
      }
      const double top = *std::max_element(z.begin(), z.end());
      double mass = 0.0;
      for (const double one : z) mass += std::exp(one - top);
      const uint32_t label = labels[text];
      const double cost = costs[label];
      value += cost * (top + std::log(mass) - z[label]);
      for (size_t c = 0; c < C; ++c) {
        z[c] = cost * (std::exp(z[c] - top) / mass - (c == label ? 1.0 : 0.0));
        d_w[bias + c] += z[c];
      }
      for (size_t t = first; t < last; ++t) {
        double* own = d_w.data() + texts.rows[t] * C;
        for (size_t c = 0; c < C; ++c) own[c] += static_cast<double>(x[t]) * z[c];
      }
    }
    return value;
  }
};

}  // namespace

LinearPart::LinearPart(size_t rows, size_t classes) {
  table.Resize(rows, 1 + classes);
  table.Fill(0.0f);
  bias.Resize(1, classes);
  bias.Fill(0.0f);
}

void LinearPart::Fit(const KnownNgrams& texts, std::span<const uint32_t> labels,
                     std::span<const float> class_weights, float cost) {
  const size_t n = table.rows(), C = bias.cols();
  std::vector<uint32_t> counts(n);
  for (const uint32_t row : texts.rows) ++counts[row];
  const double all = 1.0 + static_cast<double>(texts.size());
  for (size_t row = 0; row < n; ++row) {
    table.Row(row)[0] = static_cast<float>(1.0 + std::log(all / (1.0 + counts[row])));
  }
  std::vector<float> x;
  for (size_t text = 0; text < texts.size(); ++text) {
    const float norm = Norm(texts, text);
    for (size_t t = texts.offsets[text]; t < texts.offsets[text + 1]; ++t) {
      x.push_back(norm * texts.frequencies[t] * table.Row(texts.rows[t])[0]);
    }
  }
  std::vector<double> costs(C, static_cast<double>(cost)), w((n + 1) * C);
  for (size_t c = 0; c < class_weights.size(); ++c) {
    costs[c] *= static_cast<double>(class_weights[c]);
  }
  nn::MinimizeLbfgs(Regression{texts, x, labels, costs, n * C}, {}, w);
  for (size_t row = 0; row < n; ++row) {
    float* own = table.Row(row);
    for (size_t c = 0; c < C; ++c) own[1 + c] = own[0] * static_cast<float>(w[row * C + c]);
  }
  for (size_t c = 0; c < C; ++c) bias.data()[c] = static_cast<float>(w[n * C + c]);
}

float LinearPart::Norm(const KnownNgrams& texts, size_t text) const {
  float squares = 0.0f;
  for (size_t t = texts.offsets[text]; t < texts.offsets[text + 1]; ++t) {
    const float x = texts.frequencies[t] * table.Row(texts.rows[t])[0];
    squares += x * x;
  }
  return squares > 0.0f ? 1.0f / std::sqrt(squares) : 0.0f;
}

void LinearPart::AddTo(const KnownNgrams& texts, float share, nn::Mat out) const {
  const size_t C = bias.cols();
  for (size_t text = 0; text < texts.size(); ++text) {
    float* own = out.Row(text);
    const float factor = share * Norm(texts, text);
    for (size_t c = 0; c < C; ++c) own[c] += share * bias.data()[c];
    for (size_t t = texts.offsets[text]; t < texts.offsets[text + 1]; ++t) {
      const float x = factor * texts.frequencies[t];
      for (size_t c = 0; c < C; ++c) own[c] += x * Weights(texts.rows[t])[c];
    }
  }
}

}  // namespace heed::text
