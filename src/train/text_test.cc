// Text recipes: reading, splitting, training, judging.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "train/text_experiment.h"
#include "train/text_trainer.h"

namespace heed::train {
namespace {

class TextRecipes : public testing::Test {
 protected:
  TextRecipes() : folder_(testing::TempDir() + "text_recipes") {
    std::filesystem::create_directories(folder_);
    std::string rows = "\xEF\xBB\xBFkind,label,comment\n";
    Random random(1);
    for (int i = 0; i < 400; ++i) {
      rows += "shop," + std::string(i % 2 == 0 ? "-,\"失望，第" : "+,\"喜欢，第") +
              std::to_string(random.Below(1000000)) + "次\"\n";
    }
    rows += "other,?,不算\n";
    Write("rows.csv", rows);
  }
  ~TextRecipes() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << text;
  }
  static std::string Recipe(const std::string& more) {
    return R"(name = "shop"
kind = "text"
[data]
text = "comment"
label = "label"
only_column = "kind"
only = "shop"
file = [{ path = "rows.csv" }]
[[label]]
value = "-"
name = "bad"
[[label]]
value = "+"
name = "good"
[classifier]
width = 4
heads = 2
members = 1
admit_after = 1
)" + more;
  }
  Result<ExperimentResult> Reproduce(const std::string& more) const {
    HEED_ASSIGN_OR_RETURN(const auto experiment, ParseExperiment({Recipe(more), "r.toml", {}}));
    return experiment->Reproduce({.folder = folder_, .seed = 3});
  }
  std::string ErrorOf(const std::string& more) const { return Reproduce(more).status().ToString(); }

  std::string folder_;
};

TEST_F(TextRecipes, FromRowsToFigures) {
  const auto result = Reproduce(R"([[baseline]]
metric = "accuracy"
value = 0.5
[[baseline]]
metric = "accuracy, all folds"
[[baseline]]
metric = "log_loss"
)");
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  ASSERT_EQ(result.value().figures.size(), 3u);
  EXPECT_EQ(result.value().figures[0].value, 1.0);
  EXPECT_EQ(result.value().figures[1].value, 1.0);
  EXPECT_LT(result.value().figures[2].value, 0.2);
}

TEST_F(TextRecipes, TrainingWritesAModelThatKnowsItsLabels) {
  const auto experiment =
      ParseExperiment({Recipe("[train]\nstop_metric = \"log_loss\"\nepochs = 10\n"), "r.toml", {}});
  ASSERT_TRUE(experiment.ok()) << experiment.status().ToString();
  const std::string path = folder_ + "/shop.heed";
  const auto trained = experiment.value()->Train({.folder = folder_, .seed = 1}, path);
  ASSERT_TRUE(trained.ok()) << trained.status().ToString();
  EXPECT_GT(trained.value().valid, -0.3);
  const auto classifier = text::Classifier::Load(path);
  ASSERT_TRUE(classifier.ok());
  const text::Explanation answer = classifier.value()->Explain("真喜欢");
  EXPECT_EQ(classifier.value()->config().labels[answer.label], "good");
}

TEST_F(TextRecipes, ALinearPartIsAskedForInTheRecipe) {
  const auto experiment =
      ParseExperiment({Recipe("linear_share = 0.5\nlinear_cost = 2.0\n"), "r.toml", {}});
  ASSERT_TRUE(experiment.ok()) << experiment.status().ToString();
  const std::string path = folder_ + "/linear.heed";
  ASSERT_TRUE(experiment.value()->Train({.folder = folder_, .seed = 1}, path).ok());
  const auto classifier = text::Classifier::Load(path);
  ASSERT_TRUE(classifier.ok()) << classifier.status().ToString();
  EXPECT_EQ(classifier.value()->config().linear_share, 0.5f);
  EXPECT_EQ(classifier.value()->config().linear_cost, 2.0f);
  // Without a step of the members there is no opinion but the linear part's, and it has one.
  const auto unstepped = ParseExperiment(
      {Recipe("linear_share = 0.5\n[train]\ntable_rate = 0\ndense_rate = 0\nepochs = 1\n"),
       "r.toml",
       {}});
  ASSERT_TRUE(unstepped.ok()) << unstepped.status().ToString();
  ASSERT_TRUE(unstepped.value()->Train({.folder = folder_, .seed = 1}, path).ok());
  const text::Explanation answer = text::Classifier::Load(path).value()->Explain("真喜欢");
  EXPECT_GT(answer.probabilities[1], 0.8f);
}

