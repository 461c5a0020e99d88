#include "train/learning_health.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstdio>
#include <deque>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "train/learning_guards.h"
#include "train/progressive.h"

namespace heed::train {
namespace {

using Verdict = LearningHealth::Verdict;

// Log losses of two models of the same truth, whose logits differ by independent noise and an offset.
struct Pair {
  double live = 0, shadow = 0;
};
Pair Draw(double noise, double offset, Random* random) {
  const double logit = -2 + random->Normal();
  const bool positive = random->Chance(1 / (1 + std::exp(-logit)));
  const auto loss = [&](double z) { return std::log1p(std::exp(positive ? -z : z)); };
  return {loss(logit + noise * random->Normal() + offset), loss(logit + noise * random->Normal())};
}

// Runs of 20,000 examples, the distance between promotions, that end in a rollback.
double RollbackRate(const HealthOptions& options, double noise, double offset, int runs) {
  int rolled_back = 0;
  for (int run = 0; run < runs; ++run) {
    LearningHealth health(options);
    Random random(static_cast<uint64_t>(run) + 1);
    for (uint64_t i = 0; i < 20'000; ++i) {
      const Pair pair = Draw(noise, offset, &random);
      const Verdict verdict = health.Add(pair.live, pair.shadow);
      if (verdict == Verdict::kRollback) ++rolled_back;
      if (verdict != Verdict::kNone) break;
    }
  }
  return rolled_back / static_cast<double>(runs);
}

TEST(LearningHealth, FalseAlarmsAreRareAlthoughItLooksOften) {
  // Equal models that disagree by noise in their logits. Without the floor a tenth of the runs ends in a
  // rollback, at any noise; docs/learning.md has the rates of 400 runs each.
  EXPECT_LE(RollbackRate({}, 0.1, 0, 50), 0.02);
  EXPECT_LE(RollbackRate({}, 0.3, 0, 50), 0.20);
  HealthOptions zero;
  zero.min_worse = 0;
  EXPECT_GE(RollbackRate(zero, 0.1, 0, 50), 0.04);
}

TEST(LearningHealth, AWorseModelIsFound) { EXPECT_GT(RollbackRate({}, 0.3, 1.0, 50), 0.99); }

TEST(LearningHealth, WhatIsNoNumberIsNoHealth) {
  LearningHealth health({.window = 100, .min_examples = 10, .check_every = 10});
  Verdict verdict = Verdict::kNone;
  for (int i = 0; i < 10; ++i) {
    verdict = health.Add(std::numeric_limits<double>::quiet_NaN(), 0.3);
  }
  EXPECT_EQ(verdict, Verdict::kRollback);
}

TEST(LearningHealth, MeanAndErrorAreThoseOfTheWindow) {
  const HealthOptions options{.window = 50, .min_examples = 1'000'000};
  LearningHealth health(options);
  std::deque<double> last;
  Random random(4);
  for (int i = 0; i < 500; ++i) {
    const double live = random.Uniform() * 1e3, shadow = random.Uniform();
    (void)health.Add(live, shadow);
    last.push_back(live - shadow);
    if (last.size() > 50) last.pop_front();
  }
  double mean = 0, squares = 0;
  for (const double d : last) mean += d / 50;
  for (const double d : last) squares += (d - mean) * (d - mean);
  EXPECT_NEAR(health.summary().difference, mean, 1e-6);
  EXPECT_NEAR(health.summary().standard_error, std::sqrt(squares / 49 / 50), 1e-6);
}

RC_GTEST_PROP(InfluenceCap, NeverMoreThanItsShareOfTheLastSeen, ()) {
  const auto keys = *rc::gen::container<std::vector<uint8_t>>(rc::gen::inRange<uint8_t>(0, 6));
  InfluenceCap cap(0.2, 20);
  std::deque<std::pair<uint8_t, bool>> last;
  for (const uint8_t key : keys) {
    last.emplace_back(key, cap.Admit(key));
    if (last.size() > 20) last.pop_front();
    std::map<uint8_t, int> admitted;
    int refused_for_nothing = 0;
    for (const auto& [one, in] : last) admitted[one] += in ? 1 : 0;
    for (const auto& [one, count] : admitted) RC_ASSERT(count <= 4);
    if (!last.back().second) refused_for_nothing = admitted[key] < 4 ? 1 : 0;
    // It refuses when the share is full, and only then: the one refused is itself no part of it.
    RC_ASSERT(refused_for_nothing == 0 || last.size() == 20);
  }
}

TEST(LabelRateGuard, ASteadyRateRaisesNothing) {
  LabelRateGuard guard({.window = 500, .horizon = 5'000, .min_matured = 1'000}, 1);
  Random random(1);
  bool alarm = false;
  for (uint64_t id = 1; id <= 50'000; ++id) {
    guard.Shown(id);
    const bool positive = random.Chance(0.05);
    if (positive) alarm |= guard.Positive(id, 0);
    alarm |= guard.Matured(0, positive);
  }
  EXPECT_FALSE(alarm);
  EXPECT_NEAR(guard.long_run_rate(0), 0.05, 0.02);
}

TEST(LabelRateGuard, TooManyAreSeenAtOnceAndTooFewWhenTheyAreDue) {
  const LabelRateOptions options{.window = 500, .horizon = 5'000, .min_matured = 1'000};
  const auto until_alarm = [&](double rate, bool matures) {
    LabelRateGuard guard(options, 1);
    Random random(2);
    for (uint64_t id = 1; id <= 10'000; ++id) {
      const bool early = id <= 5'000;
      guard.Shown(id);
      const bool positive = random.Chance(early ? 0.3 : rate);
      if (positive && guard.Positive(id, 0)) return static_cast<int>(id) - 5'000;
      if ((early || matures) && guard.Matured(0, positive)) return static_cast<int>(id) - 5'000;
    }
    return 0;
  };
  EXPECT_EQ(until_alarm(0.3, true), 0);
  EXPECT_GT(until_alarm(0.9, false), 0);  // none of their windows has ended
  EXPECT_LT(until_alarm(0.9, false), 500);
  EXPECT_GT(until_alarm(0.0, true), 0);
  EXPECT_LT(until_alarm(0.0, true), 600);
}

TEST(Progressive, MeasuresTheWindowAndCorrects) {
  Progressive progressive(2, 3);
  progressive.Add(0, 1, 0.9f, false);
  progressive.Add(0, 2, 0.2f, false);
  progressive.Add(0, 3, 0.4f, true);
  progressive.Add(0, 4, 0.8f, false);  // the first is out
  EXPECT_FALSE(progressive.Correct(0, 1));
  MetricSet set = progressive.Measured(0);
  EXPECT_EQ(set.rows, 3);
  EXPECT_EQ(set.auc, 0.5);
  EXPECT_NEAR(set.pcoc, 1.4, 1e-6);
  EXPECT_TRUE(progressive.Correct(0, 4));
  set = progressive.Measured(0);
  EXPECT_EQ(set.auc, 1.0);
  EXPECT_NEAR(set.pcoc, 0.7, 1e-6);
  EXPECT_EQ(progressive.Measured(1).rows, 0);
}

TEST(InputDrift, DivergenceByHand) {
  EXPECT_DOUBLE_EQ((InputDrift::Numeric{0, 1, 0}.divergence()), 0);
  // A shift by half a deviation alone: its square.
  EXPECT_DOUBLE_EQ((InputDrift::Numeric{0.5, 1, 0}.divergence()), 0.25);
  // Twice the deviation: (4 + 1/4 - 2) / 2.
  EXPECT_DOUBLE_EQ((InputDrift::Numeric{0, 2, 0}.divergence()), 1.125);
  EXPECT_TRUE(std::isinf((InputDrift::Numeric{0, 0, 0}.divergence())));
}

}  // namespace
}  // namespace heed::train
