#include "nn/fusion.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

#include "nn/fusion_for_test.h"

namespace heed::nn {
namespace {

FusionCase AnyCase(double missing, Random& random) {
  const size_t heads = *rc::gen::inRange<size_t>(1, 4);
  FusionShape shape{.context_width = *rc::gen::inRange<size_t>(1, 8),
                    .heads = heads,
                    .width = heads * *rc::gen::inRange<size_t>(1, 6)};
  shape.modality_widths =
      *rc::gen::nonEmpty(rc::gen::container<std::vector<size_t>>(rc::gen::inRange<size_t>(1, 9)));
  return {shape, *rc::gen::inRange<size_t>(1, 7), missing, random};
}

RC_GTEST_PROP(Fusion, WeightsSumToOneOverModalitiesAndMissingOnesHaveNone, ()) {
  Random random(*rc::gen::arbitrary<uint64_t>());
  const FusionCase c = AnyCase(0.4, random);
  const FusionAnswer answer(c);
  const size_t M = c.modalities.size();
  for (size_t b = 0; b < c.context.rows(); ++b) {
    for (size_t h = 0; h < c.shape.heads; ++h) {
      const float* w = answer.Weights(c, b, h);
      double sum = w[M];
      for (size_t m = 0; m < M; ++m) {
        RC_ASSERT(c.present[b * M + m] != 0 || w[m] == 0.0f);
        sum += static_cast<double>(w[m]);
      }
      RC_ASSERT(std::abs(sum - 1.0) < 1e-5);
      RC_ASSERT(std::abs(1.0 - static_cast<double>(w[M] + answer.evidence.Row(b)[h])) < 1e-5);
    }
  }
}

RC_GTEST_PROP(Fusion, WhatAMissingModalityHoldsDoesNotMatter, ()) {
  Random random(*rc::gen::arbitrary<uint64_t>());
  const FusionCase c = AnyCase(0.4, random);
  FusionCase other = c;
  const size_t M = c.modalities.size();
  for (size_t i = 0; i < c.present.size(); ++i) {
    if (c.present[i] != 0) continue;
    Matrix& x = other.modalities[i % M];
    std::fill_n(x.Row(i / M), x.cols(), std::nanf(""));
  }
  const FusionAnswer a(c), b(other);
  for (size_t i = 0; i < a.y.size(); ++i) RC_ASSERT(a.y.data()[i] == b.y.data()[i]);
}

RC_GTEST_PROP(Fusion, NothingPresentIsZeroWithoutEvidence, ()) {
  Random random(*rc::gen::arbitrary<uint64_t>());
  const FusionCase c = AnyCase(1.0, random);
  const FusionAnswer answer(c);
  for (size_t i = 0; i < answer.y.size(); ++i) RC_ASSERT(answer.y.data()[i] == 0.0f);
  for (size_t i = 0; i < answer.evidence.size(); ++i) RC_ASSERT(answer.evidence.data()[i] == 0.0f);
}

RC_GTEST_PROP(Fusion, PartsSumToTheWhole, ()) {
  Random random(*rc::gen::arbitrary<uint64_t>());
  const FusionCase c = AnyCase(0.4, random);
  const FusionAnswer answer(c);
  const size_t M = c.modalities.size();
  Matrix parts(answer.y.rows() * M, answer.y.cols());
  c.layer.Parts(answer.tape, parts.view());
  for (size_t b = 0; b < answer.y.rows(); ++b) {
    for (size_t d = 0; d < parts.cols(); ++d) {
      double sum = 0;
      for (size_t m = 0; m < M; ++m) {
        const float part = parts.Row(b * M + m)[d];
        RC_ASSERT(c.present[b * M + m] != 0 || part == 0.0f);
        sum += static_cast<double>(part);
      }
      RC_ASSERT(std::abs(sum - static_cast<double>(answer.y.Row(b)[d])) <
                1e-4 * (1.0 + std::abs(sum)));
    }
  }
}

// The formula of fusion.h, number by number, for one head.
TEST(Fusion, IsWhatTheFormulaSays) {
  Random random(3);
  FusionCase c({.modality_widths = {2, 3}, .context_width = 2, .heads = 1, .width = 4}, 3, 0.3,
               random);
  c.present = {1, 1, 0, 1, 1, 0};
  const FusionAnswer answer(c);
  const std::vector<Parameter*> p =
      c.layer.Parameters();  // P_0 e_0 P_1 e_1, then q, its bias, k v null
  const auto at = [](const Parameter* m, size_t i, size_t j) {
    return static_cast<double>(m->value.data()[i * m->value.cols() + j]);
  };
  for (size_t b = 0; b < 3; ++b) {
    std::vector<double> y(4, 0.0), q(4), scores, weights;
    std::vector<std::vector<double>> values;
    double total = std::exp(at(p[8], 0, 0));
    for (size_t j = 0; j < 4; ++j) {
      q[j] = at(p[5], 0, j);
      for (size_t i = 0; i < 2; ++i)
        q[j] += static_cast<double>(c.context.Row(b)[i]) * at(p[4], i, j);
    }
    for (size_t m = 0; m < 2; ++m) {
      if (c.present[b * 2 + m] == 0) continue;
      std::vector<double> token(4), value(4);
      double score = 0.0;
      for (size_t j = 0; j < 4; ++j) {
        token[j] = at(p[2 * m + 1], 0, j);
        for (size_t i = 0; i < c.modalities[m].cols(); ++i) {
          token[j] += static_cast<double>(c.modalities[m].Row(b)[i]) * at(p[2 * m], i, j);
        }
      }
      for (size_t j = 0; j < 4; ++j) {
        double key = 0.0;
        for (size_t i = 0; i < 4; ++i)
          key += token[i] * at(p[6], i, j), value[j] += token[i] * at(p[7], i, j);
        score += q[j] * key / 2.0;
      }
      total += std::exp(score);
      for (size_t j = 0; j < 4; ++j) y[j] += std::exp(score) * value[j];
    }
    for (size_t j = 0; j < 4; ++j) EXPECT_NEAR(answer.y.Row(b)[j], y[j] / total, 1e-5);
    EXPECT_NEAR(answer.evidence.Row(b)[0], 1.0 - std::exp(at(p[8], 0, 0)) / total, 1e-5);
  }
}

TEST(Fusion, GradientMatchesFiniteDifferences) {
  Random random(7);
  FusionCase c({.modality_widths = {3, 2, 4}, .context_width = 3, .heads = 2, .width = 6}, 4, 0.3,
               random);
  for (size_t m = 0; m < 3; ++m) c.present[3 * 3 + m] = 0;  // a moment with nothing
  Matrix d_y(4, 6), d_evidence(4, 2);
  FillNormal(&d_y, random);
  FillNormal(&d_evidence, random);
  FusionAnswer answer(c);
  const FusionGradient gradient(&c, &answer, d_y, d_evidence);
  const auto probe = [&] {
    const FusionAnswer now(c);
    double sum = 0.0;
    for (size_t i = 0; i < d_y.size(); ++i)
      sum += static_cast<double>(d_y.data()[i] * now.y.data()[i]);
    for (size_t i = 0; i < d_evidence.size(); ++i) {
      sum += static_cast<double>(d_evidence.data()[i] * now.evidence.data()[i]);
    }
    return sum;
  };
  const auto check = [&](Matrix* values, const Matrix& wanted, const std::string& name) {
    for (size_t i = 0; i < values->size(); ++i) {
      float& value = values->data()[i];
      const float saved = value, step = 5e-3f;
      value = saved + step;
      const double above = probe();
      value = saved - step;
      const double below = probe();
      value = saved;
      const double slope = (above - below) / (2.0 * static_cast<double>(step));
      ASSERT_NEAR(slope, static_cast<double>(wanted.data()[i]), 3e-3 * (1.0 + std::abs(slope)))
          << name << "[" << i << "]";
    }
  };
  for (Parameter* p : c.layer.Parameters()) check(&p->value, p->grad, p->name);
  check(&c.context, gradient.d_context, "context");
  for (size_t m = 0; m < 3; ++m) check(&c.modalities[m], gradient.d_modalities[m], "modality");
}

}  // namespace
}  // namespace heed::nn
