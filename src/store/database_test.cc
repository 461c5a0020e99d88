// Faults under the event log: refused syncs, full disks, power cuts, flipped bytes.
#include "store/database.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "store/documents.h"
#include "store/event_log.h"
#include "store/fault_env.h"
#include "store/testing.h"

namespace heed::store {
namespace {

namespace fs = std::filesystem;

// A database and a log on a faulty disk, and what was acknowledged by it.
class FaultTest : public ::testing::Test {
 protected:
  Status Open() {
    auto database = Database::Open({root_, env_.env()});
    HEED_RETURN_IF_ERROR(database.status());
    database_ = std::move(database).value();
    EventLogOptions options;
    options.apply = [this](std::span<const LogRecord> records) { applied_ += records.size(); };
    auto log = EventLog::Open(*database_, std::move(options));
    HEED_RETURN_IF_ERROR(log.status());
    log_ = std::move(log).value();
    return {};
  }
  void Close() {
    log_.reset();
    database_.reset();
  }
  // Power off, and on again after the process is gone.
  void PowerCycle(uint64_t seed) {
    env_.CutPowerAfter(0);
    Close();
    const Status restarted = env_.Restart(seed);
    ASSERT_TRUE(restarted.ok()) << restarted.ToString();
    const Status opened = Open();
    ASSERT_TRUE(opened.ok()) << opened.ToString();
  }
  // The events e0 … e(n-1), in order, as 1 … n; returns n.
  uint64_t ExpectPrefix(const EventLog& log) {
    const Result<std::vector<LogRecord>> records = ReadAll(log);
    EXPECT_TRUE(records.ok()) << records.status().ToString();
    if (!records.ok()) return 0;
    for (size_t i = 0; i < records.value().size(); ++i) {
      EXPECT_EQ(records.value()[i].sequence, i + 1);
      EXPECT_EQ(records.value()[i].event, SmallEvent(i));
    }
    return records.value().size();
  }