TEST_F(TextRecipes, MistakesAreNamedWithTheirPlace) {
  const std::string baseline = "[[baseline]]\nmetric = \"accuracy\"\n";
  EXPECT_NE(ErrorOf(baseline + "[train]\nepoch = 3\n").find("did you mean 'epochs'"),
            std::string::npos);
  EXPECT_NE(ErrorOf("linear_share = 1.0\n" + baseline).find("linear_share"), std::string::npos);
  EXPECT_NE(ErrorOf("[[baseline]]\nmetric = \"acuracy\"\n").find("accuracy"), std::string::npos);
  EXPECT_NE(ErrorOf(baseline + "[split]\ntest = 1\n").find("test fold"), std::string::npos);
  EXPECT_NE(ErrorOf("").find("[[baseline]]"), std::string::npos);
  Write("rows.csv", "kind,label,comment\nshop,-,a\nshop,*,b\n");
  EXPECT_NE(ErrorOf(baseline).find("rows.csv:3: '*' is no [[label]] value"), std::string::npos);
  Write("rows.csv", "kind,labels,comment\nshop,-,a\n");
  EXPECT_NE(ErrorOf(baseline).find("no column 'label' (did you mean 'labels'?)"),
            std::string::npos);
}

TEST_F(TextRecipes, SharesAndFilesSplitToo) {
  TextSpec spec;
  spec.text = "comment";
  spec.label = "label";
  spec.only_column = "kind";
  spec.only = {"shop"};
  spec.labels = {{"-", "bad"}, {"+", "good"}};
  spec.files = {{"rows.csv", "test"}};
  spec.by = TextSpec::SplitBy::kShare;
  const auto shares = ReadTexts(spec, folder_);
  ASSERT_TRUE(shares.ok());
  EXPECT_EQ(std::count(shares.value().folds.begin(), shares.value().folds.end(), 2u), 320);
  EXPECT_EQ(std::count(shares.value().folds.begin(), shares.value().folds.end(), 0u), 40);
  spec.by = TextSpec::SplitBy::kFile;
  const auto files = ReadTexts(spec, folder_);
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(std::count(files.value().folds.begin(), files.value().folds.end(), 0u), 400);
}

TEST(TextData, Md5AsANumber) {
  // MD5 of "" is d41d8cd98f00b204e9800998ecf8427e, of "abc" 900150983cd24fb0d6963f7d28e17f72.
  EXPECT_EQ(Md5Modulo("", 10), 6u);
  EXPECT_EQ(Md5Modulo("abc", 16), 2u);
  EXPECT_EQ(Md5Modulo("abc", 1000), 570u);
}

TEST(TextMetrics, WorkedExample) {
  // Right, right, wrong, wrong; class 1 is said three times and is once.
  const std::vector<float> p = {0.9f, 0.1f, 0.2f, 0.8f, 0.4f, 0.6f, 0.3f, 0.7f};
  const std::vector<uint32_t> labels = {0, 1, 0, 0};
  const TextMetrics metrics = MeasureTexts(p, labels, 2);
  EXPECT_EQ(metrics.accuracy, 0.5);
  EXPECT_NEAR(metrics.macro_f1, 0.5 * (2.0 * 1 / (1 + 3) + 2.0 * 1 / (3 + 1)), 1e-9);
  EXPECT_EQ(metrics.auc, 1.0);
  EXPECT_NEAR(metrics.log_loss,
              -(std::log(0.9) + std::log(0.8) + std::log(0.4) + std::log(0.3)) / 4, 1e-6);
}

}  // namespace
}  // namespace heed::train
