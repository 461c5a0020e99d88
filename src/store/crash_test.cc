// Crash after crash on one database, each at a random moment, with everything the module does going
// on: what was ever acknowledged must stay.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "store/database.h"
#include "store/documents.h"
#include "store/event_log.h"
#include "store/fault_env.h"
#include "store/snapshots.h"
#include "store/testing.h"

namespace heed::store {
namespace {

constexpr uint64_t kSeed = 20'261'123;
constexpr int kRounds = 60;
constexpr uint64_t kIds = 6'000;  // few enough that many appends repeat one

// What the program was promised so far, over all rounds.
class Promises {
 public:
  void Event(uint64_t number, const Appended& appended) {
    const std::lock_guard lock(mutex_);
    const uint64_t known = sequences_.emplace(number, appended.sequence).first->second;
    EXPECT_EQ(known, appended.sequence) << "event e" << number << " has two sequences";
    // The answer that says so may come here after another thread's that says duplicate.
    if (!appended.duplicate) {
      EXPECT_TRUE(new_.insert(number).second) << "event e" << number << " was new twice";
    }
  }
  void Document(const std::string& id, const std::string& text) {
    const std::lock_guard lock(mutex_);
    documents_[id] = text;
  }
  void Snapshot(uint64_t sequence) {
    const std::lock_guard lock(mutex_);
    snapshot_ = std::max(snapshot_, sequence);
  }

  void ExpectKept(Database& database, const EventLog& log) {
    const Result<std::vector<LogRecord>> records = ReadAll(log);
    ASSERT_TRUE(records.ok()) << records.status().ToString();
    ASSERT_EQ(records.value().size(), log.last_sequence());
    std::set<std::string> ids;
    for (size_t i = 0; i < records.value().size(); ++i) {
      const LogRecord& record = records.value()[i];
      EXPECT_EQ(record.sequence, i + 1);
      EXPECT_TRUE(ids.insert(record.event.id).second) << record.event.id << " is there twice";
    }
    for (const auto& [number, sequence] : sequences_) {
      ASSERT_LE(sequence, records.value().size()) << "event e" << number << " is lost";
      EXPECT_EQ(records.value()[sequence - 1].event, SmallEvent(number));
    }
    for (const auto& [id, text] : documents_) {
      const auto got = Documents(database).Get(Collection::kHosts, "t1", id);
      ASSERT_TRUE(got.ok()) << got.status().ToString();
      EXPECT_EQ(got.value(), text) << id;
    }
    const auto snapshot = Snapshots(database, 2).ReadNewest();
    ASSERT_TRUE(snapshot.ok()) << snapshot.status().ToString();
    EXPECT_GE(snapshot.value() ? snapshot.value()->sequence : 0, snapshot_);
    if (snapshot.value()) {
      EXPECT_LE(snapshot.value()->sequence, log.last_sequence());
      EXPECT_EQ(snapshot.value()->bytes, std::string(20'000, 's'));
    }
  }
  size_t events() const { return sequences_.size(); }

 private:
  std::mutex mutex_;
  std::map<uint64_t, uint64_t> sequences_;
  std::set<uint64_t> new_;
  std::map<std::string, std::string> documents_;
  uint64_t snapshot_ = 0;
};

// Stops by itself only when something new is refused: duplicates alone write nothing.
void AppendUntilRefused(EventLog& log, Promises& promises, const std::atomic<bool>& stop,
                        uint64_t seed) {
  Random random(seed);
  while (!stop) {
    std::vector<uint64_t> numbers(1 + random.Below(random.Chance(0.1) ? 500 : 10));
    std::vector<event::Event> events;
    for (uint64_t& number : numbers) {
      number = random.Below(kIds);
      events.push_back(SmallEvent(number));
    }
    const auto answer = log.Append(std::move(events));
    if (!answer.ok()) return;
    for (size_t i = 0; i < numbers.size(); ++i) promises.Event(numbers[i], answer.value()[i]);
  }
}

void WriteTheRestUntilRefused(Database& database, const EventLog& log, Promises& promises,
                              uint64_t seed) {
  Random random(seed);
  Documents documents(database);
  Snapshots snapshots(database, 2);
  for (int i = 0;; ++i) {
    const std::string id = "h" + std::to_string(random.Below(10));
    const std::string text = std::to_string(random.Next());
    const std::vector<Document> synced = {{id, text}};
    if (!documents.Put(Collection::kHosts, "t1", synced, true).ok()) {
      return;
    }
    promises.Document(id, text);
    const std::vector<Document> decisions = {{"d" + std::to_string(i), text}};
    if (!documents.Put(Collection::kDecisions, "t1", decisions, false).ok()) return;
    if (i % 5 == 4) {
      const uint64_t sequence = log.last_sequence();
      if (!snapshots.Write(sequence, std::string(20'000, 's')).ok()) return;
      promises.Snapshot(sequence);
    }
    if (i % 7 == 6 && !database.Flush().ok()) return;
  }
}

TEST(CrashTest, NothingAcknowledgedIsLostOrDoubledOverManyPowerCuts) {
  TemporaryDirectory directory;
  FaultEnv env;
  Promises promises;
  Random random(kSeed);
  const DatabaseOptions options{directory.path() + "/db", env.env()};
  int opened = 0;
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    // Every fourth cut falls into opening and recovery, the others into work; now and then it is a
    // refused sync or a full disk that comes first.
    const uint64_t cut = random.Below(round % 4 == 0 ? 30 : 400);
    env.CutPowerAfter(cut);
    if (random.Chance(0.1)) env.FailSync(1 + random.Below(20), ".log");
    if (random.Chance(0.1)) env.FillDiskAfter(random.Below(100'000));
    {
      auto database = Database::Open(options);
      if (database.ok()) {
        auto log = EventLog::Open(*database.value(), {});
        if (log.ok()) {
          ++opened;
          std::atomic<bool> stop = false;
          std::vector<std::thread> threads;
          for (int t = 0; t < 3; ++t) {
            threads.emplace_back([&, seed = random.Next()] {
              AppendUntilRefused(*log.value(), promises, stop, seed);
            });
          }
          threads.emplace_back([&, seed = random.Next()] {
            WriteTheRestUntilRefused(*database.value(), *log.value(), promises, seed);
            stop = true;
          });
          for (std::thread& thread : threads) thread.join();
        }
      }
      env.CutPowerAfter(0);
    }
    ASSERT_TRUE(env.Restart(random.Next()).ok());
    auto database = Database::Open(options);
    ASSERT_TRUE(database.ok()) << database.status().ToString();
    auto log = EventLog::Open(*database.value(), {});
    ASSERT_TRUE(log.ok()) << log.status().ToString();
    promises.ExpectKept(*database.value(), *log.value());
    if (HasFatalFailure()) return;
    // Sometimes the next round follows a clean close, sometimes a kill with the log still in place.
    if (random.Chance(0.5)) {
      env.CutPowerAfter(0);
      log.value().reset();
      database.value().reset();
      ASSERT_TRUE(env.Restart(random.Next()).ok());
    }
  }
  EXPECT_GT(opened, kRounds / 3);
  EXPECT_GT(promises.events(), 1'000u);
}

}  // namespace
}  // namespace heed::store
