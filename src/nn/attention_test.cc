// What must hold of target attention whatever the numbers, and its gradient by finite differences.
#include "nn/attention.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "nn/attention_for_test.h"

namespace heed::nn {
namespace {

// A case of random sizes; the numbers in it hang on one seed.
AttentionCase RandomCase(bool null_slot, Random& random) {
  const size_t heads = *rc::gen::inRange<size_t>(1, 6);
  const size_t head_width = *rc::gen::inRange<size_t>(1, 9);
  const AttentionShape shape{.query_width = *rc::gen::inRange<size_t>(1, 20),
                             .token_width = *rc::gen::inRange<size_t>(1, 40),
                             .heads = heads,
                             .width = heads * head_width,
                             .null_slot = null_slot};
  const auto lengths =
      *rc::gen::nonEmpty(rc::gen::container<std::vector<uint32_t>>(rc::gen::inRange(0u, 30u)));
  return {shape, lengths, *rc::gen::inRange<size_t>(1, 5), random};
}

Random Seeded() { return Random(*rc::gen::arbitrary<uint64_t>()); }

AttentionForm AnyForm() {
  return *rc::gen::element(AttentionForm::kShared, AttentionForm::kAbsorbed);
}

bool Near(double a, double b, double tolerance = 2e-5) {
  return std::abs(a - b) <= tolerance * (1.0 + std::abs(b));
}

bool Same(const Matrix& a, const Matrix& b, double tolerance = 2e-5) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (!Near(a.data()[i], b.data()[i], tolerance)) return false;
  }
  return a.size() == b.size();
}

RC_GTEST_PROP(Attention, WeightsWithTheNullSlotSumToOne, ()) {
  Random random = Seeded();
  const AttentionCase c = RandomCase(true, random);
  const AttentionAnswer answer(c, AnyForm());
  for (size_t n = 0; n < c.queries.rows(); ++n) {
    for (size_t h = 0; h < c.shape.heads; ++h) {
      const float* w = answer.Weights(c, n, h);
      double sum = 0.0;
      for (size_t t = 0; t <= c.Length(n); ++t) {
        RC_ASSERT(w[t] >= 0.0f);
        sum += static_cast<double>(w[t]);
      }
      RC_ASSERT(Near(sum, 1.0));
      RC_ASSERT(Near(answer.evidence.Row(n)[h], 1.0 - static_cast<double>(w[c.Length(n)])));
    }
  }
}

RC_GTEST_PROP(Attention, BothFormsAgree, ()) {
  Random random = Seeded();
  const AttentionCase c = RandomCase(*rc::gen::arbitrary<bool>(), random);
  const AttentionAnswer shared(c, AttentionForm::kShared), absorbed(c, AttentionForm::kAbsorbed);
  RC_ASSERT(Same(shared.out, absorbed.out, 1e-4));
  RC_ASSERT(Same(shared.evidence, absorbed.evidence, 1e-4));
}

// One more number, the same in every score: only the null slot notices.
RC_GTEST_PROP(Attention, ShiftingAllScoresMattersToTheNullSlotOnly, ()) {
  Random random = Seeded();
  const bool null_slot = *rc::gen::arbitrary<bool>();
  AttentionCase c = RandomCase(null_slot, random);
  const AttentionAnswer before(c);
  for (float& age : c.log_age) age += 2.0f;  // a score falls by 2 lambda
  const AttentionAnswer after(c);
  for (size_t n = 0; n < c.queries.rows(); ++n) {
    for (size_t h = 0; h < c.shape.heads; ++h) {
      const size_t L = c.Length(n);
      const float *a = before.Weights(c, n, h), *b = after.Weights(c, n, h);
      // Odds against the null slot fall by e^(-2 lambda); odds among items stay.
      const double drop =
          null_slot ? std::exp(-2.0 * static_cast<double>(c.layer.decay.value.data()[h])) : 1.0;
      const double scale = null_slot ? static_cast<double>(b[L]) / static_cast<double>(a[L]) : 1.0;
      RC_ASSERT(!null_slot || L == 0 || b[L] >= a[L]);
      for (size_t t = 0; t < L; ++t) {
        RC_ASSERT(Near(b[t], static_cast<double>(a[t]) * scale * drop, 1e-4));
      }
    }
  }
}

