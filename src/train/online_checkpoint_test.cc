// What a learner writes costs what it learned and gives it back byte for byte; rows nobody asks for go.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "model/checkpoint_chain.h"
#include "model/ranker_net.h"
#include "nn/tensor_file.h"
#include "train/online_for_test.h"

namespace heed::train {
namespace {

namespace fs = std::filesystem;
using model::CheckpointChain;

constexpr int64_t kMinuteMs = 60'000;

class LearnerChain : public testing::Test {
 protected:
  LearnerChain() : folder(testing::TempDir() + "heed_learner_chain") { fs::remove_all(folder); }
  ~LearnerChain() override { fs::remove_all(folder); }

  static OnlineTrainer::Restored Restore(CheckpointChain* chain, const OnlineOptions& options) {
    auto stored = chain->Restore();
    EXPECT_TRUE(stored.ok()) << stored.status().ToString();
    auto restored = OnlineTrainer::Restore(std::move(stored).value(), options);
    EXPECT_TRUE(restored.ok()) << restored.status().ToString();
    return std::move(restored).value();
  }
  // With rows for about so many keys a table.
  static std::unique_ptr<OnlineTrainer> Grown(uint64_t keys, const OnlineOptions& options) {
    auto ranker = MakeRanker();
    Random random(3);
    for (uint64_t done = 0; done < keys; done += 4'000) {
      const model::Batch batch =
          model::RandomBatch(ranker->config().schema, {.requests = 1'000, .keys = keys}, random);
      EXPECT_TRUE(ranker->CountKeys(batch).ok());
    }
    return std::move(OnlineTrainer::Create(std::move(ranker), options)).value();
  }
  // The state with its last bytes left out, which builds before did not write.
  static std::string Earlier(const OnlineTrainer& trainer) {
    // Of the bins two doubles each; of the test for sudden harm a double and a count; of values none.
    const size_t later =
        trainer.live().config().schema.numerics.size() * model::NumericBins::kShares * 16 + 9;
    const std::string bytes = trainer.Serialize();
    const auto file = nn::TensorReader::Open(bytes);
    EXPECT_TRUE(file.ok());
    nn::TensorWriter out;
    for (const char* entry : {"live", "shadow", "ledger", "rest"}) {
      std::string_view part = file.value().Bytes(entry).value();
      if (std::string_view(entry) == "rest") part.remove_suffix(later);
      out.Bytes(entry, std::string(part));
    }
    return out.Finish();
  }
  uint64_t BytesOf(int number) const {
    return fs::file_size(
        folder + (number == 0 ? "/whole.checkpoint" : "/" + std::to_string(number) + ".increment"));
  }

  const std::string folder;
};

TEST_F(LearnerChain, AStateOfAnEarlierBuildIsReadAndGoesOn) {
  const OnlineOptions options = Options();
  auto trainer = Make(options);
  Stream stream(4);
  for (int64_t ts = 0; ts < 30'000; ts += 100) {
    Feed(trainer.get(), stream.Show(ts));
    if (stream.clicked()) Feed(trainer.get(), stream.Positive(ts + 10));
    trainer->Learn(ts, 4);
  }
  const std::string earlier = Earlier(*trainer);
  auto restored = OnlineTrainer::Restore(earlier, options);
  ASSERT_TRUE(restored.ok()) << restored.status().ToString();
  EXPECT_EQ(restored.value()->stats().steps, trainer->stats().steps);
  EXPECT_EQ(Earlier(*restored.value()), earlier);
  Feed(restored.value().get(), stream.Show(30'100));
  EXPECT_GT(restored.value()->Learn(60'000, 100).steps, 0u);
}

// At any moment, through promotions, rollbacks, expired rows and restarts, the chain gives the trainer that
// Serialize gives whole, and that goes on as the one that was never stopped.
TEST_F(LearnerChain, GivesTheTrainerThatOneWholeFileGives) {
  OnlineOptions options = Options();
  options.health.promote_after = 150;
  options.ledger.windows = {{1'000, 60'000}, {3'000, 60'000}};
  options.expire_after_ms = 2 * kMinuteMs;
  std::unique_ptr<OnlineTrainer> trainer = Grown(4'000, options);
  auto chain = std::make_unique<CheckpointChain>(folder);
  Stream stream(5, 2'000);
  int64_t ts = 1'700'000'000'000;
  size_t increments = 0;
  for (int i = 0; i < 40; ++i) {
    Play(trainer.get(), &stream, 37, &ts);
    ts += 20'000;
    if (i == 22) trainer->Rollback();
    const std::string note = "note " + std::to_string(i);
    ASSERT_TRUE(trainer->WriteTo(chain.get(), note).ok());
    CheckpointChain reader(folder);
    const OnlineTrainer::Restored restored = Restore(&reader, options);
    EXPECT_EQ(restored.note, note);
    ASSERT_TRUE(restored.trainer->Serialize() == trainer->Serialize()) << i;
    increments += fs::exists(folder + "/1.increment") ? 1 : 0;
    if (i % 7 != 3) continue;              // a restart
    Play(trainer.get(), &stream, 5, &ts);  // which nobody keeps
    chain = std::make_unique<CheckpointChain>(folder);
    trainer = Restore(chain.get(), options).trainer;
  }
  EXPECT_GT(increments, 20u);
  EXPECT_GT(trainer->stats().health.promotions, 0u);
  EXPECT_GT(trainer->stats().expired_rows, 0u);
  EXPECT_EQ(trainer->stats().rollbacks, 1u);
}

TEST_F(LearnerChain, ADamagedIncrementGivesTheStateBefore) {
  const OnlineOptions options = Options();
  const auto trainer = Grown(4'000, options);
  CheckpointChain chain(folder);
  Stream stream(6);
  int64_t ts = 0;
  std::vector<std::string> states;
  for (int i = 0; i < 4; ++i) {
    Play(trainer.get(), &stream, 5, &ts);
    ASSERT_TRUE(trainer->WriteTo(&chain, std::to_string(i)).ok());
    states.push_back(trainer->Serialize());
  }
  const std::string path = folder + "/2.increment";
  const std::string good = ReadWholeFile(path).value();
  for (size_t at = 0; at < good.size(); at += good.size() / 17) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 8);
    ASSERT_TRUE(ReplaceFile(path, bad).ok());
    CheckpointChain reader(folder);
    auto stored = reader.Restore();
    ASSERT_TRUE(stored.ok());
    EXPECT_NE(stored.value().refused.ToString().find("2.increment"), std::string::npos);
    auto restored = OnlineTrainer::Restore(std::move(stored).value(), options);
    ASSERT_TRUE(restored.ok()) << restored.status().ToString();
    EXPECT_EQ(restored.value().note, "1");
    EXPECT_TRUE(restored.value().trainer->Serialize() == states[1]);
  }
  // It goes on from there, over what is damaged.
  CheckpointChain again(folder);
  const auto resumed = Restore(&again, options).trainer;
  Play(resumed.get(), &stream, 5, &ts);
  ASSERT_TRUE(resumed->WriteTo(&again, "again").ok());
  CheckpointChain reader(folder);
  EXPECT_TRUE(Restore(&reader, options).trainer->Serialize() == resumed->Serialize());
}

// A failed write takes what changed with it; the next one is whole.
TEST_F(LearnerChain, AWriteThatFailedIsMadeUpFor) {
  const auto trainer = Make(Options());
  CheckpointChain chain(folder);
  Stream stream(7);
  int64_t ts = 0;
  Play(trainer.get(), &stream, 20, &ts);
  ASSERT_TRUE(trainer->WriteTo(&chain, "").ok());
  fs::rename(folder, folder + "_away");
  ASSERT_TRUE(ReplaceFile(folder, "a file where the folder was").ok());
  Play(trainer.get(), &stream, 20, &ts);
  EXPECT_FALSE(trainer->WriteTo(&chain, "").ok());
  Play(trainer.get(), &stream, 20, &ts);
  fs::remove(folder);
  fs::rename(folder + "_away", folder);
  ASSERT_TRUE(trainer->WriteTo(&chain, "").ok());
  CheckpointChain reader(folder);
  EXPECT_TRUE(Restore(&reader, Options()).trainer->Serialize() == trainer->Serialize());
}

// With tables a hundred times as large an increment has the bytes of what was learned since, to the byte,
// and twice the lessons cost about twice of what depends on them.
TEST_F(LearnerChain, ACheckpointCostsWhatWasLearned) {
  const auto increment = [&](uint64_t keys, int lessons, uint64_t* whole) {
    fs::remove_all(folder);
    const auto trainer = Grown(keys, Options());
    CheckpointChain chain(folder);
    Stream stream(8, 400);
    int64_t ts = 1'700'000'000'000;
    // What a first step adds: optimiser's sums of all rows, and their ages.
    Play(trainer.get(), &stream, 30, &ts);
    EXPECT_TRUE(trainer->WriteTo(&chain, "").ok());
    *whole = BytesOf(0);
    Play(trainer.get(), &stream, lessons, &ts);
    EXPECT_TRUE(trainer->WriteTo(&chain, "").ok());
    return BytesOf(1);
  };
  uint64_t small_whole = 0, large_whole = 0, whole = 0;
  const uint64_t small = increment(400, 50, &small_whole);
  const uint64_t large = increment(40'000, 50, &large_whole);
  const uint64_t none = increment(40'000, 0, &whole), twice = increment(40'000, 100, &whole);
  EXPECT_GT(large_whole, 20 * small_whole);
  EXPECT_LT(large, small + small / 20) << "however many rows there are";
  EXPECT_LT(static_cast<double>(twice - none), 2.2 * static_cast<double>(large - none));
  EXPECT_LT(large * 20, large_whole);
}

TEST(OnlineExpiry, RowsThatNoExampleHadGo) {
  OnlineOptions options = Options();
  options.expire_after_ms = 60 * kMinuteMs;
  options.health.min_worse = 10;  // one example over and over: not what is tested here
  options.health.sudden_false_alarms = 0;
  const auto trainer = Make(options);
  Stream stream(9);
  int64_t ts = 1'700'000'000'000;
  Play(trainer.get(), &stream, 100, &ts);
  const std::vector<nn::EmbeddingTable> before = trainer->live().net().tables;
  (void)trainer->TakeTouchedRows();
  EXPECT_EQ(trainer->stats().expired_rows, 0u);
  // One of the keys goes on being shown, the others do not.
  Feedback kept = stream.Show(ts);
  while (kept.features->candidate_keys[0] == 0) kept = stream.Show(ts);
  for (int minute = 0; minute < 70; ++minute) {
    ts += kMinuteMs;
    kept.example += 1;
    kept.ts = ts;
    Feed(trainer.get(), kept);
    trainer->Learn(ts, 4);
  }
  ASSERT_EQ(trainer->stats().rollbacks, 0u);
  EXPECT_GT(trainer->stats().expired_rows, 0u);
  const auto touched = trainer->TakeTouchedRows();
  uint64_t gone = 0;
  for (size_t t = 0; t < before.size(); ++t) {
    const nn::EmbeddingTable& now = trainer->live().net().tables[t];
    for (uint32_t row = 2; row < before[t].rows(); ++row) {
      if (now.KeyOf(row) == before[t].KeyOf(row)) continue;
      ++gone;
      EXPECT_TRUE(std::binary_search(touched[t].begin(), touched[t].end(), row));
    }
  }
  EXPECT_GE(trainer->stats().expired_rows, gone);
  EXPECT_GT(gone, 0u);
  uint32_t row = 0;
  const uint64_t key = kept.features->candidate_keys[0];
  trainer->live().net().tables[trainer->live().net().layout.candidate_fields[0].table].Rows(
      &key, 1, 1, &row, 1);
  EXPECT_GT(row, nn::EmbeddingTable::kUnseen) << "what is asked for stays";
}

TEST(OnlineExpiry, ByDefaultNothingGoes) {
  const auto trainer = Make(Options());
  Stream stream(9);
  int64_t ts = 1'700'000'000'000;
  Play(trainer.get(), &stream, 50, &ts);
  ts += int64_t{400} * 24 * 60 * kMinuteMs;
  Play(trainer.get(), &stream, 50, &ts);
  EXPECT_EQ(trainer->stats().expired_rows, 0u);
}

}  // namespace
}  // namespace heed::train
