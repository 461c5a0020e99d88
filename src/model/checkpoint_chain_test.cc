// A ranker from its whole file and the increments after it is the ranker that wrote them, byte for byte;
// what is damaged is refused, and the state before it comes back.
#include "model/checkpoint_chain.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "model/batch_for_test.h"
#include "model/ranker_net.h"

namespace heed::model {
namespace {

namespace fs = std::filesystem;
using Kind = OptimizerConfig::Kind;

class Chain : public testing::Test {
 protected:
  Chain() : folder(testing::TempDir() + "heed_chain") { fs::remove_all(folder); }
  ~Chain() override { fs::remove_all(folder); }

  // Steps with new keys in each, some of them admitted and some rows expired.
  void Learn(Ranker* ranker, int steps, Kind tables = Kind::kAdagrad) {
    for (int i = 0; i < steps; ++i) {
      ranker->SetClock(++clock);
      const Batch batch =
          RandomBatch(ranker->config().schema, {.requests = 9, .keys = 60 + 10 * clock}, random);
      const OptimizerConfig optimizer{.dense = tables, .tables = tables, .table_rate = 0.05f};
      ASSERT_TRUE(ranker->TrainStep(batch, optimizer).ok());
      if (clock <= 4) continue;
      for (const auto& rows : ranker->ExpireRows(clock - 3)) expired += rows.size();
    }
  }
  static std::unique_ptr<Ranker> Make() {
    RankerConfig config = SmallConfig();
    config.admit_after = 2;
    return std::move(Ranker::Create(config, 3)).value();
  }
  static Status Whole(CheckpointChain* chain, Ranker* ranker, std::string_view beside = {}) {
    return chain->WriteWhole(std::array{ranker}, beside);
  }
  static Status Increment(CheckpointChain* chain, Ranker* ranker, std::string_view beside = {}) {
    return chain->WriteIncrement(std::array{ranker}, beside);
  }
  static CheckpointChain::Restored Restore(const std::string& folder) {
    auto restored = CheckpointChain(folder).Restore();
    EXPECT_TRUE(restored.ok()) << restored.status().ToString();
    return std::move(restored).value();
  }
  std::string PathOf(int i) const { return folder + "/" + std::to_string(i) + ".increment"; }

