#include "text/linear_part.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"

namespace heed::text {
namespace {

constexpr size_t kRows = 12, kClasses = 3;

struct Texts {
  std::vector<uint32_t> rows, offsets = {0}, labels;
  std::vector<float> frequencies;

  explicit Texts(uint64_t seed) {
    Random random(seed);
    for (uint32_t text = 0; text < 60; ++text) {
      // A text may have none at all.
      for (uint32_t row = 0; row < kRows; ++row) {
        if (text == 7 || !random.Chance(0.3)) continue;
        rows.push_back(row);
        frequencies.push_back(random.Chance(0.2) ? 0.0f
                                                 : static_cast<float>(1.0 + random.Uniform()));
      }
      offsets.push_back(static_cast<uint32_t>(rows.size()));
      labels.push_back(static_cast<uint32_t>(random.Below(kClasses)));
    }
  }
  KnownNgrams known() const { return {rows, frequencies, offsets}; }
};

// The objective by its definition, straight from w (row by row) and b.
double Objective(const Texts& texts, const std::vector<double>& w,
                 const std::vector<double>& weights, double cost) {
  std::vector<double> idf(kRows);
  for (uint32_t row = 0; row < kRows; ++row) {
    const auto with = std::count(texts.rows.begin(), texts.rows.end(), row);
    idf[row] = 1.0 + std::log(61.0 / (1.0 + static_cast<double>(with)));
  }
  double value = 0.0;
  for (size_t i = 0; i < kRows * kClasses; ++i) value += 0.5 * w[i] * w[i];
  for (size_t text = 0; text < 60; ++text) {
    double squares = 0.0, mass = 0.0, own = 0.0;
    for (size_t t = texts.offsets[text]; t < texts.offsets[text + 1]; ++t) {
      squares += std::pow(static_cast<double>(texts.frequencies[t]) * idf[texts.rows[t]], 2);
    }
    for (size_t c = 0; c < kClasses; ++c) {
      double z = w[kRows * kClasses + c];
      for (size_t t = texts.offsets[text]; t < texts.offsets[text + 1]; ++t) {
        const uint32_t row = texts.rows[t];
        const double x = static_cast<double>(texts.frequencies[t]) * idf[row];
        if (x > 0) z += x / std::sqrt(squares) * w[row * kClasses + c];
      }
      mass += std::exp(z);
      if (c == texts.labels[text]) own = z;
    }
    value += cost * weights[texts.labels[text]] * (std::log(mass) - own);
  }
  return value;
}

TEST(LinearPart, StandsWhereNoStepOfAnyWeightLeadsDown) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const Texts texts(seed);
    const std::vector<float> weights = {1.0f, 2.0f, 0.5f};
    LinearPart part(kRows, kClasses);
    part.Fit(texts.known(), texts.labels, weights, 0.7f);
    std::vector<double> w;
    for (uint32_t row = 0; row < kRows; ++row) {
      for (size_t c = 0; c < kClasses; ++c) {
        w.push_back(static_cast<double>(part.Weights(row)[c] / part.table.Row(row)[0]));
      }
    }
    for (size_t c = 0; c < kClasses; ++c) w.push_back(static_cast<double>(part.bias.data()[c]));
    const std::vector<double> doubles(weights.begin(), weights.end());
    const double cost = static_cast<double>(0.7f);
    const auto slope = [&](size_t i, const std::vector<double>& at) {
      std::vector<double> above = at, below = at;
      above[i] += 1e-4;
      below[i] -= 1e-4;
      return (Objective(texts, above, doubles, cost) - Objective(texts, below, doubles, cost)) /
             2e-4;
    };
    double there = 0.0, at_zero = 0.0;
    for (size_t i = 0; i < w.size(); ++i) {
      there += std::pow(slope(i, w), 2);
      at_zero += std::pow(slope(i, std::vector<double>(w.size())), 2);
    }
    EXPECT_LT(std::sqrt(there), 3e-4 * std::sqrt(at_zero)) << seed;
  }
}

TEST(LinearPart, ATextIsTheSumOfItsNgrams) {
  const Texts texts(4);
  LinearPart part(kRows, kClasses);
  part.Fit(texts.known(), texts.labels, {}, 1.0f);
  nn::Matrix logits(60, kClasses);
  logits.Fill(1.0f);
  part.AddTo(texts.known(), 0.5f, logits.view());
  for (size_t text = 0; text < 60; ++text) {
    for (size_t c = 0; c < kClasses; ++c) {
      float z = part.bias.data()[c];
      for (size_t t = texts.offsets[text]; t < texts.offsets[text + 1]; ++t) {
        z += part.Norm(texts.known(), text) * texts.frequencies[t] * part.Weights(texts.rows[t])[c];
      }
      EXPECT_NEAR(logits.Row(text)[c], 1.0f + 0.5f * z, 1e-5f);
    }
  }
  EXPECT_EQ(part.Norm(texts.known(), 7), 0.0f);
}

TEST(LinearPart, ARareNgramWeighsMore) {
  // One in 1 of 3 texts, one in all three: idf 1 + ln(4 / 2) and 1 + ln(4 / 4).
  const std::vector<uint32_t> rows = {0, 0, 1, 0}, offsets = {0, 1, 3, 4}, labels = {0, 1, 0};
  const std::vector<float> once(rows.size(), 1.0f);
  LinearPart part(2, 2);
  part.Fit({rows, once, offsets}, labels, {}, 1.0f);
  EXPECT_NEAR(part.table.Row(0)[0], 1.0f, 1e-6f);
  EXPECT_NEAR(part.table.Row(1)[0], 1.0f + std::log(2.0f), 1e-6f);
  EXPECT_GT(part.Weights(1)[1], part.Weights(1)[0]);
}

}  // namespace
}  // namespace heed::text
