#include "store/event_log.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "store/fault_env.h"
#include "store/testing.h"

namespace heed::store {
namespace {

using Answer = Result<std::vector<Appended>>;

class EventLogTest : public ::testing::Test {
 protected:
  void Open(EventLogOptions options = {}) {
    auto database = Database::Open({directory_.path() + "/db", env_.env()});
    ASSERT_TRUE(database.ok()) << database.status().ToString();
    database_ = std::move(database).value();
    auto log = EventLog::Open(*database_, std::move(options));
    ASSERT_TRUE(log.ok()) << log.status().ToString();
    log_ = std::move(log).value();
  }
  void Close() {
    log_.reset();
    database_.reset();
  }
  std::vector<Appended> Append(std::vector<event::Event> events) {
    Answer answer = log_->Append(std::move(events));
    EXPECT_TRUE(answer.ok()) << answer.status().ToString();
    return answer.ok() ? std::move(answer).value() : std::vector<Appended>();
  }
  std::vector<LogRecord> Read(uint64_t from = 1) {
    Result<std::vector<LogRecord>> records = ReadAll(*log_, from);
    EXPECT_TRUE(records.ok()) << records.status().ToString();
    return records.ok() ? std::move(records).value() : std::vector<LogRecord>();
  }

  TemporaryDirectory directory_;
  FaultEnv env_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<EventLog> log_;
};

// Holds the committer inside `apply` until released, so that a test decides what shares a group.
class Gate {
 public:
  void Wait() {
    reached_.set_value();
    released_.get_future().wait();
  }
  void WaitUntilReached() { reached_.get_future().wait(); }
  void Release() { released_.set_value(); }