RC_GTEST_PROP(Attention, MaskedIsExactlyZeroAndAsIfAbsent, ()) {
  Random random = Seeded();
  AttentionCase c = RandomCase(*rc::gen::arbitrary<bool>(), random);
  for (size_t t = 0; t < c.tokens.rows(); ++t) c.excluded.push_back(random.Chance(0.4));
  const AttentionAnswer masked(c, AnyForm());
  for (size_t n = 0; n < c.queries.rows(); ++n) {
    for (size_t h = 0; h < c.shape.heads; ++h) {
      for (size_t t = 0; t < c.Length(n); ++t) {
        if (c.excluded[c.offsets[c.request_of[n]] + t] != 0) {
          RC_ASSERT(masked.Weights(c, n, h)[t] == 0.0f);
        }
      }
    }
  }
  AttentionCase without = c;
  without.excluded.clear();
  without.log_age.clear();
  size_t kept = 0;
  for (size_t r = 0; r + 1 < c.offsets.size(); ++r) {
    for (size_t t = c.offsets[r]; t < c.offsets[r + 1]; ++t) {
      if (c.excluded[t] != 0) continue;
      std::copy_n(c.tokens.Row(t), c.tokens.cols(), without.tokens.Row(kept++));
      without.log_age.push_back(c.log_age[t]);
    }
    without.offsets[r + 1] = static_cast<uint32_t>(kept);
  }
  without.tokens.Resize(kept, c.tokens.cols());
  const AttentionAnswer absent(without);
  RC_ASSERT(Same(masked.out, absent.out, 1e-4));
  RC_ASSERT(Same(masked.evidence, absent.evidence, 1e-4));
}

RC_GTEST_PROP(Attention, NothingToSeeIsZeroWithoutEvidence, ()) {
  Random random = Seeded();
  AttentionCase c = RandomCase(*rc::gen::arbitrary<bool>(), random);
  if (*rc::gen::arbitrary<bool>()) {
    c.excluded.assign(c.tokens.rows(), 1);  // all masked
  } else {
    std::fill(c.offsets.begin(), c.offsets.end(), 0u);  // all empty
    c.tokens.Resize(0, c.tokens.cols());
    c.log_age.clear();
  }
  const AttentionAnswer answer(c, AnyForm());
  for (size_t i = 0; i < answer.out.size(); ++i) RC_ASSERT(answer.out.data()[i] == 0.0f);
  for (size_t i = 0; i < answer.evidence.size(); ++i) {
    RC_ASSERT(answer.evidence.data()[i] == 0.0f);
  }
}

RC_GTEST_PROP(Attention, OneTokenNeverTakesAllTheWeight, ()) {
  Random random = Seeded();
  const AttentionShape shape{.query_width = 3, .token_width = 5, .heads = 2, .width = 4};
  const AttentionCase c(shape, {1, 1, 1}, 2, random);
  const AttentionAnswer answer(c, AnyForm());
  for (size_t n = 0; n < c.queries.rows(); ++n) {
    for (size_t h = 0; h < 2; ++h) {
      // Beside a high score the null slot's weight is too small to show in the other.
      RC_ASSERT(answer.Weights(c, n, h)[1] > 0.0f);
      RC_ASSERT(answer.Weights(c, n, h)[0] > 0.0f);
    }
  }
}

RC_GTEST_PROP(Attention, ScoresOfAMillionStayFinite, ()) {
  Random random = Seeded();
  AttentionCase c = RandomCase(*rc::gen::arbitrary<bool>(), random);
  for (size_t i = 0; i < c.queries.size(); ++i) c.queries.data()[i] *= 1e6f;
  AttentionAnswer answer(c, AnyForm());
  for (const float w : answer.tape.weights) RC_ASSERT(w >= 0.0f && w <= 1.0f);
  for (size_t i = 0; i < answer.out.size(); ++i) RC_ASSERT(std::isfinite(answer.out.data()[i]));
  Matrix d_queries(c.queries.rows(), c.queries.cols()), d_tokens(c.tokens.rows(), c.tokens.cols());
  d_queries.Fill(0.0f);
  d_tokens.Fill(0.0f);
  c.layer.Backward(c.Input(), &answer.tape, answer.out.view(), answer.evidence.view(),
                   d_queries.view(), d_tokens.view());
  for (size_t i = 0; i < d_tokens.size(); ++i) RC_ASSERT(std::isfinite(d_tokens.data()[i]));
}

