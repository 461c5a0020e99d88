#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "train/evaluate.h"
#include "train/recipe.h"
#include "train/test_world.h"

namespace heed::train {
namespace {

constexpr char kBase[] = R"(name = "base"
dataset = "world.toml"
[ranker]
embedding_width = 4
attention_width = 8
hidden = [8]
admit_after = 3
[train]
batch_size = 64
epochs = 2
)";

std::string Replay(const std::string& rates) {
  return R"(kind = "online_replay"
name = "replay"
recipe = "base.toml"
[online]
delay_s = 3600
window_s = 3600
learn_every_s = 0
viewer_share = 1
label_rate_factor = 100
health_min_worse = 10
health_sudden_false_alarms = 0
[online.optimizer]
)" + rates +
         R"([[baseline]]
metric = "click auc gain"
[[baseline]]
metric = "click auc, frozen"
[[baseline]]
metric = "click auc, online"
[[baseline]]
metric = "click auc gain, low"
[[baseline]]
metric = "click auc gain, high"
)";
}

class OnlineReplayTest : public testing::Test {
 protected:
  OnlineReplayTest() {
    EXPECT_TRUE(LoadWorld(MakeWorld(3, 1'500), folder_).ok());  // writes rows.csv
    folder_.Write("world.toml", WorldSpec());
    folder_.Write("base.toml", kBase);
  }
  std::vector<double> Figures(const std::string& rates) {
    const auto experiment = LoadExperiment(folder_.Write("replay.toml", Replay(rates)));
    EXPECT_TRUE(experiment.ok()) << experiment.status().ToString();
    const auto result = experiment.value()->Reproduce({.folder = folder_.path(), .seed = 5});
    EXPECT_TRUE(result.ok()) << result.status().ToString();
    std::vector<double> values;
    for (const Figure& figure : result.value().figures) values.push_back(figure.value);
    return values;
  }
  TestFolder folder_;
};

TEST_F(OnlineReplayTest, TheFrozenSideIsThePlainEvaluation) {
  const std::vector<double> got = Figures("");
  const auto recipe = LoadRecipe(folder_.path() + "/base.toml");
  const auto data = Dataset::Load(recipe.value().dataset, folder_.path());
  TrainOptions options = recipe.value().train;
  options.seed = 5;
  const auto trained = Train(*data.value(), recipe.value().ranker, options);
  const auto report = Evaluate(*trained.value().ranker, *data.value(), {});
  EXPECT_DOUBLE_EQ(got[1], report.value().tasks[0].metrics.auc);
  EXPECT_NE(got[2], got[1]);
  EXPECT_NEAR(got[0], got[2] - got[1], 1e-12);
  EXPECT_LE(got[3], got[0]);
  EXPECT_GE(got[4], got[0]);
}

TEST_F(OnlineReplayTest, WithoutRatesNothingIsLearned) {
  const std::vector<double> got = Figures("dense_rate = 0\ntable_rate = 0\n");
  // Keys are still admitted, to rows of small random numbers.
  EXPECT_NEAR(got[2], got[1], 0.002);
}

TEST_F(OnlineReplayTest, ErrorsNameTheLine) {
  std::string text = Replay("");
  text.replace(text.find("base.toml"), 9, "bass.toml");
  EXPECT_TRUE(LoadExperiment(folder_.Write("r.toml", text)).status().message().find("r.toml:3") !=
              std::string::npos);
  text = Replay("dense_rat = 1\n");
  EXPECT_TRUE(LoadExperiment(folder_.Write("r.toml", text))
                  .status()
                  .message()
                  .find("unknown key 'dense_rat'") != std::string::npos);
}

}  // namespace
}  // namespace heed::train