  TemporaryDirectory directory_;
  const std::string root_ = directory_.path() + "/db";
  FaultEnv env_;
  std::atomic<uint64_t> applied_ = 0;
  std::unique_ptr<Database> database_;
  std::unique_ptr<EventLog> log_;
};

TEST_F(FaultTest, ASecondOpenIsRefusedAndStatsAreFilled) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(log_->Append(SmallEvents(0, 500)).ok());
  EXPECT_EQ(Database::Open({root_, env_.env()}).status().code(), Code::kUnavailable);
  EXPECT_GT(database_->stats().wal_bytes, 10'000u);
  EXPECT_EQ(database_->stats().log_bytes, 0u);
  ASSERT_TRUE(database_->Flush().ok());
  EXPECT_GT(database_->stats().log_bytes, 1'000u);
  EXPECT_GT(database_->stats().id_bytes, 1'000u);
  EXPECT_GT(database_->stats().memory_bytes, 0u);
}

TEST_F(FaultTest, AFailedSyncIsNotAcknowledgedAndEndsWritingUntilReopened) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(log_->Append(SmallEvents(0, 10)).ok());
  EXPECT_EQ(applied_, 10u);
  env_.FailSync(1, ".log");
  EXPECT_EQ(log_->Append(SmallEvents(10, 5)).status().code(), Code::kIo);
  EXPECT_EQ(applied_, 10u);
  EXPECT_EQ(log_->last_sequence(), 10u);
  EXPECT_EQ(ExpectPrefix(*log_), 10u);
  EXPECT_EQ(log_->health().code(), Code::kIo);
  // The disk is well again, but what it holds is not known.
  ASSERT_TRUE(env_.Restart(0).ok());
  bool called = false;
  EXPECT_EQ(log_->TryAppend(SmallEvents(15, 1), true, [&](auto) { called = true; }).code(),
            Code::kIo);
  EXPECT_FALSE(called);
  const std::vector<Document> documents = {{"h", "text"}};
  EXPECT_EQ(Documents(*database_).Put(Collection::kHosts, "t", documents, true).code(), Code::kIo);
  EXPECT_EQ(ExpectPrefix(*log_), 10u);

  Close();
  ASSERT_TRUE(Open().ok());
  EXPECT_TRUE(log_->health().ok());
  // Unacknowledged events may have arrived or not, all of a batch or none; a retry settles it.
  const uint64_t found = ExpectPrefix(*log_);
  EXPECT_TRUE(found == 10 || found == 15) << found;
  const auto retried = log_->Append(SmallEvents(10, 5));
  ASSERT_TRUE(retried.ok());
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(retried.value()[i], (Appended{11 + i, found == 15}));
  }
  EXPECT_EQ(ExpectPrefix(*log_), 15u);
  // And that acknowledgement, be it of a duplicate, holds through a power cut.
  ASSERT_NO_FATAL_FAILURE(PowerCycle(3));
  EXPECT_EQ(ExpectPrefix(*log_), 15u);
}

TEST_F(FaultTest, BatchesBehindAFailedSyncFailToo) {
  ASSERT_TRUE(Open().ok());
  env_.FailSync(1, ".log");
  std::atomic<int> failed = 0;
  std::atomic<int> refused = 0;
  for (uint64_t i = 0; i < 100; ++i) {
    const Status status = log_->TryAppend(
        {SmallEvent(i)}, true, [&](auto answer) { failed += answer.status().code() == Code::kIo; });
    refused += !status.ok();
  }
  Close();
  EXPECT_EQ(failed + refused, 100);
  EXPECT_GE(failed, 1);
  EXPECT_EQ(applied_, 0u);
}

TEST_F(FaultTest, AFullDiskLosesNothingAcknowledged) {
  for (const uint64_t bytes : {0u, 1u, 100u, 1'000u, 5'000u, 20'000u}) {
    ASSERT_TRUE(Open().ok());
    const uint64_t before = ExpectPrefix(*log_);
    env_.FillDiskAfter(bytes);
    uint64_t acknowledged = before;
    Result<std::vector<Appended>> answer = std::vector<Appended>();
    while (answer.ok()) {
      answer = log_->Append(SmallEvents(acknowledged, 7));
      if (answer.ok()) acknowledged += 7;
    }
    EXPECT_EQ(answer.status().code(), Code::kIo);
    Close();
    ASSERT_TRUE(env_.Restart(0).ok());
    ASSERT_TRUE(Open().ok());
    const uint64_t found = ExpectPrefix(*log_);
    EXPECT_TRUE(found == acknowledged || found == acknowledged + 7) << found;
    ASSERT_NO_FATAL_FAILURE(PowerCycle(bytes));
    EXPECT_EQ(ExpectPrefix(*log_), found);
    Close();
  }
}

TEST_F(FaultTest, ATornWriteLosesNothingAcknowledgedAndLeavesNoHalfBatch) {
  for (uint64_t seed = 0; seed < 24; ++seed) {
    ASSERT_TRUE(Open().ok());
    const uint64_t before = ExpectPrefix(*log_);
    env_.CutPowerAfter(seed % 6);
    uint64_t acknowledged = before;
    // Large batches, so that one spans several of RocksDB's 32 KiB blocks.
    while (log_->Append(SmallEvents(acknowledged, 400)).ok()) acknowledged += 400;
    ASSERT_TRUE(env_.power_is_cut());
    Close();
    ASSERT_TRUE(env_.Restart(seed).ok());
    ASSERT_TRUE(Open().ok()) << seed;
    const uint64_t found = ExpectPrefix(*log_);
    EXPECT_TRUE(found == acknowledged || found == acknowledged + 400) << found;
    Close();
  }
}

std::vector<std::string> FilesEndingIn(const std::string& root, const std::string& suffix) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(root)) {
    const std::string path = entry.path().string();
    if (path.ends_with(suffix) && entry.file_size() != 0) paths.push_back(path);
  }
  return paths;
}

// Opens `root`, reads everything and appends events 0 … n-1 once more: each step may refuse, none may
// return anything but what was written, nor store an event twice.
void ExpectRefusedOrRight(const std::string& root, uint64_t n, const std::string& what) {
  SCOPED_TRACE(what);
  auto database = Database::Open({root});
  if (!database.ok()) {
    EXPECT_EQ(database.status().code(), Code::kCorruption) << database.status().ToString();
    return;
  }
  auto log = EventLog::Open(*database.value(), {});
  if (!log.ok()) return;
  uint64_t next = 1;
  const Status read = log.value()->Read(1, [&](const LogRecord& record) {
    EXPECT_EQ(record.sequence, next);
    EXPECT_EQ(record.event, SmallEvent(next - 1));
    ++next;
    return Status();
  });
  if (read.ok()) {
    EXPECT_EQ(next, n + 1);
  } else {
    EXPECT_EQ(read.code(), Code::kCorruption);
    EXPECT_NE(read.message().find("record " + std::to_string(next) + " "), std::string::npos)
        << read.message();
  }
  for (uint64_t i = 0; i < n; i += 50) {
    const auto again = log.value()->Append(SmallEvents(i, 50));
    if (!again.ok()) break;
    for (size_t k = 0; k < 50; ++k) EXPECT_EQ(again.value()[k], (Appended{i + k + 1, true}));
  }
}

TEST_F(FaultTest, AFlippedByteInATableFileIsNeverReturned) {
  constexpr uint64_t kEvents = 1'000;
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(log_->Append(SmallEvents(0, kEvents)).ok());
  Close();  // moves all into table files
  const std::vector<std::string> files = FilesEndingIn(root_, ".sst");
  ASSERT_GE(files.size(), 2u);
  for (const std::string& file : files) {
    const uint64_t size = fs::file_size(file);
    for (uint64_t i = 0; i < 25; ++i) {
      const uint64_t offset = i * size / 25 + i % 7;
      const std::string copy = directory_.path() + "/copy";
      fs::copy(root_, copy, fs::copy_options::recursive);
      ASSERT_TRUE(FlipByte(copy + "/" + fs::path(file).filename().string(), offset).ok());
      ExpectRefusedOrRight(copy, kEvents,
                           fs::path(file).filename().string() + " " + std::to_string(offset));
      fs::remove_all(copy);
    }
  }
}

TEST_F(FaultTest, AByteFlippedOnTheWayFromTheDiskIsNeverReturned) {
  ASSERT_TRUE(Open().ok());
  ASSERT_TRUE(log_->Append(SmallEvents(0, 1'000)).ok());
  Close();
  ASSERT_TRUE(Open().ok());
  env_.FlipOnRead(".sst", 300);
  uint64_t next = 1;
  const Status read = log_->Read(1, [&](const LogRecord& record) {
    EXPECT_EQ(record.event, SmallEvent(next++ - 1));
    return Status();
  });
  EXPECT_EQ(read.code(), Code::kCorruption) << read.ToString();
  EXPECT_NE(read.message().find("record " + std::to_string(next) + " "), std::string::npos);
}

// A crash leaves a write-ahead log behind; damage inside it must not pass for its torn end.
TEST_F(FaultTest, AFlippedByteInTheWriteAheadLogIsRefusedUntilAccepted) {
  constexpr uint64_t kEvents = 3'000;
  ASSERT_TRUE(Open().ok());
  for (uint64_t i = 0; i < kEvents; i += 100) {
    ASSERT_TRUE(log_->Append(SmallEvents(i, 100)).ok());
  }
  env_.CutPowerAfter(0);
  Close();
  ASSERT_TRUE(env_.Restart(0).ok());
  const std::vector<std::string> files = FilesEndingIn(root_, ".log");
  ASSERT_EQ(files.size(), 1u);
  const std::string name = fs::path(files[0]).filename().string();
  const uint64_t size = fs::file_size(files[0]);
  ASSERT_GT(size, 3 * 32'768u);
  const uint64_t last_block = size / 32'768 * 32'768;
  const std::string copy = directory_.path() + "/copy";
  for (uint64_t i = 0; i < 40; ++i) {
    const uint64_t offset = i * last_block / 40 + i % 8;
    fs::copy(root_, copy, fs::copy_options::recursive);
    ASSERT_TRUE(FlipByte(copy + "/" + name, offset).ok());
    const auto refused = Database::Open({copy});
    EXPECT_EQ(refused.status().code(), Code::kCorruption) << offset;
    DatabaseOptions accepting{copy};
    accepting.accept_damaged_tail = true;
    const auto accepted = Database::Open(accepting);
    ASSERT_TRUE(accepted.ok()) << accepted.status().ToString();
    EXPECT_LT(ExpectPrefix(*EventLog::Open(*accepted.value(), {}).value()), kEvents);
    fs::remove_all(copy);
  }
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(ExpectPrefix(*log_), kEvents);
}

}  // namespace
}  // namespace heed::store
