#include "infer/column_copies.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"

namespace heed::infer {
namespace {

struct Case {
  PlainLayer layer{.K = 20, .N = 12};
  std::vector<float> largest;
  std::vector<double> squares;
};

// Two columns a hundred times as wide as the others, met by weights of one size.
Case WideColumns(float wide) {
  Random random(3);
  Case made;
  for (size_t k = 0; k < made.layer.K; ++k) {
    made.largest.push_back(k == 4 || k == 11 ? wide : 0.05f);
    made.squares.push_back(0);
    for (size_t n = 0; n < made.layer.N; ++n) {
      made.layer.weights.push_back(static_cast<float>(random.Normal()));
      made.squares[k] += std::pow(static_cast<double>(made.layer.weights.back()), 2);
    }
  }
  made.layer.bias.assign(made.layer.N, 0.5f);
  return made;
}

// Root mean square of what the layer in int8 adds to the layer in plain numbers.
double Error(const Case& of, const ColumnCopies& copies, const Quantised& inputs) {
  Random random(5);
  const size_t n = 200, stride = 32;
  std::vector<float> x(n * stride, 0.0f);
  for (size_t i = 0; i < n; ++i) {
    for (size_t k = 0; k < of.layer.K; ++k) {
      x[i * stride + k] = static_cast<float>(random.Uniform(-1, 1)) * of.largest[k];
    }
  }
  copies.Fill(x.data(), n, stride);
  Arena arena;
  const Layer layer(Copied(of.layer, copies), Precision::kInt8, Copied(inputs, copies));
  std::vector<float> y(n * layer.padded_N());
  layer.Run(layer.Convert(x.data(), stride, n, &arena), n, {.out = {y.data(), layer.padded_N()}},
            &arena);
  double sum = 0;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < of.layer.N; ++j) {
      double want = static_cast<double>(of.layer.bias[j]);
      for (size_t k = 0; k < of.layer.K; ++k) {
        want += static_cast<double>(x[i * stride + k] * of.layer.weights[k * of.layer.N + j]);
      }
      sum += std::pow(static_cast<double>(y[i * layer.padded_N() + j]) - want, 2);
    }
  }
  return std::sqrt(sum / static_cast<double>(n * of.layer.N));
}

TEST(ColumnCopies, MakeTheStepsOfWideColumnsFiner) {
  const Case made = WideColumns(5.0f);
  const Quantised inputs = Quantise(made.largest, false);
  const ColumnCopies copies = ChooseCopies(inputs, made.squares);
  EXPECT_EQ(copies.copies.size(), 5u);  // a quarter of the columns, and no more
  for (size_t k = 0; k < made.layer.K; ++k) {
    EXPECT_EQ(copies.times[k] > 1, k == 4 || k == 11) << k;
  }
  ColumnCopies none;
  none.times.assign(made.layer.K, 1);
  const double with = Error(made, copies, inputs), without = Error(made, none, inputs);
  EXPECT_LT(with, 0.6 * without);
  EXPECT_LT(with, 0.05);
}

TEST(ColumnCopies, NoneWhereColumnsAreAlike) {
  const Case made = WideColumns(0.05f);
  const Quantised inputs = Quantise(made.largest, false);
  std::vector<double> alike(made.layer.K, 1.0);
  alike.resize(60, 1.0);
  Quantised many;
  many.scale.assign(60, inputs.scale[0]);
  EXPECT_TRUE(ChooseCopies(many, alike).copies.empty());
  EXPECT_EQ(ChooseCopies({}, {}).columns(), 0u);
}

}  // namespace
}  // namespace heed::infer