  std::string folder;
  Random random{5};
  uint32_t clock = 0;
  size_t expired = 0;
};

TEST_F(Chain, IsTheRankerByteForByte) {
  for (const Kind kind : {Kind::kAdagrad, Kind::kAdam}) {
    const std::unique_ptr<Ranker> ranker = Make();
    CheckpointChain chain(folder);
    EXPECT_FALSE(Increment(&chain, ranker.get()).ok()) << "nothing to follow";
    ASSERT_TRUE(Whole(&chain, ranker.get()).ok());
    EXPECT_EQ(Restore(folder).rankers[0]->Serialize(), ranker->Serialize());
    for (uint64_t i = 1; i <= 6; ++i) {
      Learn(ranker.get(), 2, kind);
      ASSERT_TRUE(Increment(&chain, ranker.get()).ok());
      const auto restored = Restore(folder);
      EXPECT_TRUE(restored.refused.ok()) << restored.refused.ToString();
      EXPECT_EQ(restored.increments(), i);
      EXPECT_TRUE(restored.rankers[0]->Serialize() == ranker->Serialize()) << "increment " << i;
    }
  }
  EXPECT_GT(expired, 0u);
}

TEST_F(Chain, GoesOnAfterARestore) {
  const std::unique_ptr<Ranker> ranker = Make();
  CheckpointChain first(folder);
  ASSERT_TRUE(Whole(&first, ranker.get()).ok());
  CheckpointChain again(folder);
  auto restored = again.Restore();
  ASSERT_TRUE(restored.ok());
  Ranker* learner = restored.value().rankers[0].get();
  Learn(learner, 3);
  ASSERT_TRUE(Increment(&again, learner).ok());
  EXPECT_TRUE(Restore(folder).rankers[0]->Serialize() == learner->Serialize());
}

// A learning ranker and the copy that takes its place now and then, with what is kept beside them.
TEST_F(Chain, HoldsRankersOfOneMoment) {
  const std::unique_ptr<Ranker> live = Make();
  live->TrackChanges();
  std::unique_ptr<Ranker> shadow = live->Copy();
  CheckpointChain chain(folder);
  EXPECT_TRUE(chain.WholeIsDue());
  ASSERT_TRUE(chain.WriteWhole(std::array{live.get(), shadow.get()}, "0").ok());
  EXPECT_FALSE(chain.WholeIsDue());
  for (uint64_t i = 1; i <= 9; ++i) {
    Learn(live.get(), 1);
    if (i % 3 == 0) shadow = live->CopyInPlaceOf(*shadow);
    Learn(live.get(), 1);
    if (i % 5 == 0) shadow = live->CopyInPlaceOf(*shadow);
    ASSERT_TRUE(chain.WriteIncrement(std::array{live.get(), shadow.get()}, std::to_string(i)).ok());
    const auto restored = Restore(folder);
    EXPECT_EQ(restored.beside.back(), std::to_string(i));
    EXPECT_EQ(restored.increments(), i);
    EXPECT_TRUE(restored.rankers[0]->Serialize() == live->Serialize()) << i;
    EXPECT_TRUE(restored.rankers[1]->Serialize() == shadow->Serialize()) << i;
  }
  EXPECT_TRUE(chain.WholeIsDue()) << "what follows is more than what it follows";
  EXPECT_FALSE(chain.WriteIncrement(std::array{live.get()}, "").ok() &&
               Restore(folder).increments() == 10)
      << "one ranker too few";
}

TEST_F(Chain, AnIncrementHoldsWhatChanged) {
  const std::unique_ptr<Ranker> ranker = Make();
  Random keys(8);
  for (int i = 0; i < 3; ++i) {
    const Batch many = RandomBatch(ranker->config().schema, {.requests = 4000, .keys = 4000}, keys);
    ASSERT_TRUE(ranker->CountKeys(many).ok());
  }
  CheckpointChain chain(folder);
  ASSERT_TRUE(Whole(&chain, ranker.get()).ok());
  const Batch few = RandomBatch(ranker->config().schema, {.requests = 3, .keys = 4000}, keys);
  ASSERT_TRUE(ranker->TrainStep(few, {.tables = Kind::kAdagrad}).ok());
  ASSERT_TRUE(Increment(&chain, ranker.get()).ok());
  EXPECT_LT(fs::file_size(PathOf(1)) * 10, fs::file_size(folder + "/whole.checkpoint"));
  EXPECT_TRUE(Restore(folder).rankers[0]->Serialize() == ranker->Serialize());
}

TEST_F(Chain, RefusesWhatIsDamagedMissingOrOfAnotherChain) {
  const std::unique_ptr<Ranker> ranker = Make();
  CheckpointChain chain(folder);
  ASSERT_TRUE(Whole(&chain, ranker.get()).ok());
  std::vector<std::string> states = {ranker->Serialize()};
  for (int i = 0; i < 3; ++i) {
    Learn(ranker.get(), 1);
    ASSERT_TRUE(Increment(&chain, ranker.get()).ok());
    states.push_back(ranker->Serialize());
  }
  const auto expect = [&](uint64_t increments, const std::string& what) {
    const auto restored = Restore(folder);
    EXPECT_EQ(restored.increments(), increments) << what;
    EXPECT_EQ(restored.refused.ok(), increments == 3) << what;
    EXPECT_TRUE(restored.rankers[0]->Serialize() == states[increments]) << what;
  };
  expect(3, "whole");
  const std::string good = ReadWholeFile(PathOf(2)).value();
  for (size_t at = 0; at < good.size(); at += good.size() / 23) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 4);
    ASSERT_TRUE(ReplaceFile(PathOf(2), bad).ok());
    expect(1, "byte " + std::to_string(at));
    ASSERT_TRUE(ReplaceFile(PathOf(2), good.substr(0, at)).ok());
    expect(1, "cut at " + std::to_string(at));
  }
  fs::remove(PathOf(2));
  expect(1, "missing");
  ASSERT_TRUE(ReplaceFile(PathOf(2), ReadWholeFile(PathOf(3)).value()).ok());
  expect(1, "another number");
  ASSERT_TRUE(ReplaceFile(PathOf(2), good).ok());
  expect(3, "put back");
  // What a crash between a new whole ranker and the end of the old increments leaves behind.
  Learn(ranker.get(), 1);
  CheckpointChain other(folder + "_other");
  ASSERT_TRUE(Whole(&other, ranker.get()).ok());
  fs::rename(folder + "_other/whole.checkpoint", folder + "/whole.checkpoint");
  fs::remove(folder + "_other");
  states[0] = ranker->Serialize();
  expect(0, "of another chain");
  fs::remove(folder + "/whole.checkpoint");
  EXPECT_EQ(CheckpointChain(folder).Restore().status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace heed::model
