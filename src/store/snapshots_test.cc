#include "store/snapshots.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "store/fault_env.h"
#include "store/format_example.h"
#include "store/testing.h"

namespace heed::store {
namespace {

class SnapshotsTest : public ::testing::Test {
 protected:
  SnapshotsTest() { Open(); }

  void Open() {
    auto database = Database::Open({root_, env_.env()});
    ASSERT_TRUE(database.ok()) << database.status().ToString();
    database_ = std::move(database).value();
  }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    if (!std::filesystem::exists(folder_)) return names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  static std::string Name(uint64_t sequence) {
    std::string digits = std::to_string(sequence);
    return std::string(20 - digits.size(), '0') + digits + ".snapshot";
  }
  // "sequence:bytes", or "none".
  std::string Newest(size_t keep = 3) {
    const auto read = Snapshots(*database_, keep).ReadNewest();
    if (!read.ok()) return read.status().ToString();
    if (!read.value()) return "none";
    return std::to_string(read.value()->sequence) + ":" + read.value()->bytes;
  }

  TemporaryDirectory directory_;
  const std::string root_ = directory_.path() + "/db";
  const std::string folder_ = root_ + "/snapshots";
  FaultEnv env_;
  std::unique_ptr<Database> database_;
};

TEST_F(SnapshotsTest, ReadsTheNewestAndKeepsTheNewestFew) {
  Snapshots snapshots(*database_, 2);
  EXPECT_EQ(Newest(), "none");
  for (const uint64_t sequence : {9u, 10u, 100u}) {
    ASSERT_TRUE(snapshots.Write(sequence, "state " + std::to_string(sequence)).ok());
    EXPECT_EQ(Newest(), std::to_string(sequence) + ":state " + std::to_string(sequence));
  }
  EXPECT_EQ(Files(), (std::vector<std::string>{Name(10), Name(100)}));
  ASSERT_TRUE(snapshots.Write(100, "again").ok());
  EXPECT_EQ(Newest(), "100:again");
}

TEST_F(SnapshotsTest, HoldsNothingAndManyPieces) {
  Snapshots snapshots(*database_, 2);
  ASSERT_TRUE(snapshots.Write(1, "").ok());
  EXPECT_EQ(Newest(), "1:");
  std::string large((3u << 20) + 1, '\0');
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 31 / 7);
  ASSERT_TRUE(snapshots.Write(2, large).ok());
  EXPECT_TRUE(Newest() == "2:" + large);
}

TEST_F(SnapshotsTest, FileIsAsTheFormatPageSays) {
  ASSERT_TRUE(Snapshots(*database_, 2).Write(258, "state").ok());
  const std::string example = FormatExample("snapshot.md");
  std::ifstream file(folder_ + "/" + Name(258), std::ios::binary);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), example);
  const Result<Snapshot> parsed = ParseSnapshot(example);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value().sequence, 258u);
  EXPECT_EQ(parsed.value().bytes, "state");
}

