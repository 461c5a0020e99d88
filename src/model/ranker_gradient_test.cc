// The gradient of the whole ranker against finite differences, weight by weight.
#include <gtest/gtest.h>

#include <cmath>

#include "model/batch_for_test.h"
#include "model/ranker_net.h"
#include "nn/loss.h"

namespace heed::model {
namespace {

// Training's statistics without its dropout: what Backward differentiates.
constexpr Pass kPass{.phase = nn::Phase::kTrain};

double LossOf(const Net& net, const Batch& batch, Workspace* work) {
  net.Forward(batch, kPass, work);
  nn::Matrix d(batch.candidates, net.config.schema.tasks.size());
  return net.Loss(batch, work->logits.view(), d.view());
}

// Central difference of the loss by one weight. The step is large because the forward pass is in
// floats.
double SlopeOver(const Net& net, const Batch& batch, float* weight, float step, Workspace* work) {
  const float saved = *weight;
  *weight = saved + step;
  const float up = *weight;
  const double above = LossOf(net, batch, work);
  *weight = saved - step;
  const float down = *weight;
  const double below = LossOf(net, batch, work);
  *weight = saved;
  return (above - below) / static_cast<double>(up - down);
}

// NaN where two steps disagree: there the rectifier has a kink, and no slope to compare with.
double Slope(const Net& net, const Batch& batch, float* weight, Workspace* work) {
  const double wide = SlopeOver(net, batch, weight, 4e-3f, work);
  const double narrow = SlopeOver(net, batch, weight, 1e-3f, work);
  const bool smooth = std::abs(wide - narrow) <= 2e-4 + 1e-2 * std::abs(wide);
  return smooth ? wide : std::nan("");
}

struct Tally {
  size_t checked = 0, off = 0, kinks = 0;
  double largest = 0.0;
  void Add(double want, double got) {
    largest = std::max(largest, std::abs(got));
    if (std::isnan(want)) {
      ++kinks;
      return;
    }
    ++checked;
    if (std::abs(want - got) > 2e-4 + 2e-2 * std::abs(want)) ++off;
  }
};

void CheckGradient(RankerConfig config, uint32_t per_request) {
  ASSERT_TRUE(ValidateConfig(config).ok());
  Net net(config, 11);
  Random random(23);
  for (nn::Parameter* p : net.Parameters()) {  // away from the zeros that hide mistakes
    for (size_t i = 0; i < p->value.size(); ++i) {
      p->value.data()[i] += static_cast<float>(random.Uniform(0.0, 0.3));
    }
  }
  const Batch batch =
      RandomBatch(config.schema, {.requests = 6, .per_request = per_request}, random);
  ASSERT_TRUE(batch.Validate(config.schema).ok());
  Workspace work, probe;
  net.CountAndResolve(batch, &work);
  net.Resolve(batch, &probe);
  net.Forward(batch, kPass, &work);
  net.Backward(batch, &work);

  Tally all;
  for (nn::Parameter* p : net.Parameters()) {
    Tally tally;
    for (size_t i = 0; i < p->value.size(); ++i) {
      const double slope = Slope(net, batch, p->value.data() + i, &probe);
      tally.Add(slope, static_cast<double>(p->grad.data()[i]));
    }
    EXPECT_LE(tally.off, tally.checked / 20 + 1) << p->name;
    EXPECT_TRUE(p->value.size() == 0 || tally.largest > 0.0) << p->name << " is not wired in";
    all.checked += tally.checked;
    all.off += tally.off;
    all.kinks += tally.kinks;
  }
  for (size_t t = 0; t < net.tables.size(); ++t) {
    const nn::RowGradient& gradient = work.d_rows[t];
    ASSERT_FALSE(gradient.rows().empty());
    for (size_t i = 0; i < gradient.rows().size(); ++i) {
      auto* row = const_cast<float*>(net.tables[t].Row(gradient.rows()[i]));
      for (size_t j = 0; j < net.tables[t].width(); ++j) {
        all.Add(Slope(net, batch, row + j, &probe), static_cast<double>(gradient.Of(i)[j]));
      }
    }
  }
  EXPECT_LE(all.off, all.checked / 50) << "of " << all.checked;
  EXPECT_LE(all.kinks, all.checked / 5) << "of " << all.checked;
}

TEST(RankerGradient, OneCandidateARequest) { CheckGradient(SmallConfig(), 1); }

TEST(RankerGradient, ManyCandidatesARequest) { CheckGradient(SmallConfig(), 9); }

TEST(RankerGradient, Wide) {
  RankerConfig config = SmallConfig();
  config.wide = true;
  CheckGradient(config, 3);
}

TEST(RankerGradient, Values) {
  RankerConfig config = SmallConfig();
  config.wide = true;
  config.schema.tasks.push_back({"amount", 0.7f, 1.0f, TaskKind::kValue, 2.5f, "order"});
  CheckGradient(config, 3);
}

// A family each, on top of the same inputs. Dice and batch norm see batches of 6 and more rows.
BlockConfig Of(BlockKind kind) {
  BlockConfig block;
  block.kind = kind;
  block.hidden = {7, 5};
  block.width = 4;
  block.gate_hidden = 3;
  return block;
}

TEST(RankerGradient, CrossBesideAnMlp) {
  RankerConfig config = SmallConfig();
  config.blocks = {Of(BlockKind::kMlp), Of(BlockKind::kCross), Of(BlockKind::kCross)};
  config.blocks[2].rank = 3;
  CheckGradient(config, 3);
}

TEST(RankerGradient, AutoIntAndAfm) {
  RankerConfig config = SmallConfig();
  config.blocks = {Of(BlockKind::kMlp), Of(BlockKind::kAutoInt), Of(BlockKind::kAfm)};
  CheckGradient(config, 3);
}

TEST(RankerGradient, GatedBlocks) {
  RankerConfig config = SmallConfig();
  config.blocks = {Of(BlockKind::kMlp), Of(BlockKind::kCross), Of(BlockKind::kAfm)};
  for (BlockConfig& block : config.blocks) block.gate = true;
  CheckGradient(config, 3);
}

TEST(RankerGradient, BatchNormAndEachActivation) {
  for (const nn::ActivationKind kind :
       {nn::ActivationKind::kRelu, nn::ActivationKind::kPRelu, nn::ActivationKind::kDice}) {
    RankerConfig config = SmallConfig();
    config.blocks = {Of(BlockKind::kMlp)};
    config.blocks[0].batch_norm = true;
    config.blocks[0].activation = kind;
    CheckGradient(config, 3);
  }
}

TEST(RankerGradient, DinUnits) {
  for (const PoolKind kind : {PoolKind::kDin, PoolKind::kDinSum}) {
    for (const nn::ActivationKind activation :
         {nn::ActivationKind::kPRelu, nn::ActivationKind::kDice}) {
      RankerConfig config = SmallConfig();
      config.pool = {.kind = kind, .hidden = {5, 3}, .activation = activation};
      CheckGradient(config, 1);
      CheckGradient(config, 3);
    }
  }
}

TEST(RankerGradient, OneHistoryEachWay) {
  RankerConfig config = SmallConfig();
  config.pools = {{"orders", {.kind = PoolKind::kDin, .hidden = {4}}}};
  CheckGradient(config, 2);
}

TEST(RankerGradient, EncodedHistories) {
  for (const EncoderKind encoder : {EncoderKind::kSasRec, EncoderKind::kTiSasRec}) {
    RankerConfig config = SmallConfig();
    config.pool.encoder = encoder;
    config.pool.encoder_layers = 2;
    config.pools = {{"orders", {.kind = PoolKind::kDin, .hidden = {4}, .encoder = encoder}}};
    CheckGradient(config, 2);
  }
}

TEST(RankerGradient, ProjectionUnderEachPool) {
  for (const PoolKind kind : {PoolKind::kDot, PoolKind::kDin, PoolKind::kDinSum}) {
    RankerConfig config = SmallConfig();
    config.projection = 6;
    config.pool = {.kind = kind, .hidden = {5, 3}};
    CheckGradient(config, 1);
    CheckGradient(config, 3);
  }
}

// The item vector is read by both blocks and both histories.
TEST(RankerGradient, ProjectionUnderEncodersAndTwoBlocks) {
  for (const EncoderKind encoder : {EncoderKind::kSasRec, EncoderKind::kTiSasRec}) {
    RankerConfig config = SmallConfig();
    config.projection = 6;
    config.wide = true;
    config.pool.encoder = encoder;
    config.pool.temperature = true;
    config.pools = {{"orders", {.kind = PoolKind::kDin, .hidden = {4}, .encoder = encoder}}};
    config.blocks = {Of(BlockKind::kMlp), Of(BlockKind::kCross)};
    CheckGradient(config, 2);
  }
}

TEST(RankerGradient, ProjectionWithoutHistories) {
  RankerConfig config = SmallConfig();
  config.schema.sequences.clear();
  config.projection = 3;
  CheckGradient(config, 2);
}

TEST(RankerGradient, Temperature) {
  RankerConfig config = SmallConfig();
  config.pool.temperature = true;
  CheckGradient(config, 1);
  CheckGradient(config, 9);
}

TEST(RankerGradient, ExpertHeads) {
  RankerConfig config = SmallConfig();
  config.head = {.kind = HeadKind::kMmoe, .experts = 3, .width = 4};
  CheckGradient(config, 2);
  config.head = {.kind = HeadKind::kPle, .experts = 2, .own_experts = 2, .levels = 2, .width = 4};
  CheckGradient(config, 2);
}

TEST(RankerGradient, LinkedTasks) {
  RankerConfig config = SmallConfig();
  config.schema.tasks = {{"order", 0.5f, 3.0f}, {"click", 1.0f, 1.0f}, {"cart", 2.0f, 1.0f}};
  config.links = {{"cart", "click"}, {"order", "cart"}};
  CheckGradient(config, 2);
}

TEST(RankerGradient, WithoutNullSlotPoolOrHiddenLayers) {
  RankerConfig config = SmallConfig();
  config.null_slot = false;
  config.mean_pool = false;
  config.hidden.clear();
  // The null score then has no part in anything.
  Net net(config, 1);
  Random random(5);
  const Batch batch = RandomBatch(config.schema, {.requests = 6}, random);
  Workspace work, probe;
  net.CountAndResolve(batch, &work);
  net.Resolve(batch, &probe);
  net.Forward(batch, kPass, &work);
  net.Backward(batch, &work);
  for (nn::Parameter* p : net.Parameters()) {
    for (size_t i = 0; i < p->value.size(); ++i) {
      ASSERT_NEAR(SlopeOver(net, batch, p->value.data() + i, 4e-3f, &probe),
                  static_cast<double>(p->grad.data()[i]), 1e-3)
          << p->name;
    }
  }
}

}  // namespace
}  // namespace heed::model
