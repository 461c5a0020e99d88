#include "model/prune.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/batch_for_test.h"
#include "model/ranker_net.h"

namespace heed::model {
namespace {

std::unique_ptr<Ranker> Trained(const RankerConfig& config) {
  auto ranker = Ranker::Create(config, 5);
  EXPECT_TRUE(ranker.ok()) << ranker.status().ToString();
  Random random(6);
  for (int step = 0; step < 5; ++step) {
    const Batch batch = RandomBatch(config.schema, {.requests = 8, .per_request = 2}, random);
    EXPECT_TRUE(ranker.value()->TrainStep(batch, {.dense_rate = 0.05f, .table_rate = 0.05f}).ok());
  }
  return std::move(ranker).value();
}

std::vector<float> Logits(const Ranker& ranker, const Batch& batch) {
  Scores scores;
  EXPECT_TRUE(ranker.Forward(batch, false, &scores).ok());
  return scores.logits;
}

Batch Judging(const RankerConfig& config) {
  Random random(9);
  return RandomBatch(config.schema, {.requests = 5, .per_request = 7}, random);
}

void ExpectSame(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 2e-5) << i;
}

// A head is gone when nothing reads it: its columns' weights put to zero say the same.
TEST(WithoutHeads, EqualsARankerThatReadsNothingOfThem) {
  RankerConfig config = SmallConfig();
  config.attention_heads = 3;
  config.attention_width = 12;
  config.blocks = {{.hidden = {9, 5}, .batch_norm = true},
                   {.hidden = {6}, .activation = nn::ActivationKind::kPRelu}};
  const auto ranker = Trained(config);
  const Batch batch = Judging(config);
  const std::vector<uint32_t> heads = {2, 0};  // of the histories "views" and "orders"
  for (const bool with_mean : {false, true}) {
    Net deaf(ranker->net());
    const Layout& layout = deaf.layout;
    std::vector<float> mean;
    for (size_t i = 0; with_mean && i < layout.candidate_width; ++i) {
      mean.push_back(0.01f * static_cast<float>(i));
    }
    for (const auto& block : deaf.blocks) {
      nn::Parameter* weight = block->Parameters()[0];
      nn::Parameter* bias = block->Parameters()[1];
      for (size_t s = 0; s < 2; ++s) {
        std::vector<size_t> columns = {layout.sequences[s].evidence_column + heads[s]};
        for (size_t i = 0; i < 4; ++i) {
          columns.push_back(layout.sequences[s].out_column + heads[s] * 4 + i);
        }
        for (const size_t column : columns) {
          float* row = weight->value.Row(layout.request_width + column);
          for (size_t n = 0; n < weight->value.cols(); ++n) {
            if (with_mean) bias->value.data()[n] += mean[column] * row[n];
            row[n] = 0.0f;
          }
        }
      }
    }
    const auto pruned = WithoutHeads(*ranker, heads, mean);
    ASSERT_TRUE(pruned.ok()) << pruned.status().ToString();
    EXPECT_EQ(pruned.value()->config().attention_heads, 2u);
    EXPECT_LT(pruned.value()->Serialize().size(), ranker->Serialize().size());
    const std::vector<float> want = Logits(*Ranker::Of(deaf), batch);
    ExpectSame(Logits(*pruned.value(), batch), want);
    float moved = 0.0f;
    const std::vector<float> whole = Logits(*ranker, batch);
    for (size_t i = 0; i < want.size(); ++i) moved = std::max(moved, std::abs(want[i] - whole[i]));
    EXPECT_GT(moved, 1e-3f) << "the heads said nothing to begin with";
    // It is a ranker like any other: loads again, trains on.
    const auto loaded = Ranker::Parse(pruned.value()->Serialize());
    ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
    EXPECT_EQ(Logits(*loaded.value(), batch), Logits(*pruned.value(), batch));
    EXPECT_TRUE(loaded.value()->TrainStep(batch, {}).ok());
  }
}

TEST(WithoutHeads, SaysWhatIsWrong) {
  const auto ranker = Trained(SmallConfig());
  EXPECT_EQ(WithoutHeads(*ranker, {0}, {}).status().field(), "heads");
  EXPECT_EQ(WithoutHeads(*ranker, {0, 2}, {}).status().field(), "heads");
  const auto one = WithoutHeads(*ranker, {0, 1}, {});
  ASSERT_TRUE(one.ok());
  EXPECT_NE(WithoutHeads(*one.value(), {0, 0}, {}).status().message().find("last"),
            std::string::npos);
  RankerConfig din = SmallConfig();
  din.pool.kind = PoolKind::kDin;
  EXPECT_EQ(WithoutHeads(*Trained(din), {0, 0}, {}).status().field(), "heads");
  RankerConfig cross = SmallConfig();
  cross.blocks = {{.kind = BlockKind::kCross}};
  EXPECT_EQ(WithoutHeads(*Trained(cross), {0, 0}, {}).status().field(), "heads");
}

// With gates at zero every expert weighs the same and a task's logit is linear in their mean, so
// leaving out each in turn and averaging gives what all of them give.
TEST(WithoutExpert, LeavesOutThatOne) {
  for (const HeadKind kind : {HeadKind::kMmoe, HeadKind::kPle}) {
    RankerConfig config = SmallConfig();
    config.head = {.kind = kind, .experts = 3, .own_experts = 1, .levels = 1, .width = 6};
    const auto ranker = Ranker::Create(config, 5);
    ASSERT_TRUE(ranker.ok());
    const Batch batch = Judging(config);
    const std::vector<float> whole = Logits(*ranker.value(), batch);
    std::vector<double> sum(whole.size(), 0.0);
    std::vector<std::vector<float>> each;
    for (uint32_t e = 0; e < 3; ++e) {
      const auto pruned = WithoutExpert(*ranker.value(), e);
      ASSERT_TRUE(pruned.ok()) << pruned.status().ToString();
      EXPECT_EQ(pruned.value()->config().head.experts, 2u);
      each.push_back(Logits(*pruned.value(), batch));
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += static_cast<double>(each[e][i]) / 3;
      EXPECT_TRUE(Ranker::Parse(pruned.value()->Serialize()).ok());
    }
    EXPECT_NE(each[0], each[1]);
    if (kind == HeadKind::kPle) continue;  // its own experts weigh more once a shared one is gone
    for (size_t i = 0; i < sum.size(); ++i) EXPECT_NEAR(sum[i], whole[i], 1e-5);
  }
  // Gates that have learned: each column stays with its expert.
  RankerConfig config = SmallConfig();
  config.head = {.kind = HeadKind::kMmoe, .experts = 3, .width = 6};
  const auto trained = Trained(config);
  Net alike(trained->net());
  std::vector<nn::Parameter*> parameters = alike.Parameters();
  const auto named = [&](const std::string& name) {
    return *std::find_if(parameters.begin(), parameters.end(),
                         [&](const nn::Parameter* p) { return p->name == name; });
  };
  for (const std::string part : {".weight", ".bias"}) {
    named("head.level.0.expert.2" + part)->value = named("head.level.0.expert.1" + part)->value;
  }
  for (const std::string gate : {"head.level.0.gate.0", "head.level.0.gate.1"}) {
    for (size_t i = 0; i < named(gate)->value.rows(); ++i) {
      float* row = named(gate)->value.Row(i);
      row[2] = row[1];
    }
  }
  const auto twins = Ranker::Of(alike);
  const Batch batch = Judging(config);
  const auto a = WithoutExpert(*twins, 1), b = WithoutExpert(*twins, 2);
  ASSERT_TRUE(a.ok() && b.ok());
  ExpectSame(Logits(*a.value(), batch), Logits(*b.value(), batch));
}

TEST(WithoutExpert, SaysWhatIsWrong) {
  EXPECT_EQ(WithoutExpert(*Trained(SmallConfig()), 0).status().field(), "expert");
  RankerConfig config = SmallConfig();
  config.head = {.kind = HeadKind::kMmoe, .experts = 1, .width = 4};
  EXPECT_EQ(WithoutExpert(*Trained(config), 0).status().field(), "expert");
  EXPECT_EQ(WithoutExpert(*Trained(config), 1).status().field(), "expert");
}

TEST(WithoutRows, ADroppedKeyIsAnUnseenOne) {
  const RankerConfig config = SmallConfig();
  const auto ranker = Trained(config);
  const Net& net = ranker->net();
  std::vector<std::vector<uint32_t>> dropped(net.tables.size());
  for (size_t t = 0; t < net.tables.size(); ++t) {
    for (uint32_t row = 2; row < net.tables[t].rows(); row += 2) dropped[t].push_back(row);
  }
  const auto pruned = WithoutRows(*ranker, dropped);
  ASSERT_TRUE(pruned.ok()) << pruned.status().ToString();
  EXPECT_LT(pruned.value()->Serialize().size(), ranker->Serialize().size());
  Batch batch = Judging(config);
  const std::vector<float> got = Logits(*pruned.value(), batch);
  EXPECT_NE(got, Logits(*ranker, batch));
  const auto forget = [&](std::vector<Key>& keys, size_t column, size_t columns, size_t table) {
    for (size_t i = column; i < keys.size(); i += columns) {
      for (const uint32_t row : dropped[table]) {
        if (keys[i] == net.tables[table].keys()[row]) keys[i] = 987654321;
      }
    }
  };
  const Layout& layout = net.layout;
  for (size_t f = 0; f < layout.request_fields.size(); ++f) {
    forget(batch.request_keys, f, layout.request_fields.size(), layout.request_fields[f].table);
  }
  for (size_t f = 0; f < layout.candidate_fields.size(); ++f) {
    forget(batch.candidate_keys, f, layout.candidate_fields.size(),
           layout.candidate_fields[f].table);
  }
  for (size_t s = 0; s < layout.sequences.size(); ++s) {
    const std::vector<size_t>& tables = layout.sequences[s].tables;
    for (size_t k = 0; k < tables.size(); ++k) {
      forget(batch.sequences[s].keys, k, tables.size(), tables[k]);
    }
  }
  EXPECT_EQ(got, Logits(*ranker, batch));
  EXPECT_TRUE(Ranker::Parse(pruned.value()->Serialize()).ok());
  dropped[0] = {1};
  EXPECT_EQ(WithoutRows(*ranker, dropped).status().field(), "rows");
  EXPECT_EQ(WithoutRows(*ranker, {}).status().field(), "rows");
}

}  // namespace
}  // namespace heed::model