TEST_F(SnapshotsTest, EveryFlippedBitAndEveryCutIsNoticed) {
  const std::string example = FormatExample("snapshot.md");
  ASSERT_EQ(example.size(), 41u);
  for (size_t bit = 0; bit < 8 * example.size(); ++bit) {
    std::string bytes = example;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    EXPECT_EQ(ParseSnapshot(bytes).status().code(), Code::kCorruption) << bit;
  }
  for (size_t size = 0; size < example.size(); ++size) {
    EXPECT_FALSE(ParseSnapshot(example.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(ParseSnapshot(example + "x").ok());
}

TEST_F(SnapshotsTest, ADamagedOneIsPutAsideAndThePreviousServes) {
  Snapshots snapshots(*database_, 3);
  for (const uint64_t sequence : {1u, 2u, 3u}) {
    ASSERT_TRUE(snapshots.Write(sequence, "state").ok());
  }
  ASSERT_TRUE(FlipByte(folder_ + "/" + Name(3), 38).ok());    // bytes
  std::filesystem::resize_file(folder_ + "/" + Name(2), 20);  // header
  EXPECT_EQ(Newest(), "1:state");
  EXPECT_EQ(Files(),
            (std::vector<std::string>{Name(1), Name(2) + ".damaged", Name(3) + ".damaged"}));
  // Kept while it may be of use, not for ever.
  for (const uint64_t sequence : {4u, 5u, 6u}) {
    ASSERT_TRUE(snapshots.Write(sequence, "state").ok());
  }
  EXPECT_EQ(Files(), (std::vector<std::string>{Name(4), Name(5), Name(6)}));
}

TEST_F(SnapshotsTest, AFileUnderAWrongNameIsDamage) {
  ASSERT_TRUE(Snapshots(*database_, 3).Write(1, "state").ok());
  std::filesystem::copy_file(folder_ + "/" + Name(1), folder_ + "/" + Name(2));
  EXPECT_EQ(Newest(), "1:state");
}

TEST_F(SnapshotsTest, AByteFlippedOnTheWayFromTheDiskIsNoticed) {
  Snapshots snapshots(*database_, 3);
  ASSERT_TRUE(snapshots.Write(1, "older").ok());
  ASSERT_TRUE(snapshots.Write(2, std::string(2u << 20, 'x')).ok());
  env_.FlipOnRead(Name(2), (1u << 20) + 77);
  EXPECT_EQ(Newest(), "1:older");
}

TEST_F(SnapshotsTest, OtherFilesInTheFolderAreLeftAlone) {
  Snapshots snapshots(*database_, 1);
  ASSERT_TRUE(snapshots.Write(1, "state").ok());
  std::ofstream(folder_ + "/notes.txt") << "of an operator";
  ASSERT_TRUE(snapshots.Write(2, "state").ok());
  EXPECT_EQ(Files(), (std::vector<std::string>{Name(2), "notes.txt"}));
}

TEST_F(SnapshotsTest, AFailedSyncOrAFullDiskLeavesThePreviousOnes) {
  Snapshots snapshots(*database_, 1);
  ASSERT_TRUE(snapshots.Write(1, "state").ok());
  env_.FailSync(1, "snapshot");
  EXPECT_EQ(snapshots.Write(2, "state").code(), Code::kIo);
  EXPECT_EQ(Newest(), "1:state");
  env_.FillDiskAfter(50);
  EXPECT_EQ(snapshots.Write(3, std::string(100, 'x')).code(), Code::kIo);
  EXPECT_EQ(Newest(), "1:state");
  ASSERT_TRUE(env_.Restart(0).ok());
  ASSERT_TRUE(snapshots.Write(4, "state").ok());
  EXPECT_EQ(Files(), std::vector<std::string>{Name(4)});  // half-written ones are gone too
}

TEST_F(SnapshotsTest, APowerCutAtAnyStepLeavesTheOldOrTheNew) {
  ASSERT_TRUE(Snapshots(*database_, 1).Write(1, "old").ok());
  bool written = false;
  for (uint64_t step = 0; !written; ++step) {
    ASSERT_LT(step, 50u);
    const uint64_t sequence = 2 + step;
    env_.CutPowerAfter(step);
    written = Snapshots(*database_, 1).Write(sequence, "new").ok() && !env_.power_is_cut();
    const std::string before = Newest();
    env_.CutPowerAfter(0);
    database_.reset();
    ASSERT_TRUE(env_.Restart(step).ok());
    Open();
    const std::string fresh = std::to_string(sequence) + ":new";
    if (written) {
      EXPECT_EQ(Newest(), fresh);
    } else {
      EXPECT_TRUE(Newest() == "1:old" || Newest() == fresh) << step << " " << Newest();
    }
    if (Newest() == fresh) break;
  }
}

}  // namespace
}  // namespace heed::store
