// Both poolings against a plain loop, finite differences, and what must hold whatever the numbers.
#include "nn/attention_pooling.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "nn/attention_pooling_for_test.h"
#include "nn/class_loss.h"

namespace heed::nn {
namespace {

Random Seeded() { return Random(*rc::gen::arbitrary<uint64_t>()); }

PoolingShape RandomShape(bool null_slot) {
  return {.item_width = *rc::gen::inRange<size_t>(1, 20),
          .query_width = *rc::gen::inRange<size_t>(0, 6),
          .hidden = *rc::gen::inRange<size_t>(1, 12),
          .heads = *rc::gen::inRange<size_t>(1, 6),
          .value_width = *rc::gen::inRange<size_t>(0, 8),
          .null_slot = null_slot,
          .temperature = *rc::gen::element(0.5f, 1.0f, 3.0f)};
}

PoolingCase RandomCase(bool null_slot, Random& random) {
  const auto lengths =
      *rc::gen::nonEmpty(rc::gen::container<std::vector<uint32_t>>(rc::gen::inRange(0u, 20u)));
  return {*rc::gen::arbitrary<bool>(), RandomShape(null_slot), lengths, random};
}

bool Near(double a, double b, double tolerance = 1e-4) {
  return std::abs(a - b) <= tolerance * (1.0 + std::abs(b));
}

bool Same(const Matrix& a, const Matrix& b, double tolerance = 1e-4) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (!Near(a.data()[i], b.data()[i], tolerance)) return false;
  }
  return a.size() == b.size();
}

// The formulas of the header, one number at a time, in double.
double LoopScore(const PoolingCase& c, size_t b, size_t t, size_t h) {
  const PoolingShape& s = c.shape();
  double score = 0.0;
  if (!c.additive) {
    for (size_t d = 0; d < s.item_width; ++d) {
      score += double(c.softmax_form.score.value.Row(h)[d]) * double(c.items.Row(t)[d]);
    }
  } else {
    const AdditiveAttention& l = c.additive_form;
    for (size_t a = 0; a < s.hidden; ++a) {
      double z = double(l.bias.value.data()[a]);
      for (size_t d = 0; d < s.item_width; ++d) {
        z += double(c.items.Row(t)[d]) * double(l.item.value.Row(d)[a]);
      }
      for (size_t q = 0; q < s.query_width; ++q) {
        z += double(c.queries.Row(b)[q]) * double(l.query.value.Row(q)[a]);
      }
      score += double(l.vector.value.Row(h)[a]) * std::tanh(z);
    }
  }
  return score / double(s.temperature);
}

Matrix LoopOutput(PoolingCase& c) {
  const PoolingShape& s = c.shape();
  const Parameter& value = c.additive ? c.additive_form.value : c.softmax_form.value;
  Matrix out(c.sequences(), s.OutputWidth());
  out.Fill(0.0f);
  for (size_t b = 0; b < c.sequences(); ++b) {
    for (size_t h = 0; h < s.heads; ++h) {
      std::vector<double> mean(s.item_width);
      double mass = s.null_slot ? std::exp(double(c.null_score().value.data()[h])) : 0.0;
      for (size_t t = c.offsets[b]; t < c.offsets[b + 1]; ++t) {
        if (!c.excluded.empty() && c.excluded[t] != 0) continue;
        const double w = std::exp(LoopScore(c, b, t, h));
        mass += w;
        for (size_t d = 0; d < s.item_width; ++d) mean[d] += w * double(c.items.Row(t)[d]);
      }
      if (mass == 0.0) continue;
      const size_t V = s.value_width == 0 ? s.item_width : s.value_width;
      for (size_t v = 0; v < V; ++v) {
        double y = s.value_width == 0 ? mean[v] : 0.0;
        for (size_t d = 0; d < s.item_width && s.value_width > 0; ++d) {
          y += mean[d] * double(value.value.Row(h * s.item_width + d)[v]);
        }
        out.Row(b)[h * V + v] = float(y / mass);
      }
    }
  }
  return out;
}

RC_GTEST_PROP(Pooling, IsThePlainLoop, ()) {
  Random random = Seeded();
  PoolingCase c = RandomCase(*rc::gen::arbitrary<bool>(), random);
  if (*rc::gen::arbitrary<bool>()) {
    for (size_t t = 0; t < c.items.rows(); ++t) c.excluded.push_back(random.Chance(0.3));
  }
  RC_ASSERT(Same(PoolingAnswer(c).out, LoopOutput(c)));
}

