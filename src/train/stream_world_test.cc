#include "train/stream_world.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "train/experiment.h"

namespace heed::train {
namespace {

TEST(StreamWorld, ProbabilitiesAreThoseOfTheClicksAndChangeWhereTheyShould) {
  const StreamWorldOptions options{.train_rows = 20'000,
                                   .stream_rows = 20'000,
                                   .kinds = 5,
                                   .items = 4,
                                   .drift_at = 10'000,
                                   .drift_share = 1.0};
  const StreamWorld world(options, 3);
  const auto& stream = world.samples_of(Split::kTest);
  ASSERT_EQ(stream.size(), 20'000u);
  double probability = 0, clicks = 0, variance = 0, changed = 0, same = 0, delay_s = 0;
  double before[5][4] = {};
  for (size_t i = 0; i < stream.size(); ++i) {
    const StreamWorld::Row& row = world.row(stream[i]);
    probability += row.probability;
    variance += row.probability * (1 - row.probability);
    clicks += row.clicked ? 1 : 0;
    delay_s += static_cast<double>(row.delay_ms) / 1e3;
    double& known = before[row.kind][row.item];
    if (known == 0) known = row.probability;
    (i < 10'000 ? same : changed) += std::abs(row.probability - known);
  }
  EXPECT_LT(std::abs(clicks - probability), 4 * std::sqrt(variance));
  EXPECT_EQ(same, 0);
  EXPECT_GT(changed / 10'000, 0.05);
  EXPECT_GT(delay_s / 20'000, 0.2 * options.delay_s);
  EXPECT_LT(delay_s / 20'000, 1.8 * options.delay_s);
}

// The recipes at a tenth of their size, where the effects are still far from their bounds.
std::string Recipe(const std::string& figures, const std::string& world,
                   const std::string& online) {
  std::string text = "kind = \"online_world\"\nname = \"w\"\nmargin = 0.03\n[world]\n" + world +
                     "[ranker]\nembedding_width = 4\nhidden = [16]\ninit_deviation = 0.1\n"
                     "[train]\nepochs = 4\npatience = 4\nbatch_size = 256\n"
                     "[train.optimizer]\ndense_rate = 0.01\ntable_rate = 0.01\n[online]\n" +
                     online;
  size_t at = 0;
  while (at < figures.size()) {
    const size_t end = figures.find(';', at);
    text += "[[baseline]]\nmetric = \"" + figures.substr(at, end - at) + "\"\n";
    at = end + 1;
  }
  return text;
}

ExperimentResult Reproduce(const std::string& text) {
  const auto experiment = ParseExperiment({text, "w.toml", {}});
  EXPECT_TRUE(experiment.ok()) << experiment.status().ToString();
  auto result = experiment.value()->Reproduce({.seed = 1});
  EXPECT_TRUE(result.ok()) << result.status().ToString();
  return result.ok() ? std::move(result).value() : ExperimentResult{};
}

TEST(OnlineWorld, TheLearnerComesBackAfterADriftAndTheFrozenRankerDoesNot) {
  const ExperimentResult result = Reproduce(
      Recipe("rows to recover;regret before the drift, frozen;regret at the end, frozen;",
             "train_rows = 30_000\nstream_rows = 25_000\nkinds = 6\nitems = 8\ndrift_at = 5_000\n",
             "window_s = 60\nhealth_min_worse = 0.05\n[online.optimizer]\ndense_rate = 0.002\n"
             "table_rate = 0.1\n"));
  ASSERT_EQ(result.figures.size(), 3u);
  EXPECT_LT(result.figures[0].value, 20'000);
  EXPECT_LT(result.figures[1].value, 0.02);
  EXPECT_GT(result.figures[2].value, result.figures[1].value + 0.06);
}

TEST(OnlineWorld, TheLedgerIsCalibratedWhereAShortWindowIsNot) {
  const ExperimentResult result = Reproduce(
      Recipe("pcoc, ledger;pcoc, short window;",
             "train_rows = 20_000\nstream_rows = 40_000\nkinds = 6\nitems = 8\nrows_per_s = 10\n"
             "delay_s = 240\n",
             "window_s = 90\ncorrection_s = 2_400\n[online.optimizer]\ntable_rate = 0.03\n"));
  ASSERT_EQ(result.figures.size(), 2u);
  EXPECT_NEAR(result.figures[0].value, 1.0, 0.05);
  EXPECT_LT(result.figures[1].value, 0.7);
}

}  // namespace
}  // namespace heed::train
