#include "train/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/random.h"

namespace heed::train {
namespace {

// P(score of a positive > score of a negative) + half of P(equal), by looking at every pair.
double AucByPairs(const Predictions& p, const std::vector<uint32_t>& rows) {
  double good = 0, pairs = 0;
  for (const uint32_t i : rows) {
    for (const uint32_t j : rows) {
      if (!(p.labels[i] > 0.5f && p.labels[j] < 0.5f)) continue;
      pairs += 1;
      good += p.scores[i] > p.scores[j] ? 1.0 : (p.scores[i] == p.scores[j] ? 0.5 : 0.0);
    }
  }
  return pairs > 0 ? good / pairs : std::nan("");
}

Predictions RandomPredictions(uint64_t seed, uint32_t rows, uint32_t groups, uint32_t levels) {
  Random random(seed);
  Predictions p;
  for (uint32_t i = 0; i < rows; ++i) {
    const auto level = static_cast<float>(random.Below(levels));
    p.scores.push_back(level);
    p.probabilities.push_back((level + 0.5f) / static_cast<float>(levels));
    p.labels.push_back(random.Chance(0.2 + 0.5 * p.probabilities.back()) ? 1.0f : 0.0f);
    p.groups.push_back(static_cast<uint32_t>(random.Below(groups)) * 1000);
  }
  return p;
}

TEST(Metrics, HandComputed) {
  const Predictions p{.scores = {0.1f, 0.4f, 0.35f, 0.8f},
                      .probabilities = {0.1f, 0.4f, 0.35f, 0.8f},
                      .labels = {0, 0, 1, 1},
                      .groups = {1, 1, 1, 2}};
  const MetricSet m = Measure(p);
  EXPECT_EQ(m.rows, 4);
  EXPECT_EQ(m.positives, 2);
  EXPECT_DOUBLE_EQ(m.auc, 0.75);  // of the four pairs one is the wrong way round
  EXPECT_DOUBLE_EQ(m.gauc, 0.5);  // group 2 has one class only
  const double loss = -(std::log(0.9) + std::log(0.6) + std::log(0.35) + std::log(0.8)) / 4;
  EXPECT_NEAR(m.log_loss, loss, 1e-7);
  EXPECT_NEAR(m.normalized_entropy, loss / std::log(2.0), 1e-7);
  EXPECT_NEAR(m.pcoc, 1.65 / 2, 1e-6);
  EXPECT_NEAR(m.ece, (0.1 + 0.65 + 0.4 + 0.2) / 4, 1e-6);  // four bins of one row
}

TEST(Metrics, GaucIsWeightedByImpressions) {
  // Group 7: AUC 1 on two rows; group 9: AUC 0 on three rows.
  const Predictions p{.scores = {2, 1, 1, 2, 3},
                      .probabilities = {.5f, .5f, .5f, .5f, .5f},
                      .labels = {1, 0, 1, 0, 0},
                      .groups = {7, 7, 9, 9, 9}};
  EXPECT_DOUBLE_EQ(Measure(p).gauc, 2.0 / 5.0);
}

TEST(Metrics, OneClassHasNoAuc) {
  const Predictions p{
      .scores = {1, 2}, .probabilities = {.5f, .5f}, .labels = {1, 1}, .groups = {0, 0}};
  const MetricSet m = Measure(p);
  EXPECT_TRUE(std::isnan(m.auc));
  EXPECT_TRUE(std::isnan(m.gauc));
  EXPECT_TRUE(std::isnan(m.normalized_entropy));
}

TEST(Metrics, RowsWithoutLabelAreLeftOut) {
  Predictions p = RandomPredictions(3, 200, 5, 20);
  const MetricSet before = Measure(p);
  for (int i = 0; i < 30; ++i) {
    p.scores.push_back(100), p.probabilities.push_back(0.99f);
    p.labels.push_back(std::nanf("")), p.groups.push_back(0);
  }
  const MetricSet after = Measure(p);
  EXPECT_EQ(before.auc, after.auc);
  EXPECT_EQ(before.log_loss, after.log_loss);
  EXPECT_EQ(before.rows, after.rows);
}

TEST(Metrics, AgreeWithPairwiseDefinition) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    // Few levels: most scores are tied.
    const Predictions p = RandomPredictions(seed, 120, 6, seed % 2 == 0 ? 4 : 1000);
    std::vector<uint32_t> all(p.labels.size());
    std::map<uint32_t, std::vector<uint32_t>> groups;
    for (uint32_t i = 0; i < all.size(); ++i) all[i] = i, groups[p.groups[i]].push_back(i);
    const MetricSet m = Measure(p);
    EXPECT_NEAR(m.auc, AucByPairs(p, all), 1e-12) << seed;
    EXPECT_NEAR(Auc(p.scores, p.labels), AucByPairs(p, all), 1e-12) << seed;
    double sum = 0, rows = 0;
    for (const auto& [group, members] : groups) {
      const double auc = AucByPairs(p, members);
      if (std::isnan(auc)) continue;
      sum += auc * static_cast<double>(members.size());
      rows += static_cast<double>(members.size());
    }
    EXPECT_NEAR(m.gauc, sum / rows, 1e-12) << seed;
  }
}