 private:
  std::promise<void> reached_;
  std::promise<void> released_;
};

TEST_F(EventLogTest, ReadsBackWhatWasAppendedFromAnyPlace) {
  Open();
  EXPECT_EQ(log_->last_sequence(), 0u);
  EXPECT_TRUE(Read().empty());
  // More than a row, a row exactly, single events: rows begin at odd places.
  uint64_t written = 0;
  std::vector<event::Event> expected;
  for (const size_t size : {1u, 700u, 256u, 1u, 3u}) {
    const std::vector<event::Event> events = SmallEvents(written, size);
    expected.insert(expected.end(), events.begin(), events.end());
    for (const Appended& appended : Append(events)) {
      EXPECT_EQ(appended, (Appended{++written, false}));
    }
  }
  EXPECT_EQ(log_->last_sequence(), written);
  for (const uint64_t from : {0u, 1u, 2u, 257u, 258u, 700u, 701u, 702u, 957u, 958u, 961u, 962u}) {
    const std::vector<LogRecord> records = Read(from);
    const uint64_t first = std::max<uint64_t>(from, 1);
    ASSERT_EQ(records.size(), written + 1 - first) << from;
    for (size_t i = 0; i < records.size(); ++i) {
      EXPECT_EQ(records[i].sequence, first + i);
      EXPECT_EQ(records[i].event, expected[first + i - 1]);
    }
  }
}

TEST_F(EventLogTest, ReadStopsAtTheVisitorsFirstError) {
  Open();
  Append(SmallEvents(0, 10));
  uint64_t seen = 0;
  const Status status = log_->Read(3, [&](const LogRecord& record) {
    seen = record.sequence;
    return record.sequence == 5 ? NotFound("enough") : Status();
  });
  EXPECT_EQ(status.message(), "enough");
  EXPECT_EQ(seen, 5u);
}

TEST_F(EventLogTest, KnowsDuplicatesAndTheFirstWins) {
  Open();
  // Twice in one batch, the second time with other content; and the id under another tenant.
  EXPECT_EQ(Append({SmallEvent(1), SmallEvent(2), SmallEvent(1, 9), SmallEvent(1, 0, "t2")}),
            (std::vector<Appended>{{1, false}, {2, false}, {1, true}, {3, false}}));
  EXPECT_EQ(Append({SmallEvent(3), SmallEvent(2, 9)}),
            (std::vector<Appended>{{4, false}, {2, true}}));
  Close();
  Open();
  EXPECT_EQ(log_->last_sequence(), 4u);
  EXPECT_EQ(Append({SmallEvent(2, 7), SmallEvent(4)}),
            (std::vector<Appended>{{2, true}, {5, false}}));
  const std::vector<LogRecord> records = Read();
  ASSERT_EQ(records.size(), 5u);
  EXPECT_EQ(records[0].event, SmallEvent(1));
  EXPECT_EQ(records[1].event, SmallEvent(2));
  EXPECT_EQ(records[2].event, SmallEvent(1, 0, "t2"));
  EXPECT_EQ(log_->stats().events, 1u);
  EXPECT_EQ(log_->stats().duplicates, 1u);
}

TEST_F(EventLogTest, IdsThatContinueATenantAreDistinct) {
  Open();
  event::Event a = SmallEvent(1, 0, "ab");
  a.id = "c";
  event::Event b = SmallEvent(1, 0, "a");
  b.id = "bc";
  EXPECT_EQ(Append({a, b}), (std::vector<Appended>{{1, false}, {2, false}}));
}

TEST_F(EventLogTest, RefusesNulAndTakesAnEmptyBatch) {
  Open();
  event::Event event = SmallEvent(1);
  event.id = std::string("a\0b", 3);
  EXPECT_EQ(log_->Append({event}).status().field(), "/id");
  event = SmallEvent(1, 0, std::string_view("a\0b", 3));
  EXPECT_EQ(log_->Append({event}).status().field(), "/tenant");
  EXPECT_EQ(log_->Append({event}).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(Append({}).empty());
  EXPECT_EQ(log_->last_sequence(), 0u);
}

TEST_F(EventLogTest, CommitsWhatWaitsTogetherWithOneSync) {
  Gate gate;
  std::atomic<bool> first = true;
  EventLogOptions options;
  options.apply = [&](std::span<const LogRecord>) {
    if (first.exchange(false)) gate.Wait();
  };
  Open(std::move(options));
  std::vector<std::promise<Answer>> answers(102);
  const auto append = [&](size_t i, uint64_t number) {
    return log_->TryAppend({SmallEvent(number)}, false,
                           [&, i](Answer answer) { answers[i].set_value(std::move(answer)); });
  };
  ASSERT_TRUE(append(0, 0).ok());
  gate.WaitUntilReached();
  const uint64_t before = env_.syncs(".log");
  for (size_t i = 1; i <= 100; ++i) ASSERT_TRUE(append(i, i).ok());
  ASSERT_TRUE(append(101, 50).ok());  // a duplicate inside the group
  EXPECT_EQ(log_->queued_events(), 101u);
  gate.Release();
  for (size_t i = 0; i <= 100; ++i) {
    const Answer answer = answers[i].get_future().get();
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(answer.value(), (std::vector<Appended>{{i + 1, false}}));
  }
  EXPECT_EQ(answers[101].get_future().get().value(), (std::vector<Appended>{{51, true}}));
  EXPECT_EQ(env_.syncs(".log"), before + 1);
  EXPECT_EQ(log_->stats().groups, 2u);
  EXPECT_EQ(log_->queued_events(), 0u);
}

TEST_F(EventLogTest, GroupsAreLimitedButABatchIsNeverSplit) {
  Gate gate;
  std::atomic<bool> first = true;
  EventLogOptions options;
  options.max_group_events = 10;
  options.apply = [&](std::span<const LogRecord>) {
    if (first.exchange(false)) gate.Wait();
  };
  Open(std::move(options));
  std::vector<std::promise<Answer>> answers(5);
  size_t number = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    const size_t size = std::vector<size_t>{1, 4, 4, 4, 30}[i];
    ASSERT_TRUE(log_->TryAppend(SmallEvents(number, size), false,
                                [&, i](Answer answer) { answers[i].set_value(std::move(answer)); })
                    .ok());
    number += size;
    if (i == 0) gate.WaitUntilReached();
  }
  gate.Release();
  for (auto& answer : answers) EXPECT_TRUE(answer.get_future().get().ok());
  EXPECT_EQ(log_->stats().groups, 4u);  // 1 | 4 + 4 | 4 | 30
  EXPECT_EQ(log_->last_sequence(), number);
}

TEST_F(EventLogTest, RefusesOverTheQueueBoundButNeverWhatMayNotBeShed) {
  Gate gate;
  std::atomic<bool> first = true;
  EventLogOptions options;
  options.max_queued_events = 10;
  options.apply = [&](std::span<const LogRecord>) {
    if (first.exchange(false)) gate.Wait();
  };
  Open(std::move(options));
  std::atomic<int> answered = 0;
  const EventLog::Done count = [&](Answer answer) { answered += answer.ok(); };
  ASSERT_TRUE(log_->TryAppend({SmallEvent(0)}, false, count).ok());
  gate.WaitUntilReached();
  ASSERT_TRUE(log_->TryAppend(SmallEvents(1, 6), false, count).ok());
  ASSERT_TRUE(log_->TryAppend(SmallEvents(7, 4), false, count).ok());
  bool called = false;
  const Status refused = log_->TryAppend({SmallEvent(11)}, false, [&](Answer) { called = true; });
  EXPECT_EQ(refused.code(), Code::kOverloaded);
  EXPECT_TRUE(log_->TryAppend({SmallEvent(12)}, true, count).ok());
  EXPECT_EQ(log_->queued_events(), 11u);
  gate.Release();
  log_.reset();  // answers all
  EXPECT_EQ(answered, 4);
  EXPECT_FALSE(called);
}

TEST_F(EventLogTest, ABatchLargerThanTheQueuePassesWhenNothingWaits) {
  EventLogOptions options;
  options.max_queued_events = 10;
  Open(std::move(options));
  EXPECT_EQ(Append(SmallEvents(0, 50)).size(), 50u);
}

TEST_F(EventLogTest, ClosingCommitsAndAnswersWhatIsQueued) {
  Open();
  std::atomic<int> answered = 0;
  for (uint64_t i = 0; i < 50; ++i) {
    ASSERT_TRUE(
        log_->TryAppend({SmallEvent(i)}, false, [&](Answer answer) { answered += answer.ok(); })
            .ok());
  }
  Close();
  EXPECT_EQ(answered, 50);
  Open();
  EXPECT_EQ(Read().size(), 50u);
}

TEST_F(EventLogTest, AppliesInOrderOnceAndBeforeTheAnswer) {
  std::vector<std::pair<uint64_t, std::string>> applied;  // of the committer until closed
  std::atomic<uint64_t> last_applied = 0;
  EventLogOptions options;
  options.apply = [&](std::span<const LogRecord> records) {
    for (const LogRecord& record : records) {
      applied.emplace_back(record.sequence, record.event.id);
      last_applied = record.sequence;
    }
  };
  Open(std::move(options));
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Random random(t);
      for (int i = 0; i < 50; ++i) {
        // A third of each batch is known already, in all places of the batch.
        std::vector<event::Event> events;
        for (int k = 0; k < 9; ++k) events.push_back(SmallEvent(random.Below(400)));
        for (const Appended& appended : Append(std::move(events))) {
          EXPECT_LE(appended.sequence, last_applied.load());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<LogRecord> records = Read();
  log_.reset();
  ASSERT_EQ(applied.size(), records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(applied[i].first, i + 1);
    EXPECT_EQ(applied[i].second, records[i].event.id);
  }
}

TEST_F(EventLogTest, IsExactlyOnceWhenManyThreadsAppendOverlappingIds) {
  constexpr uint64_t kIds = 3'000;
  Open();
  std::mutex mutex;
  std::map<std::string, std::set<uint64_t>> sequences;  // all that were ever answered for the id
  std::map<std::string, int> firsts;
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      Random random(t);
      std::vector<uint64_t> numbers(kIds);
      for (uint64_t i = 0; i < kIds; ++i) numbers[i] = i;
      random.Shuffle(numbers);
      for (size_t at = 0; at < kIds;) {
        const size_t end = std::min<size_t>(kIds, at + 1 + random.Below(40));
        std::vector<event::Event> events;
        for (size_t i = at; i < end; ++i) events.push_back(SmallEvent(numbers[i], t));
        const std::vector<Appended> answer = Append(std::move(events));
        ASSERT_EQ(answer.size(), end - at);
        const std::lock_guard lock(mutex);
        for (size_t i = at; i < end; ++i) {
          const std::string id = "e" + std::to_string(numbers[i]);
          sequences[id].insert(answer[i - at].sequence);
          firsts[id] += !answer[i - at].duplicate;
        }
        at = end;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<LogRecord> records = Read();
  ASSERT_EQ(records.size(), kIds);
  for (size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(records[i].sequence, i + 1);
    const std::string& id = records[i].event.id;
    EXPECT_EQ(sequences[id], std::set<uint64_t>{i + 1}) << id;
    EXPECT_EQ(firsts[id], 1) << id;
  }
}

}  // namespace
}  // namespace heed::store