RC_GTEST_PROP(Pooling, WeightsSumToOneOverItems, ()) {
  Random random = Seeded();
  const PoolingCase c = RandomCase(*rc::gen::arbitrary<bool>(), random);
  const PoolingAnswer answer(c);
  for (size_t b = 0; b < c.sequences(); ++b) {
    for (size_t h = 0; h < c.shape().heads; ++h) {
      double sum = 0.0;
      for (size_t t = 0; t <= c.Length(b); ++t) sum += double(answer.Weights(c, b, h)[t]);
      const bool any = c.Length(b) > 0 || c.shape().null_slot;
      const double want = any ? 1.0 : 0.0;
      RC_ASSERT(Near(sum, want));
    }
  }
}

// Softmax form: moving every item along w moves every score by the same number.
RC_GTEST_PROP(Pooling, AddingAConstantToTheScoresChangesNothing, ()) {
  Random random = Seeded();
  const PoolingShape shape{.item_width = *rc::gen::inRange<size_t>(1, 20), .heads = 1};
  PoolingCase c(false, shape, {5, 0, 1, 9}, random);
  const PoolingAnswer before(c);
  for (size_t t = 0; t < c.items.rows(); ++t) {
    for (size_t d = 0; d < c.items.cols(); ++d) {
      c.items.Row(t)[d] += c.softmax_form.score.value.data()[d];
    }
  }
  const PoolingAnswer after(c);
  for (size_t i = 0; i < before.tape.weights.size(); ++i) {
    RC_ASSERT(Near(before.tape.weights[i], after.tape.weights[i]));
  }
}

RC_GTEST_PROP(Pooling, ExcludedIsAsIfAbsentAndGetsNoGradient, ()) {
  Random random = Seeded();
  PoolingCase c = RandomCase(*rc::gen::arbitrary<bool>(), random);
  for (size_t t = 0; t < c.items.rows(); ++t) c.excluded.push_back(random.Chance(0.4));
  PoolingAnswer masked(c);
  PoolingCase without = c;
  without.excluded.clear();
  size_t kept = 0;
  for (size_t b = 0; b < c.sequences(); ++b) {
    for (size_t t = c.offsets[b]; t < c.offsets[b + 1]; ++t) {
      if (c.excluded[t] == 0)
        std::copy_n(c.items.Row(t), c.items.cols(), without.items.Row(kept++));
      for (size_t h = 0; h < c.shape().heads && c.excluded[t] != 0; ++h) {
        RC_ASSERT(masked.Weights(c, b, h)[t - c.offsets[b]] == 0.0f);
      }
    }
    without.offsets[b + 1] = static_cast<uint32_t>(kept);
  }
  without.items.Resize(kept, c.items.cols());
  const PoolingAnswer absent(without);
  RC_ASSERT(Same(masked.out, absent.out));
  RC_ASSERT(Same(masked.evidence, absent.evidence));
  Matrix d_out(masked.out.rows(), masked.out.cols());
  Matrix d_evidence(masked.evidence.rows(), masked.evidence.cols());
  FillNormal(&d_out, random);
  FillNormal(&d_evidence, random);
  masked.Backward(c, d_out, d_evidence);
  for (size_t t = 0; t < c.items.rows(); ++t) {
    for (size_t d = 0; d < c.items.cols() && c.excluded[t] != 0; ++d) {
      RC_ASSERT(masked.d_items.Row(t)[d] == 0.0f);
    }
  }
}

RC_GTEST_PROP(Pooling, NothingToSeeIsZeroWithoutEvidence, ()) {
  Random random = Seeded();
  PoolingCase c = RandomCase(*rc::gen::arbitrary<bool>(), random);
  c.excluded.assign(c.items.rows(), 1);
  const PoolingAnswer answer(c);
  for (size_t i = 0; i < answer.out.size(); ++i) RC_ASSERT(answer.out.data()[i] == 0.0f);
  for (size_t i = 0; i < answer.evidence.size(); ++i) {
    RC_ASSERT(answer.evidence.data()[i] == 0.0f);
  }
}

