#include "train/pruning.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "train/evaluate.h"
#include "train/test_world.h"
#include "train/trainer.h"

namespace heed::train {
namespace {

class PruningTest : public testing::Test {
 protected:
  void SetUp() override {
    auto loaded = LoadWorld(MakeWorld(3, 4000), folder_);
    ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
    data_ = std::move(loaded).value();
    config_.schema = data_->schema();
    config_.embedding_width = 4;
    config_.attention_heads = 4;
    config_.attention_width = 8;
    config_.hidden = {16};
    config_.head = {.kind = model::HeadKind::kMmoe, .experts = 3, .width = 8};
    auto trained = Train(*data_, config_, {.batch_size = 64, .epochs = 2});
    ASSERT_TRUE(trained.ok()) << trained.status().ToString();
    ranker_ = std::move(trained.value().ranker);
  }

  double ValidAuc(const model::Ranker& ranker) {
    const auto report = Evaluate(ranker, *data_, {.split = Split::kValid});
    EXPECT_TRUE(report.ok());
    double sum = 0;
    for (const TaskReport& task : report.value().tasks) sum += task.metrics.auc;
    return sum / static_cast<double>(report.value().tasks.size());
  }

  TestFolder folder_;
  std::unique_ptr<Dataset> data_;
  model::RankerConfig config_;
  std::unique_ptr<model::Ranker> ranker_;
};

TEST_F(PruningTest, StaysWithinTheBudgetAndSaysWhatItCost) {
  size_t last = ranker_->Serialize().size() + 1;
  for (const double budget : {0.0, 0.003, 0.5}) {
    size_t told = 0;
    const auto pruned =
        Prune(*ranker_, *data_, {.budget = budget}, [&](const PruneTrial&) { ++told; });
    ASSERT_TRUE(pruned.ok()) << pruned.status().ToString();
    const PruneReport& report = pruned.value().report;
    EXPECT_LE(report.auc_loss, budget);
    EXPECT_NEAR(report.auc, ValidAuc(*ranker_), 1e-9);
    EXPECT_NEAR(report.auc - report.auc_loss, ValidAuc(*pruned.value().ranker), 1e-9);
    EXPECT_EQ(told, report.trials.size());
    for (const PruneTrial& trial : report.trials) {
      EXPECT_FALSE(trial.dropped && trial.auc_loss > budget) << trial.what;
    }
    EXPECT_EQ(report.heads, pruned.value().ranker->config().attention_heads);
    EXPECT_EQ(report.experts, pruned.value().ranker->config().head.experts);
    const size_t size = pruned.value().ranker->Serialize().size();
    EXPECT_LE(size, last);
    last = size;
    if (budget < 0.5) continue;
    EXPECT_EQ(report.heads, 1u);  // anything may go
    EXPECT_EQ(report.experts, 1u);
    EXPECT_LT(report.rows, report.rows_before / 10);
  }
}

TEST_F(PruningTest, LeavesAloneWhatItIsNotAskedFor) {
  const auto pruned =
      Prune(*ranker_, *data_, {.budget = 0.5, .heads = false, .experts = false, .rows = false});
  ASSERT_TRUE(pruned.ok());
  EXPECT_TRUE(pruned.value().report.trials.empty());
  EXPECT_EQ(pruned.value().ranker->Serialize(), ranker_->Serialize());
}

TEST_F(PruningTest, SaysWhatIsWrong) {
  EXPECT_EQ(Prune(*ranker_, *data_, {.budget = -1}).status().field(), "budget");
  EXPECT_EQ(Prune(*ranker_, *data_, {.split = Split::kNone}).status().field(), "split");
  config_.schema.tasks[0].name = "other";
  const auto other = model::Ranker::Create(config_, 1);
  ASSERT_TRUE(other.ok());
  EXPECT_NE(Prune(*other.value(), *data_, {}).status().message().find("other"), std::string::npos);
}

}  // namespace
}  // namespace heed::train
