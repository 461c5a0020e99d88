#include "train/learning_health.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
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
Pair Draw(double noise, double offset, Random* random, double base = -2, double shadow = -1) {
  const double logit = base + random->Normal();
  const bool positive = random->Chance(1 / (1 + std::exp(-logit)));
  const auto loss = [&](double z) { return std::log1p(std::exp(positive ? -z : z)); };
  return {loss(logit + noise * random->Normal() + offset),
          loss(logit + (shadow < 0 ? noise : shadow) * random->Normal())};
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

// The sequential test alone.
HealthOptions Alone() {
  HealthOptions options;
  options.min_examples = 1'000'000;
  return options;
}

TEST(LearningHealth, SuddenHarmIsSeldomFoundWhereThereIsNone) {
  // One in a thousand at most, whatever the disagreement; docs/learning.md has the rates of 400 runs each.
  for (const double noise : {0.05, 0.3, 1.0}) EXPECT_EQ(RollbackRate(Alone(), noise, 0, 40), 0);
  // With the sign of each difference a coin, and scales that change a thousandfold, it holds as well.
  int found = 0;
  for (uint64_t run = 0; run < 40; ++run) {
    LearningHealth health(Alone());
    Random random(run + 1);
    for (int i = 0; i < 19'000; ++i) {
      const double wide = random.Chance(0.01) ? 5.0 : 0.005 * static_cast<double>(1 + i % 200);
      const double size = wide * random.Normal();
      found += health.Add(random.Chance(0.5) ? size : -size, 0) == Verdict::kRollback ? 1 : 0;
    }
  }
  EXPECT_EQ(found, 0);
}

// Noise in the logits of the two models, of the live one from the moment of harm on, and its offset then.
struct Harm {
  double live, shadow, harmed, offset;
};

// Examples from the moment of harm, after 5,000 without it, to the rollback: the median of 51 runs.
int ExamplesToRollback(const HealthOptions& options, const Harm& harm) {
  std::vector<int> examples;
  for (uint64_t run = 1; run <= 51; ++run) {
    LearningHealth health(options);
    Random random(run);
    int harmed = 0;
    for (int i = 0; harmed < 10'000; ++i) {
      const bool well = i < 5'000;
      const Pair pair =
          Draw(well ? harm.live : harm.harmed, well ? 0 : harm.offset, &random, -2, harm.shadow);
      harmed += well ? 0 : 1;
      if (health.Add(pair.live, pair.shadow) == Verdict::kRollback && !well) break;
    }
    examples.push_back(harmed);
  }
  std::nth_element(examples.begin(), examples.begin() + 25, examples.end());
  return examples[25];
}

TEST(LearningHealth, SuddenHarmIsFoundInFewerExamples) {
  HealthOptions window;
  window.sudden_false_alarms = 0;
  const auto compare = [&](const char* name, const Harm& harm) {
    const std::pair found = {ExamplesToRollback(window, harm), ExamplesToRollback({}, harm)};
    RecordProperty(std::string(name) + "_window", found.first);
    RecordProperty(std::string(name) + "_sudden", found.second);
    return found;
  };
  const auto [slow, fast] = compare("equal_before", {0.3, 0.3, 0.3, 1.5});
  EXPECT_LT(fast, slow);
  // A model that was better than its shadow has that to lose first, by the window.
  for (const double shadow : {0.8, 1.2}) {
    const auto [late, soon] =
        compare(shadow < 1 ? "better_before" : "much_better_before", {0.3, shadow, 1.0, 2.0});
    EXPECT_LT(2 * soon, late);
    EXPECT_LT(soon, 250);
  }
}

TEST(LearningHealth, NoSingleExampleIsTheVerdict) {
  LearningHealth health(Alone());
  for (int i = 0; i < 1'000; ++i) EXPECT_EQ(health.Add(0.3, 0.3), Verdict::kNone);
  // R is 4 and, from n on, at most 6 e^(n / 2): 30 until 20,000 / .001.
  for (int i = 0; i < 29; ++i) EXPECT_EQ(health.Add(1e6, 0), Verdict::kNone);
}

TEST(LearningHealth, WhatIsKnownOfSuddenHarmIsStored) {
  LearningHealth health(Alone()), again(Alone());
  Random random(5);
  for (int i = 0; i < 500; ++i) {
    const Pair pair = Draw(0.3, 0.3, &random);
    (void)health.Add(pair.live, pair.shadow);
  }
  std::string bytes;
  ByteWriter out(bytes);
  health.Write(&out);
  health.WriteSudden(&out);
  ByteReader in(bytes);
  again.Read(&in);
  again.ReadSudden(&in);
  ASSERT_TRUE(in.ok());
  EXPECT_EQ(in.remaining(), 0u);
  for (int i = 0; i < 5'000; ++i) {
    const Pair pair = Draw(0.5, 1.5, &random);
    const Verdict verdict = health.Add(pair.live, pair.shadow);
    ASSERT_EQ(again.Add(pair.live, pair.shadow), verdict);
    if (verdict == Verdict::kRollback) break;
  }
  EXPECT_EQ(health.summary().sudden, 1u);
  EXPECT_EQ(again.summary().sudden, 1u);
}

TEST(LearningHealth, WhatIsNoNumberIsNoHealth) {
  LearningHealth health({.window = 100, .min_examples = 10, .check_every = 10});
  Verdict verdict = Verdict::kNone;
  for (int i = 0; i < 10; ++i) {
    verdict = health.Add(std::numeric_limits<double>::quiet_NaN(), 0.3);
  }
  EXPECT_EQ(verdict, Verdict::kRollback);
}

TEST(LearningHealth, MeanAndErrorAreThoseOfTheWindow) {
  const HealthOptions options{.window = 50, .min_examples = 1'000'000, .sudden_false_alarms = 0};
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

RC_GTEST_PROP(ProgressiveValues, EqualARecomputation, (uint64_t seed)) {
  constexpr size_t kWindow = 40;
  const std::vector<model::TaskSpec> tasks = {
      {"click"}, {"amount", 1.0f, 0.0f, model::TaskKind::kValue, 200.0f}};
  ProgressiveValues values(tasks, kWindow);
  struct One {
    float expected, brought;
  };
  std::vector<One> ended, came;
  Random random(seed);
  const auto some = [&] { return static_cast<float>(random.Below(1'000)) + 0.5f; };
  const size_t steps = random.Below(200);
  for (size_t i = 0; i < steps; ++i) {
    const One one{some(), random.Chance(0.2) ? some() : 0.0f};
    values.Ended(1, i, one.expected, one.brought);
    ended.push_back(one);
    if (random.Chance(0.3)) {
      came.push_back({some(), some()});
      values.Came(1, came.back().expected, came.back().brought);
    }
    const size_t late = random.Below(i + 1);
    if (!random.Chance(0.1) || ended[late].brought > 0) continue;
    RC_ASSERT(values.Correct(1, late, 77.0f) == (late + kWindow > i));
    ended[late].brought = 77.0f;
  }
  const auto last = [](std::vector<One>* all) {
    if (all->size() > kWindow) all->erase(all->begin(), all->end() - kWindow);
  };
  last(&ended), last(&came);
  const ProgressiveValues::Metrics measured = values.Measured(1);
  double expected = 0, brought = 0, paid = 0, off = 0, huber = 0;
  std::vector<std::pair<float, float>> best;
  for (const One& one : ended) {
    expected += static_cast<double>(one.expected), brought += static_cast<double>(one.brought);
    paid += one.brought > 0 ? 1 : 0;
    best.emplace_back(one.expected,
                      -one.brought);  // of equal expectations the smaller amount first
  }
  for (const One& one : came) {
    const double error = std::abs(static_cast<double>(one.expected - one.brought));
    off += error;
    huber += error <= 200 ? error * error / (2 * 200 * 200) : error / 200 - 0.5;
  }
  RC_ASSERT(measured.shown.rows == static_cast<double>(ended.size()));
  RC_ASSERT(measured.shown.paid == paid);
  RC_ASSERT(measured.amounts == static_cast<double>(came.size()));
  if (brought > 0) {
    const auto most = *std::max_element(best.begin(), best.end());  // 1 % of 40 or fewer is one
    RC_ASSERT(std::abs(measured.shown.pcoc - expected / brought) < 1e-9 * expected);
    RC_ASSERT(std::abs(measured.shown.revenue_capture -
                       static_cast<double>(-most.second) / brought) < 1e-9);
  }
  const auto n = static_cast<double>(came.size());
  if (came.empty()) {
    RC_ASSERT(std::isnan(measured.mean_absolute_error));
  } else {
    RC_ASSERT(std::abs(measured.mean_absolute_error - off / n) < 1e-9 * off + 1e-9);
    RC_ASSERT(std::abs(measured.huber - huber / n) < 1e-9);
  }
  // And stored it is the same.
  std::string bytes;
  ByteWriter out(bytes);
  values.Write(&out);
  ProgressiveValues again(tasks, kWindow);
  ByteReader in(bytes);
  again.Read(&in);
  RC_ASSERT(in.ok() && in.remaining() == 0);
  std::string rewritten;
  ByteWriter rewrite(rewritten);
  again.Write(&rewrite);
  RC_ASSERT(rewritten == bytes);
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

}  // namespace
}  // namespace heed::train
