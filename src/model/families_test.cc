// Composed rankers: files, counts, refusals, requests in groups, averages. Gradients are in
// ranker_gradient_test.cc.
#include <gtest/gtest.h>

#include "model/batch_for_test.h"
#include "model/config_codec.h"
#include "model/ranker_file.h"
#include "model/ranker_net.h"

namespace heed::model {
namespace {

// Every part at once.
RankerConfig Everything() {
  RankerConfig config = SmallConfig();
  BlockConfig mlp, cross, autoint, afm;
  mlp.hidden = {7, 5};
  mlp.batch_norm = true;
  mlp.activation = nn::ActivationKind::kDice;
  mlp.dropout = 0.2f;
  cross.kind = BlockKind::kCross;
  cross.rank = 3;
  autoint.kind = BlockKind::kAutoInt;
  autoint.width = 4;
  afm.kind = BlockKind::kAfm;
  afm.gate = true;
  config.blocks = {mlp, cross, autoint, afm};
  config.pool.temperature = true;
  config.pools = {{"orders", {.kind = PoolKind::kDin, .hidden = {5, 3}}}};
  config.pools[0].pool.encoder = EncoderKind::kTiSasRec;
  config.pool.encoder = EncoderKind::kSasRec;
  config.pool.encoder_layers = 2;
  config.head = {.kind = HeadKind::kPle, .experts = 2, .own_experts = 1, .levels = 2, .width = 6};
  config.links = {{"order", "click"}};
  return config;
}

std::unique_ptr<Ranker> Trained(const RankerConfig& config) {
  auto ranker = Ranker::Create(config, 5);
  EXPECT_TRUE(ranker.ok()) << ranker.status().ToString();
  Random random(8);
  for (int i = 0; i < 4; ++i) {
    const Batch batch = RandomBatch(config.schema, {.requests = 20, .per_request = 2}, random);
    EXPECT_TRUE(ranker.value()->TrainStep(batch, {}).ok());
  }
  return std::move(ranker).value();
}

TEST(Families, AFileGivesBackTheSameRanker) {
  for (const RankerConfig& config : {SmallConfig(), Everything()}) {
    const auto ranker = Trained(config);
    const std::string bytes = ranker->Serialize();
    const auto again = Ranker::Parse(bytes);
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(again.value()->config(), config);
    EXPECT_EQ(again.value()->Serialize(), bytes);
    Random random(2);
    const Batch batch = RandomBatch(config.schema, {.requests = 6, .per_request = 3}, random);
    Scores a, b;
    ASSERT_TRUE(ranker->Forward(batch, true, &a).ok());
    ASSERT_TRUE(again.value()->Forward(batch, true, &b).ok());
    EXPECT_EQ(a.logits, b.logits);
    EXPECT_EQ(ranker->Copy()->Serialize(), bytes);
  }
}

TEST(Families, ARankerWithoutFamiliesIsStillWrittenAsVersionOne) {
  EXPECT_EQ(EncodeConfig(SmallConfig())[0], 1);
  EXPECT_EQ(EncodeConfig(Everything())[0], 2);
}

TEST(Families, CountsAreWhatIsBuilt) {
  RankerConfig gated = Everything();
  for (BlockConfig& block : gated.blocks) block.gate = true;
  gated.head = {.kind = HeadKind::kMmoe, .experts = 3, .width = 4};
  gated.pool = {.kind = PoolKind::kDinSum, .hidden = {4}};
  gated.wide = true;
  for (const RankerConfig& config : {SmallConfig(), Everything(), gated}) {
    Net net(config, 1);
    uint64_t count = 0;
    for (const nn::Parameter* p : net.Parameters()) count += p->value.size();
    EXPECT_EQ(net.layout.DenseCount(config), count);
    for (size_t i = 0; i < net.blocks.size(); ++i) {
      EXPECT_EQ(net.blocks[i]->outputs(), net.layout.outputs[i]);
    }
  }
}

// The request's part is shared by its candidates; alone each scores the same.
TEST(Families, GroupedRequestsScoreAsSingleOnes) {
  const RankerConfig config = Everything();
  const auto ranker = Trained(config);
  Random random(4);
  const Batch grouped =
      RandomBatch(config.schema, {.requests = 1, .per_request = 5, .labels = false}, random);
  Scores together, alone;
  ASSERT_TRUE(ranker->Forward(grouped, true, &together).ok());
  const size_t fields = config.schema.FieldsOf(Side::kCandidate).size();
  const size_t numerics = config.schema.NumericsOf(Side::kCandidate).size();
  for (size_t n = 0; n < 5; ++n) {
    Batch one = grouped;
    one.candidates = 1;
    one.request_of = {0};
    const auto take = [&](auto* values, size_t width) {
      *values = {values->begin() + static_cast<ptrdiff_t>(n * width),
                 values->begin() + static_cast<ptrdiff_t>((n + 1) * width)};
    };
    take(&one.candidate_keys, fields);
    take(&one.candidate_numerics, numerics);
    ASSERT_TRUE(ranker->Forward(one, false, &alone).ok());
    for (size_t t = 0; t < 2; ++t) {
      EXPECT_NEAR(alone.logits[t], together.logits[n * 2 + t], 1e-5f);
    }
    // An order is at most as likely as its click, whatever the weights.
    EXPECT_LE(alone.logits[1], alone.logits[0]);
  }
  EXPECT_EQ(together.attention[0].heads, config.attention_heads);
  EXPECT_EQ(together.attention[1].heads, 1u);
}

TEST(Families, RefusesWhatHasNoSense) {
  const auto refused = [](auto change, const std::string& what) {
    RankerConfig config = Everything();
    change(&config);
    const Status status = ValidateConfig(config);
    EXPECT_FALSE(status.ok()) << what;
    EXPECT_NE(status.message().find(what), std::string::npos) << status.message();
  };
  refused([](RankerConfig* c) { c->pools[0].sequence = "ordrs"; }, "did you mean 'orders'");
  refused([](RankerConfig* c) { c->pools.push_back(c->pools[0]); }, "has a pool");
  refused([](RankerConfig* c) { c->links[0].given = "clik"; }, "did you mean 'click'");
  refused([](RankerConfig* c) { c->links.push_back({"click", "order"}); }, "linked");
  refused([](RankerConfig* c) { c->blocks[2].heads = 3; }, "multiple");
  refused([](RankerConfig* c) { c->blocks[0].dropout = 1.0f; }, "dropout");
  refused([](RankerConfig* c) { c->head.levels = 0; }, "levels");
  refused([](RankerConfig* c) { c->pool.hidden.clear(); }, "hidden");
  refused([](RankerConfig* c) { c->pool.encoder_heads = 5; }, "multiple of the encoder's heads");
}

TEST(Families, TheBaseRateOfALinkedTaskIsThatOfTheProduct) {
  RankerConfig config = Everything();
  config.head = {};
  Net net(config, 3);
  for (nn::Parameter* p : net.Parameters()) p->value.Fill(0.0f);
  net.SetTaskBias({std::log(0.2f / 0.8f), std::log(0.05f / 0.95f)});
  Random random(1);
  const Batch batch = RandomBatch(config.schema, {.requests = 2}, random);
  Workspace work;
  net.Resolve(batch, &work);
  net.Forward(batch, {}, &work);
  EXPECT_NEAR(work.logits.Row(0)[0], std::log(0.2f / 0.8f), 1e-5f);
  EXPECT_NEAR(work.logits.Row(0)[1], std::log(0.05f / 0.95f), 1e-4f);
}

// An average that keeps nothing is the later ranker; one that keeps all stays.
TEST(Families, AnAverageMovesBetweenItsEnds) {
  const RankerConfig config = Everything();
  const auto start = Trained(config);
  const auto later = start->Copy();
  Random random(6);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(
        later->TrainStep(RandomBatch(config.schema, {.requests = 9, .keys = 60}, random), {}).ok());
  }
  const Batch batch = RandomBatch(config.schema, {.requests = 6, .keys = 60}, random);
  const auto logits = [&](float keep) {
    const auto average = start->Copy();
    average->MoveTowards(*later, keep);
    Scores scores;
    EXPECT_TRUE(average->Forward(batch, false, &scores).ok());
    return scores.logits;
  };
  Scores scores;
  ASSERT_TRUE(later->Forward(batch, false, &scores).ok());
  const std::vector<float> all_later = logits(0.0f);
  for (size_t i = 0; i < all_later.size(); ++i) EXPECT_NEAR(all_later[i], scores.logits[i], 1e-5f);
}

}  // namespace
}  // namespace heed::model