RC_GTEST_PROP(Pooling, OneItemHasWeightOneAndLessWithTheNullSlot, ()) {
  Random random = Seeded();
  const bool null_slot = *rc::gen::arbitrary<bool>();
  const PoolingCase c(*rc::gen::arbitrary<bool>(), RandomShape(null_slot), {1, 1, 1}, random);
  const PoolingAnswer answer(c);
  for (size_t b = 0; b < 3; ++b) {
    for (size_t h = 0; h < c.shape().heads; ++h) {
      // Beside a high score the null slot's weight is too small to show in the other.
      const float* w = answer.Weights(c, b, h);
      const bool right = null_slot ? w[1] > 0.0f : w[0] == 1.0f;
      RC_ASSERT(right);
    }
  }
}

RC_GTEST_PROP(Pooling, ScoresOfAMillionStayFinite, ()) {
  Random random = Seeded();
  PoolingCase c = RandomCase(*rc::gen::arbitrary<bool>(), random);
  Parameter& direction = c.additive ? c.additive_form.vector : c.softmax_form.score;
  for (size_t i = 0; i < direction.value.size(); ++i) direction.value.data()[i] *= 1e6f;
  PoolingAnswer answer(c);
  for (const float w : answer.tape.weights) RC_ASSERT(w >= 0.0f && w <= 1.0f);
  for (size_t i = 0; i < answer.out.size(); ++i) RC_ASSERT(std::isfinite(answer.out.data()[i]));
  answer.Backward(c, answer.out, answer.evidence);
  for (size_t i = 0; i < answer.d_items.size(); ++i) {
    RC_ASSERT(std::isfinite(answer.d_items.data()[i]));
  }
}

// Every item twice, one copy right after the other: with the null slot its odds double.
RC_GTEST_PROP(Pooling, DuplicatesWeighDouble, ()) {
  Random random = Seeded();
  const PoolingCase c = RandomCase(true, random);
  PoolingCase twice = c;
  twice.items.Resize(2 * c.items.rows(), c.items.cols());
  for (size_t t = 0; t < c.items.rows(); ++t) {
    std::copy_n(c.items.Row(t), c.items.cols(), twice.items.Row(2 * t));
    std::copy_n(c.items.Row(t), c.items.cols(), twice.items.Row(2 * t + 1));
  }
  for (uint32_t& offset : twice.offsets) offset *= 2;
  const PoolingAnswer one(c), two(twice);
  for (size_t b = 0; b < c.sequences(); ++b) {
    for (size_t h = 0; h < c.shape().heads; ++h) {
      const double null = double(one.Weights(c, b, h)[c.Length(b)]);
      const float* w = two.Weights(twice, b, h);
      RC_ASSERT(Near(w[2 * c.Length(b)], null / (null + 2.0 * (1.0 - null))));
      for (size_t t = 0; t < c.Length(b); ++t) RC_ASSERT(Near(w[2 * t], w[2 * t + 1], 1e-6));
    }
  }
}

RC_GTEST_PROP(Pooling, PermutingItemsPermutesWeights, ()) {
  Random random = Seeded();
  const PoolingCase c = RandomCase(*rc::gen::arbitrary<bool>(), random);
  PoolingCase turned = c;
  for (size_t b = 0; b < c.sequences(); ++b) {
    for (size_t t = 0; t < c.Length(b); ++t) {
      std::copy_n(c.items.Row(c.offsets[b + 1] - 1 - t), c.items.cols(),
                  turned.items.Row(c.offsets[b] + t));
    }
  }
  const PoolingAnswer a(c), b(turned);
  RC_ASSERT(Same(a.out, b.out));
  for (size_t s = 0; s < c.sequences(); ++s) {
    for (size_t h = 0; h < c.shape().heads; ++h) {
      for (size_t t = 0; t < c.Length(s); ++t) {
        RC_ASSERT(Near(a.Weights(c, s, h)[t], b.Weights(turned, s, h)[c.Length(s) - 1 - t]));
      }
    }
  }
}

// A loss that weighs every output differently.
double Probe(const PoolingCase& c) {
  const PoolingAnswer answer(c);
  double sum = 0.0;
  for (size_t i = 0; i < answer.out.size(); ++i) {
    sum += std::sin(double(i) + 1.0) * double(answer.out.data()[i]);
  }
  for (size_t i = 0; i < answer.evidence.size(); ++i) {
    sum += std::cos(double(i)) * double(answer.evidence.data()[i]);
  }
  return sum;
}

class PoolingGradient : public testing::TestWithParam<std::tuple<bool, bool, bool, bool>> {};

