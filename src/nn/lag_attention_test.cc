#include "nn/lag_attention.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "nn/lag_attention_for_test.h"
#include "nn/slope_for_test.h"

namespace heed::nn {
namespace {

LagCase AnyCase(double missing, Random& random) {
  return {{.width = *rc::gen::inRange<size_t>(1, 7), .look_back = *rc::gen::inRange<size_t>(1, 12)},
          *rc::gen::inRange<size_t>(1, 30),
          missing,
          random};
}

// The formula of lag_attention.h, number by number, by exponentials of the whole score.
RC_GTEST_PROP(LagAttention, IsWhatTheFormulaSays, ()) {
  Random random(*rc::gen::arbitrary<uint64_t>());
  const LagCase c = AnyCase(0.4, random);
  const LagAnswer answer(c);
  const size_t D = c.tokens.cols(), L = c.layer.shape().look_back;
  const auto number = [](const Parameter& p) { return static_cast<double>(p.value.data()[0]); };
  for (size_t t = 0; t < c.tokens.rows(); ++t) {
    double total = std::exp(number(c.layer.null_score));
    const double null = total;
    std::vector<double> y(D);
    for (size_t l = 0; l < L && l <= t; ++l) {
      if (c.present[t - l] == 0) continue;
      double score = 0;
      for (size_t d = 0; d < D; ++d) {
        score += static_cast<double>(c.layer.content.value.data()[d]) *
                 static_cast<double>(c.tokens.Row(t - l)[d]) / std::sqrt(static_cast<double>(D));
      }
      const double age = static_cast<double>(l), lag = number(c.layer.lag);
      score -= number(c.layer.decay) * std::max(0.0, age - lag);
      score -= number(c.layer.rise) * std::max(0.0, lag - age);
      total += std::exp(score);
      for (size_t d = 0; d < D; ++d)
        y[d] += std::exp(score) * static_cast<double>(c.tokens.Row(t - l)[d]);
    }
    for (size_t d = 0; d < D; ++d) {
      RC_ASSERT(std::abs(static_cast<double>(answer.y.Row(t)[d]) - y[d] / total) < 1e-4);
    }
    RC_ASSERT(std::abs(static_cast<double>(answer.evidence[t]) - (1 - null / total)) < 1e-5);
  }
}

RC_GTEST_PROP(LagAttention, NeitherTheFutureNorAnAbsentSecondMatters, ()) {
  Random random(*rc::gen::arbitrary<uint64_t>());
  const LagCase c = AnyCase(0.4, random);
  const size_t T = c.tokens.rows(), now = *rc::gen::inRange<size_t>(0, T);
  LagCase other = c;
  for (size_t t = 0; t < T; ++t) {
    float* x = other.tokens.Row(t);
    if (t > now) std::fill_n(x, c.tokens.cols(), 100.0f);
    if (c.present[t] == 0) std::fill_n(x, c.tokens.cols(), std::nanf(""));
  }
  const LagAnswer a(c), b(other);
  for (size_t t = 0; t <= now; ++t) {
    for (size_t d = 0; d < a.y.cols(); ++d) RC_ASSERT(a.y.Row(t)[d] == b.y.Row(t)[d]);
    RC_ASSERT(a.evidence[t] == b.evidence[t]);
  }
}

RC_GTEST_PROP(LagAttention, ASecondAtATimeIsTheWholePass, ()) {
  Random random(*rc::gen::arbitrary<uint64_t>());
  const LagCase c = AnyCase(0.3, random);
  const LagAnswer whole(c);
  const size_t L = c.layer.shape().look_back;
  const std::vector<double> kernel = c.layer.Kernel();
  std::vector<float> y(c.tokens.cols());
  for (size_t t = 0; t < c.tokens.rows(); ++t) {
    const size_t first = t + 1 > L ? t + 1 - L : 0;
    std::vector<double> mass;
    for (size_t i = first; i <= t; ++i) {
      mass.push_back(c.present[i] != 0 ? c.layer.Mass(c.tokens.Row(i)) : 0);
    }
    const double evidence =
        c.layer.Read(kernel, c.tokens.view().Rows(first, mass.size()), mass, y.data());
    RC_ASSERT(static_cast<float>(evidence) == whole.evidence[t]);
    for (size_t d = 0; d < y.size(); ++d) RC_ASSERT(y[d] == whole.y.Row(t)[d]);
  }
}

TEST(LagAttention, GradientMatchesFiniteDifferences) {
  Random random(7);
  LagCase c({.width = 4, .look_back = 9}, 25, 0.3, random);
  c.layer.lag.value.Fill(3.4f);  // between two seconds: at one the slope has a kink
  Matrix d_y(25, 4), d_tokens(25, 4);
  FillNormal(&d_y, random);
  d_tokens.Fill(0);
  for (Parameter* p : c.layer.Parameters()) p->grad.Fill(0);
  LagAnswer answer(c);
  c.layer.Backward({c.tokens.view(), c.present}, answer.tape, d_y.view(), d_tokens.view());
  const auto loss = [&] { return Inner(d_y, LagAnswer(c).y); };
  ExpectSlopes(&c.tokens, d_tokens, "tokens", loss);
  for (Parameter* p : c.layer.Parameters()) ExpectSlopes(&p->value, p->grad, p->name, loss);
  for (size_t t = 0; t < 25; ++t) {
    for (size_t d = 0; d < 4 && c.present[t] == 0; ++d) EXPECT_EQ(d_tokens.Row(t)[d], 0.0f);
  }
}

TEST(LagAttention, NothingPresentIsZeroWithoutEvidence) {
  Random random(8);
  const LagCase c({.width = 3, .look_back = 5}, 10, 1.0, random);
  const LagAnswer answer(c);
  for (size_t i = 0; i < answer.y.size(); ++i) EXPECT_EQ(answer.y.data()[i], 0.0f);
  for (const float evidence : answer.evidence) EXPECT_EQ(evidence, 0.0f);
}

}  // namespace
}  // namespace heed::nn
