// Learned attention beside the truth it was made from; heed reproduce attention-recovery is the long
// form.
#include <gtest/gtest.h>

#include <numeric>

#include "train/recovery_world.h"
#include "train/trainer.h"

namespace heed::train {
namespace {

TEST(RecoveryWorld, TrueWeightsSumToOneAndNoiseHasNone) {
  const RecoveryWorld world({.rows = 500}, 3);
  size_t only_noise = 0;
  for (const uint32_t sample : world.samples_of(Split::kTrain)) {
    const auto weights = world.TrueWeights(sample);
    EXPECT_NEAR(std::accumulate(weights.begin(), weights.end(), 0.0), 1.0, 1e-5);
    if (!world.OnlyNoise(sample)) continue;
    ++only_noise;
    EXPECT_GT(weights.back(), 0.999f);
  }
  EXPECT_GT(only_noise, 20u);
}

TEST(AttentionRecovery, FindsTheTrueWeightsFromClicksAlone) {
  const RecoveryWorld world({.rows = 200'000, .types = 20, .candidates = 10}, 7);
  const model::RankerConfig config{.schema = world.schema(),
                                   .embedding_width = 8,
                                   .attention_heads = 1,
                                   .attention_width = 8,
                                   .hidden = {},
                                   .mean_pool = false,
                                   .init_deviation = 0.3f};
  TrainOptions options{.batch_size = 1024, .epochs = 6, .calibrate = false};
  options.optimizer.dense_rate = options.optimizer.table_rate = 0.02f;
  options.schedule = TrainOptions::Schedule::kLinear;
  options.patience = 6;
  options.stop_metric = TrainOptions::StopMetric::kLogLoss;
  const auto trained = Train(world, config, options);
  ASSERT_TRUE(trained.ok()) << trained.status().ToString();
  const auto found = MeasureRecovery(*trained.value().ranker, world, Split::kTest);
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  EXPECT_GE(found.value().correlation, 0.9);
  EXPECT_GE(found.value().null_on_noise, 0.6);
  EXPECT_GE(found.value().null_on_noise, found.value().null_on_others + 0.3);

  // An untrained one does not: the measure can fail.
  const auto fresh = model::Ranker::Create(config, 7);
  const auto before = MeasureRecovery(*fresh.value(), world, Split::kTest);
  EXPECT_LT(before.value().correlation, 0.7);
  EXPECT_LT(before.value().null_on_noise, before.value().null_on_others + 0.1);
}

}  // namespace
}  // namespace heed::train
