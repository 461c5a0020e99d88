#include "model/ranker.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "model/batch_for_test.h"

namespace heed::model {
namespace {

std::unique_ptr<Ranker> Make(const RankerConfig& config, uint64_t seed = 7) {
  auto ranker = Ranker::Create(config, seed);
  EXPECT_TRUE(ranker.ok()) << ranker.status().ToString();
  return std::move(ranker).value();
}

Scores Score(const Ranker& ranker, const Batch& batch, bool attention = false) {
  Scores scores;
  const Status status = ranker.Forward(batch, attention, &scores);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return scores;
}

double Step(Ranker* ranker, const Batch& batch, const OptimizerConfig& optimizer) {
  auto loss = ranker->TrainStep(batch, optimizer);
  EXPECT_TRUE(loss.ok()) << loss.status().ToString();
  return loss.ok() ? loss.value() : 0.0;
}

TEST(Ranker, LearnsARuleThatOnlyAttentionCanSee) {
  // Clicked if and only if the item is in the history: no field knows that by itself.
  RankerConfig config;
  config.schema.fields = {{"item", "item", Side::kCandidate}};
  config.schema.sequences = {{"views", {"item"}, {"item"}, 6}};
  config.schema.tasks = {{"click"}};
  config.embedding_width = 8;
  config.attention_width = 16;
  config.hidden = {16};
  config.mean_pool = false;
  config.init_deviation = 0.3f;
  const auto ranker = Make(config);
  Random random(1);
  const auto draw = [&] {
    Batch batch;
    batch.Clear(config.schema);
    for (uint32_t n = 0; n < 128; ++n) {
      const Key item = 1 + random.Below(12);
      bool seen = false;
      for (int t = 0; t < 4; ++t) {
        batch.sequences[0].keys.push_back(1 + random.Below(12));
        batch.sequences[0].age_s.push_back(60.0f);
        seen |= batch.sequences[0].keys.back() == item;
      }
      batch.sequences[0].offsets.push_back(4 * (n + 1));
      batch.candidate_keys.push_back(item);
      batch.request_of.push_back(n);
      batch.labels.push_back(seen ? 1.0f : 0.0f);
    }
    batch.requests = batch.candidates = 128;
    return batch;
  };
  OptimizerConfig optimizer;
  optimizer.dense_rate = optimizer.table_rate = 1e-2f;
  for (int i = 0; i < 300; ++i) Step(ranker.get(), draw(), optimizer);
  const Batch test = draw();
  const Scores scores = Score(*ranker, test);
  int right = 0;
  for (size_t n = 0; n < 128; ++n) right += (scores.logits[n] > 0.0f) == (test.labels[n] > 0.5f);
  EXPECT_GT(right, 120);
}

TEST(Ranker, OneSeedOneModel) {
  RankerConfig config = SmallConfig();
  config.dropout = 0.3f;
  config.admit_after = 2;
  const auto train = [&](uint64_t seed) {
    const auto ranker = Make(config, seed);
    Random random(3);
    for (int i = 0; i < 10; ++i) {
      Step(ranker.get(), RandomBatch(config.schema, {.requests = 16}, random), {});
    }
    return ranker->Serialize();
  };
  EXPECT_EQ(train(1), train(1));
  EXPECT_NE(train(1), train(2));
}

TEST(Ranker, GroupedRequestsScoreAsSingleOnes) {
  // The same candidates as 1 request of 40, and as 40 requests: two forms of attention, one answer.
  const RankerConfig config = SmallConfig();
  const auto ranker = Make(config);
  Random random(9);
  for (int i = 0; i < 20; ++i) {
    Step(ranker.get(), RandomBatch(config.schema, {.requests = 32}, random), {});
  }
  const Batch one = RandomBatch(
      config.schema, {.requests = 1, .per_request = 40, .labels = false, .full_histories = true},
      random);
  Batch many = one;
  many.requests = 40;
  for (uint32_t n = 0; n < 40; ++n) many.request_of[n] = n;
  const auto repeat = [](auto* values) {
    const auto once = *values;
    for (int i = 1; i < 40; ++i) values->insert(values->end(), once.begin(), once.end());
  };
  repeat(&many.request_keys);
  repeat(&many.request_numerics);
  for (SequenceBatch& sequence : many.sequences) {
    repeat(&sequence.keys);
    repeat(&sequence.age_s);
    const uint32_t length = sequence.offsets[1];
    for (uint32_t r = 2; r <= 40; ++r) sequence.offsets.push_back(r * length);
  }
  const Scores a = Score(*ranker, one, true), b = Score(*ranker, many, true);
  for (size_t i = 0; i < a.logits.size(); ++i) EXPECT_NEAR(a.logits[i], b.logits[i], 1e-5);
  for (size_t s = 0; s < 2; ++s) {
    ASSERT_EQ(a.attention[s].weights.size(), b.attention[s].weights.size());
    for (size_t i = 0; i < a.attention[s].weights.size(); ++i) {
      EXPECT_NEAR(a.attention[s].weights[i], b.attention[s].weights[i], 1e-5);
    }
  }
}

TEST(Ranker, AttentionRunsAreLaidOutAsPromised) {
  const RankerConfig config = SmallConfig();
  const auto ranker = Make(config);
  Random random(2);
  const Batch batch = RandomBatch(config.schema, {.requests = 5, .per_request = 3}, random);
  const Scores scores = Score(*ranker, batch, true);
  ASSERT_EQ(scores.attention.size(), 2u);
  for (size_t s = 0; s < 2; ++s) {
    const Attention& attention = scores.attention[s];
    for (size_t n = 0; n < 15; ++n) {
      const auto& offsets = batch.sequences[s].offsets;
      const size_t tokens = offsets[n / 3 + 1] - offsets[n / 3];
      for (size_t h = 0; h < 2; ++h) {
        double sum = 0.0;
        for (size_t t = 0; t <= tokens; ++t) {
          sum += attention.weights[attention.starts[n] + h * (tokens + 1) + t];
        }
        EXPECT_NEAR(sum, 1.0, 1e-5);
      }
    }
  }
  EXPECT_TRUE(Score(*ranker, batch).attention.empty());
}

TEST(Ranker, AFileIsTheModel) {
  RankerConfig config = SmallConfig();
  config.wide = true;
  config.admit_after = 3;
  const auto ranker = Make(config);
  Random random(4);
  for (int i = 0; i < 5; ++i) {
    Step(ranker.get(), RandomBatch(config.schema, {.requests = 8}, random), {});
  }
  ranker->SetCalibration({1.1f, 0.9f}, {0.1f, -0.2f});
  ranker->SetNumericScaling({1.0f, 2.0f, 3.0f}, {1.0f, 0.0f, 2.0f});
  const std::string path = testing::TempDir() + "/ranker_test.model";
  ASSERT_TRUE(ranker->Save(path).ok());
  auto loaded = Ranker::Load(path);
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  EXPECT_EQ(loaded.value()->config(), config);
  EXPECT_EQ(loaded.value()->Serialize(), ranker->Serialize());
  const Batch batch = RandomBatch(config.schema, {.requests = 8}, random);
  EXPECT_EQ(Score(*loaded.value(), batch).probabilities, Score(*ranker, batch).probabilities);
  // And it trains on as if nothing had happened: optimiser state and counts are in the file.
  Step(ranker.get(), batch, {});
  Step(loaded.value().get(), batch, {});
  EXPECT_EQ(loaded.value()->Serialize(), ranker->Serialize());
  std::filesystem::remove(path);
  EXPECT_EQ(Ranker::Load(path).status().code(), Code::kIo);
}

TEST(Ranker, EveryDamagedByteIsNoticed) {
  RankerConfig config = SmallConfig();
  config.hidden = {3};
  const auto ranker = Make(config);
  const std::string good = ranker->Serialize();
  for (size_t i = 0; i < good.size(); i += 7) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    ASSERT_EQ(Ranker::Parse(bad).status().code(), Code::kCorruption) << "byte " << i;
  }
  for (size_t size = 0; size < good.size(); size += 13) {
    ASSERT_EQ(Ranker::Parse(good.substr(0, size)).status().code(), Code::kCorruption);
  }
}

TEST(Ranker, ABlowUpChangesNoWeight) {
  const RankerConfig config = SmallConfig();
  const auto ranker = Make(config);
  Random random(6);
  const Batch batch = RandomBatch(config.schema, {.requests = 8}, random);
  OptimizerConfig wild;
  wild.dense_rate = 1e30f;
  wild.table_rate = 1e30f;
  Status status;
  std::string before;
  for (int i = 0; i < 4 && status.ok(); ++i) {
    before = ranker->Serialize();
    status = ranker->TrainStep(batch, wild).status();
  }
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(ranker->Serialize(), before);
}

TEST(Ranker, AdmissionSharesOneRowUntilAKeyIsKnown) {
  RankerConfig config = SmallConfig();
  config.admit_after = 2;
  const auto ranker = Make(config);
  const uint64_t empty = ranker->parameter_count();
  Random random(8);
  const Batch batch = RandomBatch(config.schema, {.requests = 1, .keys = 1000000}, random);
  ASSERT_TRUE(ranker->CountKeys(batch).ok());
  EXPECT_EQ(ranker->parameter_count(), empty);
  ranker->SetCounting(false);
  Step(ranker.get(), batch, {});
  EXPECT_EQ(ranker->parameter_count(), empty);
  ranker->SetCounting(true);
  Step(ranker.get(), batch, {});
  EXPECT_GT(ranker->parameter_count(), empty);
}

TEST(Ranker, MissingNumbersAreToldApartFromMeanOnes) {
  const RankerConfig config = SmallConfig();
  const auto ranker = Make(config);
  Random random(10);
  Batch batch = RandomBatch(config.schema, {.requests = 2, .labels = false}, random);
  batch.candidate_numerics.assign(batch.candidate_numerics.size(), 0.0f);
  const Scores zero = Score(*ranker, batch);
  batch.candidate_numerics[0] = std::numeric_limits<float>::quiet_NaN();
  const Scores missing = Score(*ranker, batch);
  EXPECT_NE(zero.logits[0], missing.logits[0]);
  EXPECT_EQ(zero.logits[2], missing.logits[2]);
}

TEST(Ranker, ForwardFromManyThreads) {
  const RankerConfig config = SmallConfig();
  const auto ranker = Make(config);
  Random random(12);
  const Batch batch = RandomBatch(config.schema, {.requests = 3, .per_request = 20}, random);
  const Scores want = Score(*ranker, batch);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 20; ++j) EXPECT_EQ(Score(*ranker, batch).logits, want.logits);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Ranker, RefusesBadConfigsAndBatches) {
  const RankerConfig good = SmallConfig();
  const auto refuses = [&](auto change) {
    RankerConfig config = good;
    change(config);
    EXPECT_EQ(Ranker::Create(config, 1).status().code(), Code::kInvalidArgument);
  };
  refuses([](auto& c) { c.attention_width = 7; });
  refuses([](auto& c) { c.embedding_width = 0; });
  refuses([](auto& c) { c.dropout = 1.0f; });
  refuses([](auto& c) { c.admit_after = 0; });
  refuses([](auto& c) { c.age_scale_s = 0.0f; });
  refuses([](auto& c) { c.schema.tasks.clear(); });
  refuses([](auto& c) { c.schema.fields[1].name = "user"; });
  refuses([](auto& c) { c.schema.sequences[0].query_fields = {"user"}; });
  refuses([](auto& c) { c.schema.sequences[0].tables.clear(); });

  const auto ranker = Make(good);
  Random random(13);
  const Batch batch = RandomBatch(good.schema, {.requests = 3, .full_histories = true}, random);
  ASSERT_TRUE(batch.Validate(good.schema).ok());
  const auto rejects = [&](auto change, const std::string& array) {
    Batch bad = batch;
    change(bad);
    const auto status = ranker->TrainStep(bad, {}).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_EQ(status.field(), array) << status.ToString();
  };
  rejects([](Batch& b) { b.request_of[2] = 3; }, "request_of");
  rejects([](Batch& b) { b.request_of[2] = 0; }, "request_of");
  rejects([](Batch& b) { b.request_keys.pop_back(); }, "request_keys");
  rejects([](Batch& b) { b.candidate_keys.push_back(1); }, "candidate_keys");
  rejects([](Batch& b) { b.request_numerics[0] = INFINITY; }, "request_numerics");
  rejects([](Batch& b) { b.candidate_numerics.clear(); }, "candidate_numerics");
  rejects([](Batch& b) { b.labels[0] = 2.0f; }, "labels");
  rejects([](Batch& b) { b.labels.clear(); }, "labels");
  rejects([](Batch& b) { b.weights[0] = -1.0f; }, "weights");
  rejects([](Batch& b) { b.sequences.pop_back(); }, "sequences");
  rejects([](Batch& b) { b.sequences[0].age_s[0] = NAN; }, "age_s");
  rejects([](Batch& b) { b.sequences[0].keys.pop_back(); }, "keys");
  rejects([](Batch& b) { b.sequences[1].offsets[1] = 99; }, "offsets");
  rejects(
      [](Batch& b) {
        b.sequences[1].offsets[1] = 0;  // then the second history is twice as long as allowed
      },
      "offsets");
}

}  // namespace
}  // namespace heed::model
