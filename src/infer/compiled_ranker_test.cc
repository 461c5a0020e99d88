// The compiled ranker against Ranker::Forward, which finite differences and PyTorch have judged: every
// family it compiles, every precision, with and without caches, one request or many.
#include "infer/compiled_ranker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "model/batch_for_test.h"

namespace heed::infer {
namespace {

using kernels::Precision;
using model::Batch;
using model::PoolKind;
using model::Ranker;
using model::RankerConfig;

struct Family {
  std::string name;
  RankerConfig config;
};
// Otherwise GoogleTest prints the bytes, among them those that nobody has set.
void PrintTo(const Family& family, std::ostream* out) { *out << family.name; }

std::vector<Family> Families() {
  std::vector<Family> all;
  const auto add = [&](std::string name, auto change) {
    RankerConfig config = model::SmallConfig();
    change(config);
    all.push_back({std::move(name), config});
  };
  add("Default", [](RankerConfig&) {});
  add("WideHeads", [](RankerConfig& c) {
    c.attention_width = 64;
    c.attention_heads = 2;
    c.embedding_width = 16;
    c.hidden = {48, 33, 20};
  });
  add("ManyHeads", [](RankerConfig& c) {
    c.attention_width = 48;
    c.attention_heads = 3;
    c.hidden = {40};
  });
  add("NoNullSlot", [](RankerConfig& c) {
    c.null_slot = false;
    c.initial_decay = 0.0f;
    c.mean_pool = false;
  });
  add("Wide", [](RankerConfig& c) { c.wide = true; });
  add("Projection", [](RankerConfig& c) { c.projection = 20; });
  add("BatchNorm", [](RankerConfig& c) {
    c.blocks = {{.hidden = {17, 9}, .batch_norm = true},
                {.hidden = {12, 7}, .activation = nn::ActivationKind::kPRelu},
                {.hidden = {30, 6}, .activation = nn::ActivationKind::kDice}};
  });
  add("Values", [](RankerConfig& c) {
    c.schema.tasks.push_back({"amount", 0.7f, 1.0f, model::TaskKind::kValue, 2.5f, "order"});
    c.schema.tasks.push_back({"gift", 1.0f, 1.0f, model::TaskKind::kValue, 10.0f, ""});
  });
  add("Linked", [](RankerConfig& c) { c.links = {{"order", "click"}}; });
  for (const PoolKind kind : {PoolKind::kDin, PoolKind::kDinSum}) {
    const std::string sum = kind == PoolKind::kDinSum ? "Sum" : "";
    add("Din" + sum, [&](RankerConfig& c) { c.pool.kind = kind; });
    add("Din" + sum + "PRelu", [&](RankerConfig& c) {
      c.pool = {.kind = kind, .hidden = {18, 11, 7}, .activation = nn::ActivationKind::kPRelu};
      c.projection = 10;
    });
    add("Din" + sum + "Shallow", [&](RankerConfig& c) {
      c.pool = {.kind = kind, .hidden = {20}, .activation = nn::ActivationKind::kRelu};
    });
  }
  add("Temperature", [](RankerConfig& c) { c.pool.temperature = true; });
  add("TemperatureWithoutDecay", [](RankerConfig& c) {
    c.pool.temperature = true;
    c.initial_decay = 0.0f;
  });
  add("Mmoe", [](RankerConfig& c) {
    c.head = {.kind = model::HeadKind::kMmoe, .experts = 3, .width = 13};
  });
  add("Ple", [](RankerConfig& c) {
    c.head = {
        .kind = model::HeadKind::kPle, .experts = 2, .own_experts = 2, .levels = 3, .width = 9};
  });
  for (const auto& [name, kind] : {std::pair{"Sasrec", model::EncoderKind::kSasRec},
                                   std::pair{"Tisasrec", model::EncoderKind::kTiSasRec}}) {
    add(name, [&, encoder = kind](RankerConfig& c) {
      c.pool = {.encoder = encoder, .encoder_layers = 2, .encoder_heads = 2};
      c.blocks = {{.hidden = {17, 9}, .activation = nn::ActivationKind::kPRelu}};  // none dies
    });
    add(std::string(name) + "Projection", [&, encoder = kind](RankerConfig& c) {
      c.pool = {.kind = PoolKind::kDin, .encoder = encoder, .encoder_heads = 2};
      c.projection = 20;
    });
  }
  const auto blocks = [](RankerConfig& c) {
    c.blocks = {{.kind = model::BlockKind::kCross, .layers = 2},
                {.hidden = {17, 9}},
                {.kind = model::BlockKind::kAutoInt, .layers = 2, .heads = 2, .width = 8},
                {.kind = model::BlockKind::kAfm, .width = 6},
                {.gate = true, .gate_hidden = 5, .hidden = {11}},
                {.kind = model::BlockKind::kCross, .layers = 1, .rank = 3}};
  };
  add("Blocks", blocks);
  add("BlocksProjection", [&](RankerConfig& c) {
    blocks(c);
    c.blocks.erase(c.blocks.begin() + 2, c.blocks.begin() + 5);  // of fields, which are projected
    c.projection = 21;
  });
  add("Everything", [&](RankerConfig& c) {
    blocks(c);
    c.pool = {.temperature = true, .encoder = model::EncoderKind::kSasRec};
    c.pools = {{"orders", {.kind = PoolKind::kDin, .hidden = {5, 3}}}};
    c.pools[0].pool.encoder = model::EncoderKind::kTiSasRec;
    c.head = {.kind = model::HeadKind::kMmoe, .experts = 3, .width = 13};
    c.links = {{"order", "click"}};
    c.wide = true;
  });
  add("NoBlockOfLayers", [](RankerConfig& c) {
    c.blocks = {{.kind = model::BlockKind::kCross, .layers = 3}, {.hidden = {}}};
  });
  add("NoHistories", [](RankerConfig& c) {
    c.schema.sequences.clear();
    c.schema.numerics.clear();
  });
  return all;
}

// Trained a little, so that statistics, biases and null scores are not where they began.
std::shared_ptr<const Ranker> Trained(const RankerConfig& config) {
  auto ranker = Ranker::Create(config, 7);
  EXPECT_TRUE(ranker.ok()) << ranker.status().ToString();
  Random random(11);
  model::OptimizerConfig optimizer;
  optimizer.dense_rate = optimizer.table_rate = 0.02f;
  for (int step = 0; step < 6; ++step) {
    const Batch batch =
        model::RandomBatch(config.schema, {.requests = 8, .per_request = 3}, random);
    EXPECT_TRUE(ranker.value()->TrainStep(batch, optimizer).ok());
  }
  std::vector<float> scale = {1.3f, 0.8f}, shift = {0.1f, -0.2f};
  scale.resize(config.schema.tasks.size(), 1.1f);
  shift.resize(scale.size(), 0.3f);
  ranker.value()->SetCalibration(scale, shift);
  return std::move(ranker).value();
}

std::unique_ptr<CompiledRanker> Compiled(const std::shared_ptr<const Ranker>& ranker,
                                         const CompileOptions& options,
                                         const std::vector<Batch>& calibration = {}) {
  auto compiled = CompiledRanker::Compile(ranker, options, calibration);
  EXPECT_TRUE(compiled.ok()) << compiled.status().ToString();
  return std::move(compiled).value();
}

// Largest difference of the logits, and the deviation of the ranker's own.
struct Difference {
  double largest = 0.0, rms = 0.0, deviation = 0.0;
};
Difference Compare(const Ranker& ranker, const CompiledRanker& compiled, const Batch& batch,
                   Arena* arena) {
  model::Scores want;
  EXPECT_TRUE(ranker.Forward(batch, false, &want).ok());
  std::vector<float> logits(want.logits.size()), probabilities(want.logits.size());
  EXPECT_TRUE(compiled.Logits(batch, arena, logits).ok());
  EXPECT_TRUE(compiled.Score(batch, arena, probabilities).ok());
  Difference d;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double off = std::abs(static_cast<double>(logits[i]) - want.logits[i]);
    d.largest = std::max(d.largest, off);
    d.rms += off * off;
    d.deviation += static_cast<double>(want.logits[i]) * want.logits[i];
    const std::vector<model::TaskSpec>& tasks = ranker.config().schema.tasks;
    const model::TaskSpec& task = tasks[i % tasks.size()];
    if (task.kind == model::TaskKind::kBinary) {
      EXPECT_NEAR(probabilities[i], want.probabilities[i], 0.5 * off + 1e-6);
      continue;
    }
    double row_off = 0;  // a value moves with its own logit and with that of what it is given
    for (size_t t = 0, first = i - i % tasks.size(); t < tasks.size(); ++t) {
      row_off += std::abs(static_cast<double>(logits[first + t]) - want.logits[first + t]);
    }
    EXPECT_NEAR(probabilities[i], want.probabilities[i], task.huber_delta * (2 * row_off + 1e-6));
  }
  if (!logits.empty()) {
    d.rms = std::sqrt(d.rms / static_cast<double>(logits.size()));
    d.deviation = std::sqrt(d.deviation / static_cast<double>(logits.size()));
  }
  return d;
}

class CompiledFamilies : public testing::TestWithParam<Family> {};

TEST_P(CompiledFamilies, SameNumbersInFp32) {
  const auto ranker = Trained(GetParam().config);
  Arena arena;
  for (const size_t cached : {0, 3, 10000}) {
    const auto compiled = Compiled(ranker, {.cached_items = cached, .cached_tokens = cached});
    Random random(13);
    for (const auto& [requests, each] : {std::pair<uint32_t, uint32_t>{1, 1},
                                         {1, 31},
                                         {1, 500},
                                         {5, 1},
                                         {4, 33},
                                         {0, 0},
                                         {1, 500}}) {
      const Batch batch = model::RandomBatch(GetParam().config.schema,
                                             {.requests = requests, .per_request = each}, random);
      ASSERT_LT(Compare(*ranker, *compiled, batch, &arena).largest, 1e-5)
          << requests << " x " << each << " cached " << cached;
    }
    if (cached > 0) {
      EXPECT_GT(compiled->items().hits, 0u);
      EXPECT_LE(compiled->items().entries, cached);
      const bool histories = !GetParam().config.schema.sequences.empty();
      EXPECT_EQ(compiled->tokens().hits > 0, histories);
      EXPECT_EQ(compiled->tokens().entries > 0, histories);
    }
  }
}

TEST_P(CompiledFamilies, CloseInLowPrecision) {
  const auto ranker = Trained(GetParam().config);
  Arena arena;
  Random random(17);
  std::vector<Batch> calibration;
  for (int i = 0; i < 20; ++i) {
    calibration.push_back(
        model::RandomBatch(GetParam().config.schema, {.requests = 2, .per_request = 50}, random));
  }
  const Batch batch =
      model::RandomBatch(GetParam().config.schema, {.requests = 6, .per_request = 100}, random);
  for (const auto& [precision, share] :
       {std::pair{Precision::kBf16, 0.02}, std::pair{Precision::kInt8, 0.08}}) {
    for (const size_t cached : {0, 10000}) {
      const auto compiled = Compiled(
          ranker, {.precision = precision, .cached_items = cached, .cached_tokens = cached},
          calibration);
      for (int again = 0; again < 2; ++again) {
        const Difference d = Compare(*ranker, *compiled, batch, &arena);
        EXPECT_LT(d.rms, share * d.deviation) << kernels::PrecisionName(precision);
        EXPECT_GT(d.rms, 0.0) << "not in low precision at all";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, CompiledFamilies, testing::ValuesIn(Families()),
                         [](const auto& family) { return family.param.name; });

TEST(CompiledRanker, Int8WantsCalibration) {
  const auto ranker = Trained(model::SmallConfig());
  const auto uncalibrated = CompiledRanker::Compile(ranker, {.precision = Precision::kInt8});
  ASSERT_FALSE(uncalibrated.ok());
  EXPECT_EQ(uncalibrated.status().field(), "calibration");
}

// A ranker carries the ranges of int8 in its file, so that it serves without the rows it came from.
TEST(CompiledRanker, CarriedRangesStandForBatches) {
  for (const PoolKind kind : {PoolKind::kDot, PoolKind::kDin}) {
    RankerConfig config = model::SmallConfig();
    config.pool.kind = kind;
    auto made = Ranker::Create(config, 7);
    ASSERT_TRUE(made.ok());
    const std::shared_ptr<Ranker> ranker = std::move(made).value();
    Random random(17);
    const std::vector<Batch> calibration = {
        model::RandomBatch(config.schema, {.requests = 20, .per_request = 20}, random)};
    const auto ranges = CompiledRanker::MeasureRanges(ranker, calibration);
    ASSERT_TRUE(ranges.ok()) << ranges.status().ToString();
    ranker->SetActivationRanges(ranges.value());
    auto parsed = Ranker::Parse(ranker->Serialize());
    ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
    const std::shared_ptr<Ranker> loaded = std::move(parsed).value();
    const CompileOptions int8{.precision = Precision::kInt8};
    const auto carried = Compiled(loaded, int8), calibrated = Compiled(ranker, int8, calibration);
    const Batch batch =
        model::RandomBatch(config.schema, {.requests = 1, .per_request = 40}, random);
    Arena arena;
    std::vector<float> a(batch.candidates * 2), b(a.size());
    ASSERT_TRUE(carried->Logits(batch, &arena, a).ok());
    ASSERT_TRUE(calibrated->Logits(batch, &arena, b).ok());
    EXPECT_EQ(a, b);

    // Of other weights they are no longer the ranges; of another shape they are refused.
    ASSERT_TRUE(loaded->TrainStep(batch, {}).ok());
    EXPECT_EQ(CompiledRanker::Compile(loaded, int8).status().field(), "calibration");
    loaded->SetActivationRanges({1.0f, 2.0f});
    EXPECT_EQ(CompiledRanker::Compile(loaded, int8).status().field(), "calibration");
    loaded->SetActivationRanges({-1.0f});
    EXPECT_FALSE(Ranker::Parse(loaded->Serialize()).ok());
  }
}

TEST(CompiledRanker, RefusesABatchThatDoesNotFit) {
  const auto compiled = Compiled(Trained(model::SmallConfig()), {});
  Random random(3);
  Batch batch = model::RandomBatch(model::SmallConfig().schema, {}, random);
  Arena arena;
  std::vector<float> logits(batch.candidates * 2);
  EXPECT_TRUE(compiled->Logits(batch, &arena, logits).ok());
  const std::span<float> narrow(logits.data(), logits.size() - 1);
  EXPECT_EQ(compiled->Logits(batch, &arena, narrow).field(), "logits");
  batch.candidate_keys.pop_back();
  EXPECT_EQ(compiled->Logits(batch, &arena, logits).field(), "candidate_keys");
}

TEST(CompiledRanker, ThreadsShareTheCaches) {
  const RankerConfig config = model::SmallConfig();
  const auto ranker = Trained(config);
  const auto compiled = Compiled(ranker, {.cached_items = 100, .cached_tokens = 50});
  std::vector<std::thread> threads;
  std::vector<double> worst(4, 0.0);
  for (size_t t = 0; t < worst.size(); ++t) {
    threads.emplace_back([&, t] {
      Arena arena;
      Random random(100 + t);
      for (int i = 0; i < 30; ++i) {
        const Batch batch =
            model::RandomBatch(config.schema, {.requests = 1, .per_request = 60}, random);
        worst[t] = std::max(worst[t], Compare(*ranker, *compiled, batch, &arena).largest);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const double largest : worst) EXPECT_LT(largest, 1e-5);
}

}  // namespace
}  // namespace heed::infer
