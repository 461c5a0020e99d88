// The projection of items and events (RankerConfig::projection): what it computes, its files, counts
// and refusals. Its gradients are in ranker_gradient_test.cc, PyTorch's word on it in torch_judge.py.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "model/batch_for_test.h"
#include "model/config_codec.h"
#include "model/ranker_net.h"

namespace heed::model {
namespace {

// Another pool for each history, one encoded.
RankerConfig Projected() {
  RankerConfig config = SmallConfig();
  config.projection = 6;
  config.pools = {{"orders", {.kind = PoolKind::kDin, .hidden = {5, 3}}}};
  config.pools[0].pool.encoder = EncoderKind::kSasRec;
  return config;
}

std::map<std::string, nn::Parameter*> ByName(Net* net) {
  std::map<std::string, nn::Parameter*> all;
  for (nn::Parameter* p : net->Parameters()) all[p->name] = p;
  return all;
}

// y = x W + b in plain loops; x is one row after another.
nn::Matrix Project(const std::vector<const float*>& parts, size_t rows_of_parts, size_t d,
                   const nn::Linear& layer) {
  const size_t rows = parts.size() / rows_of_parts, I = layer.outputs();
  nn::Matrix y(rows, I);
  for (size_t n = 0; n < rows; ++n) {
    for (size_t j = 0; j < I; ++j) {
      double sum = layer.bias.value.data()[j];
      for (size_t k = 0; k < rows_of_parts; ++k) {
        for (size_t i = 0; i < d; ++i) {
          sum += static_cast<double>(parts[n * rows_of_parts + k][i]) *
                 static_cast<double>(layer.weight.value.Row(k * d + i)[j]);
        }
      }
      y.Row(n)[j] = static_cast<float>(sum);
    }
  }
  return y;
}

// From embeddings to logits, put together anew from the rows and the layers.
TEST(Projection, IsTheSameByHand) {
  constexpr size_t kD = 4, kI = 6, kRequests = 3, kEach = 4, kN = kRequests * kEach;
  RankerConfig config = SmallConfig();
  config.schema.sequences.resize(1);  // views: item, host, feedback
  config.schema.numerics.clear();
  config.projection = kI;
  Net net(config, 5);
  Random random(6);
  for (nn::Parameter* p : net.Parameters()) {
    for (size_t i = 0; i < p->value.size(); ++i) {
      p->value.data()[i] += static_cast<float>(random.Uniform(0.0, 0.3));
    }
  }
  const Batch batch =
      RandomBatch(config.schema, {.requests = kRequests, .per_request = kEach}, random);
  Workspace work;
  net.CountAndResolve(batch, &work);
  net.Forward(batch, {}, &work);

  const auto row = [&](size_t table, uint64_t key) {
    uint32_t index = 0;
    net.tables[table].Rows(&key, 1, 1, &index, 1);
    return net.tables[table].Row(index);
  };
  enum : size_t { kUser, kItem, kHour, kHost, kFeedback };  // tables, by first mention
  ASSERT_EQ(net.layout.tables,
            (std::vector<std::string>{"user", "item", "hour", "host", "feedback"}));
  const SequenceBatch& views = batch.sequences[0];
  const size_t tokens = views.age_s.size();
  std::vector<const float*> items, events;
  for (size_t n = 0; n < kN; ++n) {
    items.push_back(row(kItem, batch.candidate_keys[2 * n]));
    items.push_back(row(kHost, batch.candidate_keys[2 * n + 1]));
  }
  for (size_t t = 0; t < tokens; ++t) {
    const size_t parts[] = {kItem, kHost, kFeedback};
    for (size_t k = 0; k < 3; ++k) events.push_back(row(parts[k], views.keys[3 * t + k]));
  }
  const nn::Matrix item = Project(items, 2, kD, net.item);
  const nn::Matrix token = Project(events, 3, kD, net.events[0]);

  std::vector<float> log_age;
  for (const float age : views.age_s) log_age.push_back(std::log1p(age / 3600.0f));
  const size_t W = config.attention_width, H = config.attention_heads;
  nn::Matrix out(kN, W), evidence(kN, H), mean(kRequests, kI);
  nn::AttentionTape tape;
  net.attention[0].Forward({.queries = item.view(),
                            .tokens = token.view(),
                            .offsets = views.offsets,
                            .request_of = batch.request_of,
                            .log_age = log_age,
                            .excluded = {}},
                           &tape, out.view(), evidence.view());
  nn::MeanPoolForward(token.view(), views.offsets, mean.view());

  nn::Matrix request(kRequests, 2 * kD + 1 + kI), candidate(kN, kI + W + H);
  for (size_t r = 0; r < kRequests; ++r) {
    float* x = request.Row(r);
    x = std::copy_n(row(kUser, batch.request_keys[2 * r]), kD, x);
    x = std::copy_n(row(kHour, batch.request_keys[2 * r + 1]), kD, x);
    *x++ = std::log1p(static_cast<float>(views.offsets[r + 1] - views.offsets[r]));
    std::copy_n(mean.Row(r), kI, x);
  }
  for (size_t n = 0; n < kN; ++n) {
    float* x = std::copy_n(item.Row(n), kI, candidate.Row(n));
    x = std::copy_n(out.Row(n), W, x);
    std::copy_n(evidence.Row(n), H, x);
  }
  nn::Matrix hidden(kN, 5), logits(kN, 2);
  BlockTape block;
  net.blocks[0]->Forward({.request = request.view(),
                          .candidate = candidate.view(),
                          .request_of = &batch.request_of,
                          .joined = {},
                          .fields = {}},
                         {}, &block, hidden.view());
  net.head.outputs()[0].Forward(hidden.view(), logits.view());
  ASSERT_EQ(work.logits.size(), logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    EXPECT_NEAR(work.logits.data()[i], logits.data()[i], 1e-5f * (1 + std::abs(logits.data()[i])));
  }
}

// A projection by identity is a ranker without one, forward and back, whatever the pool.
TEST(Projection, ByIdentityChangesNothing) {
  constexpr size_t kI = 8;  // two parts of 4
  for (const PoolKind kind : {PoolKind::kDot, PoolKind::kDin, PoolKind::kDinSum}) {
    RankerConfig config = SmallConfig();
    config.schema.sequences = {{"views", {"item", "host"}, {"item", "host"}, 12},
                               {"visits", {"host", "feedback"}, {"item", "host"}, 5}};
    config.wide = true;
    config.pool.kind = kind;
    config.pools = {{"visits", {.kind = kind, .encoder = EncoderKind::kSasRec}}};
    Random random(4);
    const Batch batch = RandomBatch(config.schema, {.requests = 5, .per_request = 3}, random);
    Net plain(config, 3);
    config.projection = kI;
    ASSERT_TRUE(ValidateConfig(config).ok());
    Net projected(config, 3);
    const auto from = ByName(&plain);
    auto to = ByName(&projected);
    for (const auto& [name, parameter] : from) {
      ASSERT_EQ(to.count(name), 1u) << name;
      ASSERT_EQ(to[name]->value.rows(), parameter->value.rows()) << name;
      to[name]->value = parameter->value;
      to.erase(name);
    }
    ASSERT_EQ(to.size(), 6u);  // weight and bias of the item and of each history
    for (const auto& [name, parameter] : to) {
      parameter->value.Fill(0.0f);
      for (size_t i = 0; name.ends_with(".weight") && i < kI; ++i)
        parameter->value.Row(i)[i] = 1.0f;
    }
    Workspace a, b;
    for (auto [net, work] : {std::pair(&plain, &a), std::pair(&projected, &b)}) {
      net->CountAndResolve(batch, work);
      net->Forward(batch, {.phase = nn::Phase::kTrain}, work);
      net->Backward(batch, work);
    }
    for (size_t i = 0; i < a.logits.size(); ++i) {
      EXPECT_NEAR(a.logits.data()[i], b.logits.data()[i], 1e-5f);
    }
    for (size_t t = 0; t < plain.tables.size(); ++t) {
      ASSERT_EQ(a.d_rows[t].rows(), b.d_rows[t].rows());
      for (size_t i = 0; i < a.d_rows[t].rows().size(); ++i) {
        for (size_t j = 0; j < plain.tables[t].width(); ++j) {
          EXPECT_NEAR(a.d_rows[t].Of(i)[j], b.d_rows[t].Of(i)[j], 1e-5f) << plain.layout.tables[t];
        }
      }
    }
  }
}

TEST(Projection, QueryFieldsDoNotChoose) {
  RankerConfig config = SmallConfig();
  config.projection = 5;
  Random random(2);
  const Batch batch = RandomBatch(config.schema, {.requests = 4, .per_request = 2}, random);
  const auto logits = [&] {
    auto ranker = Ranker::Create(config, 3);
    EXPECT_TRUE(ranker.ok());
    Scores scores;
    EXPECT_TRUE(ranker.value()->Forward(batch, false, &scores).ok());
    return scores.logits;
  };
  const std::vector<float> before = logits();
  config.schema.sequences[0].query_fields = {"host"};
  EXPECT_EQ(logits(), before);
}

TEST(Projection, AFileGivesBackTheSameRanker) {
  RankerConfig plain = SmallConfig();
  plain.projection = 3;
  for (const RankerConfig& config : {Projected(), plain}) {
    auto ranker = Ranker::Create(config, 5);
    ASSERT_TRUE(ranker.ok()) << ranker.status().ToString();
    Random random(8);
    const auto step = [&](Ranker* one, uint64_t seed) {
      Random own(seed);
      ASSERT_TRUE(
          one->TrainStep(RandomBatch(config.schema, {.requests = 20, .per_request = 2}, own), {})
              .ok());
    };
    for (uint64_t i = 0; i < 4; ++i) step(ranker.value().get(), i);
    const std::string bytes = ranker.value()->Serialize();
    auto again = Ranker::Parse(bytes);
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(again.value()->config(), config);
    EXPECT_EQ(again.value()->Serialize(), bytes);
    EXPECT_EQ(ranker.value()->Copy()->Serialize(), bytes);
    step(ranker.value().get(), 9);  // trains on alike: the optimiser's state is in the file
    step(again.value().get(), 9);
    EXPECT_NE(ranker.value()->Serialize(), bytes);
    EXPECT_EQ(again.value()->Serialize(), ranker.value()->Serialize());
  }
}

TEST(Projection, AConfigIsWrittenInTheFirstVersionThatCanSayIt) {
  std::string bytes = EncodeConfig(Projected());
  EXPECT_EQ(bytes.front(), 3);
  EXPECT_EQ(bytes.back(), 6);  // the projection is the last
  bytes.back() = 0;
  EXPECT_FALSE(DecodeConfig(bytes).ok());
  bytes.pop_back();
  EXPECT_FALSE(DecodeConfig(bytes).ok());
  bytes.front() = 2;
  RankerConfig without = Projected();
  without.projection = 0;
  const auto decoded = DecodeConfig(bytes);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded.value(), without);
  EXPECT_EQ(EncodeConfig(without), bytes);
}

TEST(Projection, CountsAreWhatIsBuilt) {
  RankerConfig narrow = Projected();
  narrow.projection = 1;
  narrow.pools.clear();
  narrow.pool = {.kind = PoolKind::kDinSum, .hidden = {4}};
  narrow.schema.sequences.pop_back();
  for (const RankerConfig& config : {Projected(), narrow}) {
    Net net(config, 1);
    uint64_t count = 0;
    for (const nn::Parameter* p : net.Parameters()) count += p->value.size();
    EXPECT_EQ(net.layout.DenseCount(config), count);
  }
}

TEST(Projection, RefusesBlocksThatNeedTheFieldsAndNothingToProject) {
  ASSERT_TRUE(ValidateConfig(Projected()).ok());
  const auto refused = [](auto change, const std::string& field, const std::string& what) {
    RankerConfig config = Projected();
    change(&config);
    const Status status = ValidateConfig(config);
    EXPECT_EQ(status.field(), field) << status.message();
    EXPECT_NE(status.message().find(what), std::string::npos) << status.message();
  };
  for (const BlockKind kind : {BlockKind::kAutoInt, BlockKind::kAfm}) {
    refused(
        [&](RankerConfig* c) {
          c->blocks.resize(2);
          c->blocks[1].kind = kind;
        },
        "projection", "read fields");
  }
  refused(
      [](RankerConfig* c) {
        c->blocks.resize(1);
        c->blocks[0].gate = true;
      },
      "projection", "read fields");
  refused(
      [](RankerConfig* c) {
        c->schema.fields = {{"user", "user", Side::kRequest}};
        c->schema.sequences.clear();
        c->pools.clear();
      },
      "projection", "no field");
  refused([](RankerConfig* c) { c->projection = 4097; }, "projection", "4096");
  // Encoders see the projection's width, not the parts'.
  refused([](RankerConfig* c) { c->pools[0].pool.encoder_heads = 4; }, "pool.encoder_heads",
          "6 wide");
}

}  // namespace
}  // namespace heed::model
