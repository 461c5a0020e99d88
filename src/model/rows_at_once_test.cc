// Rows updated in the backward pass, while they are in the cache, beside rows updated after it.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "model/batch_for_test.h"
#include "model/ranker_net.h"

namespace heed::model {
namespace {

double Step(Net* net, const Batch& batch, const nn::Update& update, bool at_once, Workspace* work) {
  net->CountAndResolve(batch, work);
  net->Forward(batch, {.phase = nn::Phase::kTrain}, work);
  const double loss = net->Backward(batch, work, at_once ? &update : nullptr);
  for (size_t t = 0; t < net->tables.size(); ++t) net->tables[t].Apply(update, work->d_rows[t]);
  return loss;
}

void ExpectSameTables(const RankerConfig& config, const nn::Update& update) {
  Net later(config, 3), at_once(config, 3);
  Random random(9);
  Workspace work, work_at_once;
  size_t fewer = 0;
  for (int step = 0; step < 4; ++step) {
    const Batch batch =
        RandomBatch(config.schema, {.requests = 12, .per_request = 2, .keys = 200}, random);
    const double loss = Step(&later, batch, update, false, &work);
    EXPECT_NEAR(Step(&at_once, batch, update, true, &work_at_once), loss, 1e-6);
    for (size_t t = 0; t < later.tables.size(); ++t) {
      fewer += work.d_rows[t].rows().size() - work_at_once.d_rows[t].rows().size();
      const auto want = later.tables[t].values(), got = at_once.tables[t].values();
      ASSERT_EQ(want.size(), got.size());
      for (size_t i = 0; i < want.size(); ++i) {
        ASSERT_NEAR(want[i], got[i], 1e-5) << "table " << t << ", step " << step;
      }
    }
  }
  EXPECT_GT(fewer, 0u) << "no row was updated at once";
}

TEST(RowsAtOnce, AreTheSameAsLater) {
  for (const nn::Rule rule : {nn::Rule::kAdagrad, nn::Rule::kAdam}) {
    for (const uint32_t projection : {0, 6}) {
      RankerConfig config = SmallConfig();
      config.projection = projection;
      ExpectSameTables(config,
                       {.rule = rule, .rate = 0.05f, .epsilon = 1e-3f, .l2 = 0.01f, .step = 2});
      config.pools = {{"orders", {.kind = PoolKind::kDin, .hidden = {4}}}};
      ExpectSameTables(config, {.rule = rule, .rate = 0.05f, .epsilon = 1e-3f, .step = 2});
      config.pools[0].pool.activation = nn::ActivationKind::kPRelu;
      ExpectSameTables(config, {.rule = rule, .rate = 0.05f, .epsilon = 1e-3f, .step = 2});
    }
  }
}

TEST(RowsAtOnce, TheSameBytesWhateverTheThreads) {
  for (const auto tables : {OptimizerConfig::Kind::kAdagrad, OptimizerConfig::Kind::kAdam}) {
    RankerConfig config = SmallConfig();
    config.projection = 6;
    config.admit_after = 2;
    config.pools = {
        {"orders",
         {.kind = PoolKind::kDin, .hidden = {4}, .activation = nn::ActivationKind::kPRelu}}};
    std::string alone;
    for (const size_t threads : {1, 2, 3}) {
      const auto ranker = Ranker::Create(config, 3);
      ASSERT_TRUE(ranker.ok());
      ranker.value()->SetThreads(threads);
      Random random(9);
      for (int step = 0; step < 5; ++step) {
        const Batch batch = RandomBatch(config.schema, {.requests = 300, .keys = 2000}, random);
        ASSERT_TRUE(ranker.value()->TrainStep(batch, {.dense = tables, .tables = tables}).ok());
      }
      const std::string bytes = ranker.value()->Serialize();
      if (threads == 1) alone = bytes;
      EXPECT_TRUE(bytes == alone) << threads << " threads";
    }
  }
}

TEST(RowsAtOnce, NothingMovesWhenTheLossIsNotFinite) {
  const RankerConfig config = SmallConfig();
  Net net(config, 3);
  Random random(9);
  const Batch batch = RandomBatch(config.schema, {.requests = 12}, random);
  Workspace work;
  net.CountAndResolve(batch, &work);
  std::vector<nn::Floats> before;
  for (const nn::EmbeddingTable& table : net.tables) before.push_back(table.values());
  net.Forward(batch, {.phase = nn::Phase::kTrain}, &work);
  work.logits.Row(0)[0] = std::numeric_limits<float>::quiet_NaN();
  const nn::Update update{.rule = nn::Rule::kAdagrad};
  EXPECT_TRUE(std::isnan(net.Backward(batch, &work, &update)));
  for (size_t t = 0; t < net.tables.size(); ++t) EXPECT_EQ(before[t], net.tables[t].values());
}

}  // namespace
}  // namespace heed::model