TEST(Metrics, WeightedAucEqualsRepeatedRows) {
  const std::vector<float> scores = {1, 2, 2, 3}, labels = {0, 1, 0, 1};
  const std::vector<double> weights = {3, 1, 2, 1};
  const std::vector<float> repeated = {1, 1, 1, 2, 2, 2, 3},
                           repeated_labels = {0, 0, 0, 1, 0, 0, 1};
  EXPECT_DOUBLE_EQ(Auc(scores, labels, weights), Auc(repeated, repeated_labels));
}

TEST(Metrics, RankingHandComputed) {
  // Group 1: positives at places 2 and 3. Group 2: its positive is tied with a negative, so it
  // comes second. Group 3 has no positive.
  const Predictions p{.scores = {9, 8, 7, 6, 5, 5, 1},
                      .probabilities = {},
                      .labels = {0, 1, 1, 0, 1, 0, 0},
                      .groups = {1, 1, 1, 1, 2, 2, 3}};
  const RankingMetrics at1 = MeasureRanking(p, 1);
  EXPECT_EQ(at1.groups, 2u);
  EXPECT_DOUBLE_EQ(at1.hit_rate, 0);
  const RankingMetrics at2 = MeasureRanking(p, 2);
  EXPECT_DOUBLE_EQ(at2.hit_rate, 1);
  const double second = 1 / std::log2(3.0);
  EXPECT_DOUBLE_EQ(at2.ndcg, (second / (1 + second) + second) / 2);
  const RankingMetrics at3 = MeasureRanking(p, 3);
  EXPECT_DOUBLE_EQ(at3.ndcg, ((second + 0.5) / (1 + second) + second) / 2);
}

TEST(Metrics, BootstrapCoversAndRepeats) {
  const Predictions p = RandomPredictions(5, 2000, 80, 50);
  const MetricSet m = Measure(p);
  const MetricIntervals a = Bootstrap(p, 200, 1), b = Bootstrap(p, 200, 1),
                        c = Bootstrap(p, 200, 2);
  EXPECT_LT(a.auc.low, m.auc);
  EXPECT_GT(a.auc.high, m.auc);
  EXPECT_LT(a.log_loss.low, m.log_loss);
  EXPECT_GT(a.log_loss.high, m.log_loss);
  EXPECT_LT(a.gauc.low, m.gauc);
  EXPECT_GT(a.gauc.high, m.gauc);
  EXPECT_EQ(a.auc.low, b.auc.low);
  EXPECT_NE(a.auc.low, c.auc.low);
  // The standard error of this AUC is about .012, so the interval is about .05 wide.
  EXPECT_GT(a.auc.high - a.auc.low, 0.02);
  EXPECT_LT(a.auc.high - a.auc.low, 0.10);
}

TEST(Metrics, TheGainIsOfTheSameDraws) {
  Random random(9);
  Predictions a, b;
  for (uint32_t i = 0; i < 2'000; ++i) {
    const bool positive = random.Chance(0.3);
    const auto score = static_cast<float>(random.Normal() + (positive ? 1 : 0));
    a.scores.push_back(score + static_cast<float>(0.5 * random.Normal()));
    b.scores.push_back(score);
    a.labels.push_back(positive ? 1.0f : 0.0f);
    a.groups.push_back(i / 10);
  }
  b.labels = a.labels;
  b.groups = a.groups;
  const Interval none = BootstrapAucGain(a, a, 50, 1), gain = BootstrapAucGain(a, b, 200, 1);
  EXPECT_EQ(none.low, 0);
  EXPECT_EQ(none.high, 0);
  const double point = Auc(b.scores, b.labels) - Auc(a.scores, a.labels);
  EXPECT_GT(gain.low, 0);
  EXPECT_LT(gain.low, point);
  EXPECT_GT(gain.high, point);
  // Narrower than the AUC's own interval: most of what a draw changes, it changes for both.
  const Interval own = Bootstrap(a, 200, 1).auc;
  EXPECT_LT(gain.high - gain.low, 0.7 * (own.high - own.low));
}

TEST(Metrics, BootstrapDrawsWholeGroups) {
  // Every group is a copy of the same rows, so any draw of groups has the same metrics.
  Predictions p;
  for (uint32_t g = 0; g < 10; ++g) {
    for (int i = 0; i < 6; ++i) {
      p.scores.push_back(static_cast<float>(i)), p.probabilities.push_back(0.5f);
      p.labels.push_back(i % 2 == 0 ? 0.0f : 1.0f), p.groups.push_back(g);
    }
  }
  const MetricIntervals i = Bootstrap(p, 50, 1);
  EXPECT_DOUBLE_EQ(i.auc.low, i.auc.high);
  EXPECT_NEAR(i.log_loss.low, i.log_loss.high, 1e-12);
}

}  // namespace
}  // namespace heed::train