// Every token twice: each copy's odds are the old ones, so a token's total odds double.
RC_GTEST_PROP(Attention, DuplicatesWeighDouble, ()) {
  Random random = Seeded();
  const AttentionCase c = RandomCase(true, random);
  AttentionCase twice = c;
  twice.tokens.Resize(2 * c.tokens.rows(), c.tokens.cols());
  for (size_t t = 0; t < c.tokens.rows(); ++t) {
    std::copy_n(c.tokens.Row(t), c.tokens.cols(), twice.tokens.Row(2 * t));
    std::copy_n(c.tokens.Row(t), c.tokens.cols(), twice.tokens.Row(2 * t + 1));
    twice.log_age.push_back(0.0f);
  }
  for (size_t t = 0; t < c.log_age.size(); ++t) {
    twice.log_age[2 * t] = twice.log_age[2 * t + 1] = c.log_age[t];
  }
  for (uint32_t& offset : twice.offsets) offset *= 2;
  const AttentionAnswer one(c), two(twice, AnyForm());
  for (size_t n = 0; n < c.queries.rows(); ++n) {
    for (size_t h = 0; h < c.shape.heads; ++h) {
      const size_t L = c.Length(n);
      const float *a = one.Weights(c, n, h), *b = two.Weights(twice, n, h);
      // e -> 2e of odds: null weight a/(a + 2(1 - a))
      const double null = static_cast<double>(a[L]);
      RC_ASSERT(Near(b[2 * L], null / (null + 2.0 * (1.0 - null)), 1e-4));
      for (size_t t = 0; t < L; ++t) RC_ASSERT(Near(b[2 * t], b[2 * t + 1], 1e-6));
    }
  }
}

RC_GTEST_PROP(Attention, OrderOfTokensDoesNotMatter, ()) {
  Random random = Seeded();
  const AttentionCase c = RandomCase(*rc::gen::arbitrary<bool>(), random);
  AttentionCase turned = c;
  for (size_t r = 0; r + 1 < c.offsets.size(); ++r) {
    const size_t first = c.offsets[r], last = c.offsets[r + 1];
    for (size_t t = first; t < last; ++t) {
      const size_t from = last - 1 - (t - first);
      std::copy_n(c.tokens.Row(from), c.tokens.cols(), turned.tokens.Row(t));
      turned.log_age[t] = c.log_age[from];
    }
  }
  const AttentionAnswer a(c), b(turned, AnyForm());
  RC_ASSERT(Same(a.out, b.out, 1e-4));
  for (size_t n = 0; n < c.queries.rows(); ++n) {
    for (size_t h = 0; h < c.shape.heads; ++h) {
      for (size_t t = 0; t < c.Length(n); ++t) {
        RC_ASSERT(Near(a.Weights(c, n, h)[t], b.Weights(turned, n, h)[c.Length(n) - 1 - t], 1e-4));
      }
    }
  }
}

// A loss that weighs every output differently.
double Probe(const AttentionCase& c, AttentionForm form) {
  const AttentionAnswer answer(c, form);
  double sum = 0.0;
  for (size_t i = 0; i < answer.out.size(); ++i) {
    sum += std::sin(static_cast<double>(i) + 1.0) * static_cast<double>(answer.out.data()[i]);
  }
  for (size_t i = 0; i < answer.evidence.size(); ++i) {
    sum += std::cos(static_cast<double>(i)) * static_cast<double>(answer.evidence.data()[i]);
  }
  return sum;
}

class AttentionGradient : public testing::TestWithParam<std::tuple<AttentionForm, bool, bool>> {};