TEST_P(PoolingGradient, MatchesFiniteDifferences) {
  const auto [additive, null_slot, projected, masks] = GetParam();
  Random random(41);
  PoolingCase c(additive,
                {.item_width = 5,
                 .query_width = projected ? 3u : 0u,
                 .hidden = 4,
                 .heads = 3,
                 .value_width = projected ? 2u : 0u,
                 .null_slot = null_slot,
                 .temperature = 1.5f},
                {4, 0, 7, 1}, random);
  if (masks) c.excluded = {0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1};
  PoolingAnswer answer(c);
  Matrix d_out(answer.out.rows(), answer.out.cols());
  Matrix d_evidence(answer.evidence.rows(), answer.evidence.cols());
  for (size_t i = 0; i < d_out.size(); ++i) d_out.data()[i] = float(std::sin(double(i) + 1.0));
  for (size_t i = 0; i < d_evidence.size(); ++i) d_evidence.data()[i] = float(std::cos(double(i)));
  answer.Backward(c, d_out, d_evidence);
  const auto check = [&](Matrix* values, const Matrix& gradient, const std::string& name) {
    double largest = 0.0;
    for (size_t i = 0; i < values->size(); ++i) {
      float& number = values->data()[i];
      const float saved = number, step = 1e-2f;
      number = saved + step;
      const double above = Probe(c);
      number = saved - step;
      const double below = Probe(c);
      number = saved;
      const double slope = (above - below) / (2.0 * double(step));
      ASSERT_NEAR(slope, double(gradient.data()[i]), 2e-3 * (1.0 + std::abs(slope)))
          << name << "[" << i << "]";
      largest = std::max(largest, std::abs(slope));
    }
    EXPECT_TRUE(values->size() == 0 || largest > 1e-3) << name;
  };
  for (Parameter* p : c.Parameters()) check(&p->value, p->grad, p->name);
  check(&c.items, answer.d_items, "items");
  if (additive) check(&c.queries, answer.d_queries, "queries");
}

INSTANTIATE_TEST_SUITE_P(All, PoolingGradient,
                         testing::Combine(testing::Bool(), testing::Bool(), testing::Bool(),
                                          testing::Bool()));

TEST(ClassLoss, WorkedExample) {
  Matrix logits(2, 3), d(2, 3);
  logits.Fill(0.0f);
  logits.Row(1)[2] = std::log(2.0f);  // p = 1/4, 1/4, 1/2
  const std::vector<uint32_t> labels = {0, 2};
  EXPECT_NEAR(ClassLoss(logits.view(), labels, {}, d.view()), (std::log(3.0) + std::log(2.0)) / 2,
              1e-6);
  EXPECT_NEAR(d.Row(0)[0], -1.0 / 3, 1e-6);
  EXPECT_NEAR(d.Row(1)[2], -0.25, 1e-6);
  const std::vector<float> weights = {3, 1, 1};
  EXPECT_NEAR(ClassLoss(logits.view(), labels, {.class_weights = weights}, d.view()),
              (3 * std::log(3.0) + std::log(2.0)) / 4, 1e-6);
  const std::vector<float> none = {0, 0, 0};
  EXPECT_EQ(ClassLoss(logits.view(), labels, {.class_weights = none}, d.view()), 0.0);
  EXPECT_EQ(d.Row(1)[2], 0.0f);
}

TEST(ClassLoss, MatchesFiniteDifferences) {
  Random random(3);
  Matrix logits(5, 4), d(5, 4), scratch(5, 4);
  FillNormal(&logits, random, 2.0);
  const std::vector<uint32_t> labels = {0, 3, 1, 1, 2};
  const std::vector<float> weights = {0.5f, 2.0f, 0.0f, 1.0f};
  const ClassLossOptions options{.class_weights = weights, .smoothing = 0.1f};
  ClassLoss(logits.view(), labels, options, d.view());
  for (size_t i = 0; i < logits.size(); ++i) {
    const float saved = logits.data()[i];
    logits.data()[i] = saved + 1e-2f;
    const double above = ClassLoss(logits.view(), labels, options, scratch.view());
    logits.data()[i] = saved - 1e-2f;
    const double below = ClassLoss(logits.view(), labels, options, scratch.view());
    logits.data()[i] = saved;
    EXPECT_NEAR((above - below) / 2e-2, double(d.data()[i]), 1e-4);
  }
}

}  // namespace
}  // namespace heed::nn
