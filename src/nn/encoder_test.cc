// Layer norm, the transformer encoder and the softmax losses: definitions, properties, gradients.
#include "nn/encoder.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <functional>

#include "nn/encoder_for_test.h"

namespace heed::nn {
namespace {

bool Near(double a, double b, double tolerance = 2e-5) {
  return std::abs(a - b) <= tolerance * (1.0 + std::abs(b));
}

Random Seeded() { return Random(*rc::gen::arbitrary<uint64_t>()); }

// Every number of `values` moved a little up and down, and what that does to `loss`.
void CheckGradient(Matrix* values, const Matrix& gradient, const std::string& name,
                   const std::function<double()>& loss, float step = 1e-2f) {
  for (size_t p = 0; p < values->size(); ++p) {
    float& value = values->data()[p];
    const float saved = value;
    value = saved + step;
    const double above = loss();
    value = saved - step;
    const double below = loss();
    value = saved;
    const double slope = (above - below) / (2.0 * static_cast<double>(step));
    ASSERT_NEAR(slope, static_cast<double>(gradient.data()[p]), 4e-3 * (1.0 + std::abs(slope)))
        << name << "[" << p << "]";
  }
}

double Weighed(const Matrix& y) {
  double sum = 0.0;
  for (size_t p = 0; p < y.size(); ++p) {
    sum += std::sin(static_cast<double>(p) + 1.0) * static_cast<double>(y.data()[p]);
  }
  return sum;
}

void FillWaves(Matrix* d_y) {
  for (size_t p = 0; p < d_y->size(); ++p) {
    d_y->data()[p] = static_cast<float>(std::sin(static_cast<double>(p) + 1.0));
  }
}

RC_GTEST_PROP(LayerNorm, RowsHaveMeanZeroAndVarianceOneBeforeGainAndBias, ()) {
  Random random = Seeded();
  const auto rows = *rc::gen::inRange<size_t>(0, 6), width = *rc::gen::inRange<size_t>(2, 40);
  Matrix x(rows, width), y(rows, width), shifted(rows, width);
  FillNormal(&x, random, 3.0);
  // Two values eight apart: where all of a row are nearly equal, epsilon and rounding decide.
  for (size_t i = 0; i < rows; ++i) x.Row(i)[0] = -4.0f, x.Row(i)[width - 1] = 4.0f;
  const LayerNorm layer("norm", width);
  LayerNormTape tape;
  layer.Forward(x.view(), &tape, y.view());
  for (size_t i = 0; i < rows; ++i) {
    double sum = 0, squares = 0;
    for (size_t d = 0; d < width; ++d) {
      const auto v = static_cast<double>(y.Row(i)[d]);
      sum += v, squares += v * v;
    }
    RC_ASSERT(Near(sum / static_cast<double>(width), 0.0));
    RC_ASSERT(Near(squares / static_cast<double>(width), 1.0, 1e-4));
  }
  // Neither a shift nor a positive factor of a row matters.
  for (size_t p = 0; p < x.size(); ++p) shifted.data()[p] = 2.0f * x.data()[p] + 1.0f;
  Matrix again(rows, width);
  layer.Forward(shifted.view(), &tape, again.view());
  for (size_t p = 0; p < y.size(); ++p) RC_ASSERT(Near(again.data()[p], y.data()[p], 1e-4));
}

TEST(LayerNorm, GradientMatchesFiniteDifferences) {
  Random random(3);
  Matrix x(4, 6), y(4, 6), d_y(4, 6), d_x(4, 6);
  FillNormal(&x, random);
  FillWaves(&d_y);
  LayerNorm layer("norm", 6);
  FillNormal(&layer.gain.value, random);
  FillNormal(&layer.bias.value, random);
  LayerNormTape tape;
  const auto loss = [&] {
    LayerNormTape own;
    layer.Forward(x.view(), &own, y.view());
    return Weighed(y);
  };
  layer.Forward(x.view(), &tape, y.view());
  layer.Backward(tape, d_y.view(), d_x.view());
  CheckGradient(&x, d_x, "x", loss);
  CheckGradient(&layer.gain.value, layer.gain.grad, "gain", loss);
  CheckGradient(&layer.bias.value, layer.bias.grad, "bias", loss);
}

TEST(NormalizeRows, LengthOneAndItsGradient) {
  Random random(4);
  Matrix x(3, 5), y(3, 5), d_y(3, 5), d_x(3, 5);
  std::vector<float> lengths;
  FillNormal(&x, random);
  FillWaves(&d_y);
  const auto loss = [&] {
    std::vector<float> own;
    NormalizeRows(x.view(), y.view(), &own);
    return Weighed(y);
  };
  NormalizeRows(x.view(), y.view(), &lengths);
  NormalizeRowsBackward(y.view(), lengths, d_y.view(), d_x.view());
  CheckGradient(&x, d_x, "x", loss, 1e-3f);
  Matrix zeros(1, 5);
  zeros.Fill(0.0f);
  NormalizeRows(zeros.view(), zeros.view(), &lengths);
  for (size_t d = 0; d < 5; ++d) EXPECT_EQ(zeros.data()[d], 0.0f);
}

class EncoderGradient : public testing::TestWithParam<bool> {};

TEST_P(EncoderGradient, MatchesFiniteDifferences) {
  Random random(5);
  EncoderCase c({.width = 6, .layers = 2, .hidden = 5, .pre_norm = GetParam()}, {3, 0, 4, 1},
                random);
  EncoderTape tape;
  Matrix y(8, 6), d_y(8, 6), d_rows(8, 6);
  FillWaves(&d_y);
  const auto loss = [&] {
    EncoderTape own;
    c.layer.Forward(c.Input(), nullptr, &own, y.view());
    return Weighed(y);
  };
  c.layer.Forward(c.Input(), nullptr, &tape, y.view());
  c.layer.Backward(c.Input(), &tape, d_y.view(), d_rows.view());
  CheckGradient(&c.rows, d_rows, "rows", loss, 1e-3f);
  for (Parameter* p : c.layer.Parameters()) CheckGradient(&p->value, p->grad, p->name, loss, 1e-3f);
}

INSTANTIATE_TEST_SUITE_P(PreAndPostNorm, EncoderGradient, testing::Bool());

// Sequences do not see each other, and a row does not see the ones after it.
RC_GTEST_PROP(Encoder, ARowHangsOnItsOwnPastOnly, ()) {
  Random random = Seeded();
  EncoderCase c({.width = 8, .layers = 2, .hidden = 8, .pre_norm = *rc::gen::arbitrary<bool>()},
                {5, 1, 4}, random);
  EncoderTape tape;
  Matrix y(10, 8), alone(3, 8);
  c.layer.Forward(c.Input(), nullptr, &tape, y.view());
  const std::vector<uint32_t> offsets = {0, 3};
  c.layer.Forward({.rows = c.rows.view().Rows(6, 3), .offsets = offsets}, nullptr, &tape,
                  alone.view());
  for (size_t i = 0; i < 3; ++i) {
    for (size_t d = 0; d < 8; ++d) RC_ASSERT(Near(alone.Row(i)[d], y.Row(6 + i)[d], 1e-4));
  }
}

TEST(Encoder, DropoutIsTheSameForTheSameStreamAndAbsentWhenServing) {
  Random random(6);
  EncoderShape shape{.width = 8, .layers = 2, .hidden = 8, .dropout = 0.4f};
  shape.attention.dropout = 0.4f;
  EncoderCase c(shape, {5, 2}, random);
  EncoderTape tape;
  Matrix a(7, 8), b(7, 8), plain(7, 8);
  Random one(9), two(9);
  c.layer.Forward(c.Input(), &one, &tape, a.view());
  c.layer.Forward(c.Input(), &two, &tape, b.view());
  c.layer.Forward(c.Input(), nullptr, &tape, plain.view());
  double apart = 0.0;
  for (size_t p = 0; p < a.size(); ++p) {
    EXPECT_EQ(a.data()[p], b.data()[p]);
    apart += std::abs(static_cast<double>(a.data()[p] - plain.data()[p]));
  }
  EXPECT_GT(apart, 0.1);
}

// The definition in double. A candidate that is the right answer is left out of the sum.
double SoftmaxReference(const SoftmaxCase& c, double scale) {
  double loss = 0.0;
  const auto dot = [](const float* a, const float* b, size_t n) {
    double sum = 0.0;
    for (size_t i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return sum;
  };
  const size_t D = c.queries.cols();
  for (size_t b = 0; b < c.queries.rows(); ++b) {
    const double right = scale * dot(c.queries.Row(b), c.positives.Row(b), D);
    double sum = std::exp(right);
    for (size_t n = 0; n < c.candidates.rows(); ++n) {
      if (n == c.right[b]) continue;
      const double offset = c.offsets.empty() ? 0.0 : static_cast<double>(c.offsets[n]);
      sum += std::exp(scale * dot(c.queries.Row(b), c.candidates.Row(n), D) + offset);
    }
    loss += std::log(sum) - right;
  }
  return loss / static_cast<double>(std::max<size_t>(c.queries.rows(), 1));
}

RC_GTEST_PROP(SoftmaxLoss, EqualsItsDefinition, ()) {
  Random random = Seeded();
  const auto rows = *rc::gen::inRange<size_t>(0, 70), candidates = *rc::gen::inRange<size_t>(1, 40);
  SoftmaxCase c(rows, candidates, *rc::gen::inRange<size_t>(1, 9), *rc::gen::arbitrary<bool>(),
                random);
  RC_ASSERT(Near(c.Loss(0.7f), SoftmaxReference(c, static_cast<double>(0.7f))));
}

// All items as candidates, the right one among them: the textbook's softmax.
RC_GTEST_PROP(SoftmaxLoss, FullSoftmaxGradientsOfARowSumToZero, ()) {
  Random random = Seeded();
  SoftmaxCase c(1, *rc::gen::inRange<size_t>(2, 30), 4, false, random);
  c.right[0] = 1;
  std::copy_n(c.candidates.Row(1), 4, c.positives.Row(0));
  c.Loss(1.0f);
  // d loss / d z sums to zero over the items, so the vectors' gradients sum to zero, too.
  for (size_t d = 0; d < 4; ++d) {
    double sum = static_cast<double>(c.d_positives.Row(0)[d]);
    for (size_t n = 0; n < c.candidates.rows(); ++n) {
      sum += static_cast<double>(c.d_candidates.Row(n)[d]);
    }
    RC_ASSERT(Near(sum, 0.0));
    RC_ASSERT(c.d_candidates.Row(1)[d] == 0.0f);  // the right answer's is d_positives
  }
}

TEST(SoftmaxLoss, GradientMatchesFiniteDifferences) {
  Random random(8);
  SoftmaxCase c(5, 7, 4, true, random);
  c.Loss(1.5f);
  const Matrix d_queries = c.d_queries, d_positives = c.d_positives, d_candidates = c.d_candidates;
  const auto loss = [&] { return c.Loss(1.5f); };
  CheckGradient(&c.queries, d_queries, "queries", loss);
  CheckGradient(&c.positives, d_positives, "positives", loss);
  CheckGradient(&c.candidates, d_candidates, "candidates", loss);
}

TEST(SoftmaxLoss, ScoresOfAMillionStayFinite) {
  Random random(8);
  SoftmaxCase c(5, 7, 4, false, random);
  EXPECT_TRUE(std::isfinite(c.Loss(1e6f)));
  for (size_t p = 0; p < c.d_queries.size(); ++p) {
    EXPECT_TRUE(std::isfinite(c.d_queries.data()[p]));
  }
}

TEST(BinaryLoss, GradientMatchesFiniteDifferences) {
  Random random(9);
  Matrix queries(4, 3), positives(4, 3), negatives(8, 3);
  Matrix d_queries(4, 3), d_positives(4, 3), d_negatives(8, 3);
  for (Matrix* m : {&queries, &positives, &negatives}) FillNormal(m, random);
  const auto loss = [&] {
    Matrix a(4, 3), b(4, 3), c(8, 3);
    return BinaryLoss(queries.view(), positives.view(), negatives.view(), 0.8f, a.view(), b.view(),
                      c.view());
  };
  BinaryLoss(queries.view(), positives.view(), negatives.view(), 0.8f, d_queries.view(),
             d_positives.view(), d_negatives.view());
  CheckGradient(&queries, d_queries, "queries", loss);
  CheckGradient(&positives, d_positives, "positives", loss);
  CheckGradient(&negatives, d_negatives, "negatives", loss);
}

}  // namespace
}  // namespace heed::nn