TEST_P(AttentionGradient, MatchesFiniteDifferences) {
  const AttentionForm form = std::get<0>(GetParam());
  const bool null_slot = std::get<1>(GetParam()), masks = std::get<2>(GetParam());
  Random random(41);
  AttentionCase c(
      {.query_width = 5, .token_width = 6, .heads = 3, .width = 6, .null_slot = null_slot},
      {4, 0, 7, 1}, 2, random);
  if (masks) c.excluded = {0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, 1};
  AttentionAnswer answer(c, form);
  Matrix d_out(answer.out.rows(), answer.out.cols());
  Matrix d_evidence(answer.evidence.rows(), answer.evidence.cols());
  for (size_t i = 0; i < d_out.size(); ++i) {
    d_out.data()[i] = static_cast<float>(std::sin(static_cast<double>(i) + 1.0));
  }
  for (size_t i = 0; i < d_evidence.size(); ++i) {
    d_evidence.data()[i] = static_cast<float>(std::cos(static_cast<double>(i)));
  }
  Matrix d_queries(c.queries.rows(), c.queries.cols()), d_tokens(c.tokens.rows(), c.tokens.cols());
  d_queries.Fill(0.0f);
  d_tokens.Fill(0.0f);
  c.layer.Backward(c.Input(), &answer.tape, d_out.view(), d_evidence.view(), d_queries.view(),
                   d_tokens.view());
  const auto check = [&](Matrix* values, const Matrix& gradient, const std::string& name) {
    double largest = 0.0;
    for (size_t i = 0; i < values->size(); ++i) {
      float& value = values->data()[i];
      const float saved = value, step = 1e-2f;
      value = saved + step;
      const double above = Probe(c, form);
      value = saved - step;
      const double below = Probe(c, form);
      value = saved;
      const double slope = (above - below) / (2.0 * static_cast<double>(step));
      ASSERT_NEAR(slope, static_cast<double>(gradient.data()[i]), 2e-3 * (1.0 + std::abs(slope)))
          << name << "[" << i << "]";
      largest = std::max(largest, std::abs(slope));
    }
    EXPECT_TRUE(largest > 1e-3 || (name == "attention.null_score" && !null_slot)) << name;
  };
  for (Parameter* p : c.layer.Parameters()) check(&p->value, p->grad, p->name);
  check(&c.queries, d_queries, "queries");
  check(&c.tokens, d_tokens, "tokens");
}

INSTANTIATE_TEST_SUITE_P(All, AttentionGradient,
                         testing::Combine(testing::Values(AttentionForm::kShared,
                                                          AttentionForm::kAbsorbed),
                                          testing::Bool(), testing::Bool()));

TEST(MeanPool, CountsOneEmptySlot) {
  Matrix tokens(3, 2), out(3, 2), d_tokens(3, 2);
  for (size_t i = 0; i < 6; ++i) tokens.data()[i] = static_cast<float>(i + 1);
  const std::vector<uint32_t> offsets = {0, 2, 2, 3};
  MeanPoolForward(tokens.view(), offsets, out.view());
  const std::vector<float> want = {4.0f / 3.0f, 2.0f, 0.0f, 0.0f, 2.5f, 3.0f};
  for (size_t i = 0; i < 6; ++i) EXPECT_FLOAT_EQ(out.data()[i], want[i]);
  d_tokens.Fill(1.0f);  // added to, not set
  MeanPoolBackward(offsets, out.view(), d_tokens.view());
  EXPECT_FLOAT_EQ(d_tokens.Row(0)[0], 1.0f + 4.0f / 9.0f);
  EXPECT_FLOAT_EQ(d_tokens.Row(1)[1], 1.0f + 2.0f / 3.0f);
  EXPECT_FLOAT_EQ(d_tokens.Row(2)[0], 2.25f);
}

TEST(TargetAttention, ProjectsOncePerRequestOnlyWhenThatIsLessWork) {
  Random random(1);
  const AttentionShape shape{.query_width = 48, .token_width = 64, .heads = 4, .width = 64};
  const AttentionCase training(shape, std::vector<uint32_t>(8, 50), 1, random);
  const AttentionCase serving(shape, {100}, 500, random);
  EXPECT_EQ(training.layer.BestForm(training.Input()), AttentionForm::kAbsorbed);
  EXPECT_EQ(serving.layer.BestForm(serving.Input()), AttentionForm::kShared);
}

TEST(TargetAttention, DecayIsKeptNonNegative) {
  Random random(1);
  TargetAttention layer("a", {.query_width = 2, .token_width = 2, .heads = 2, .width = 2}, 0.0f,
                        random);
  layer.decay.value.data()[0] = -0.5f;
  layer.decay.value.data()[1] = 0.5f;
  layer.ClampDecay();
  EXPECT_EQ(layer.decay.value.data()[0], 0.0f);
  EXPECT_EQ(layer.decay.value.data()[1], 0.5f);
}

}  // namespace
}  // namespace heed::nn
