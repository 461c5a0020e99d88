#include "train/label_ledger.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "model/batch_for_test.h"

namespace heed::train {
namespace {

using Step = LabelLedger::Step;

const model::Schema& TwoTasks() {
  static const model::Schema schema = model::SmallConfig().schema;
  return schema;
}

std::shared_ptr<const model::Batch> Features(uint64_t seed) {
  Random random(seed);
  auto batch = std::make_shared<model::Batch>(
      model::RandomBatch(TwoTasks(), {.requests = 1, .labels = false}, random));
  return batch;
}

class LabelLedgerTest : public testing::Test {
 protected:
  void Show(uint64_t id, int64_t ts) { ledger_.Shown(id, ts, Features(id), {0.5f, 0.5f}); }
  // "id.task+" for a positive, - for a negative, c for a correction, all told.
  std::string Learn() {
    std::string out;
    LabelLedger::Due due;
    while (ledger_.Take(&due)) {
      const char* step = due.step == Step::kPositive   ? "+"
                         : due.step == Step::kNegative ? "-"
                                                       : "c";
      out += std::to_string(due.id) + "." + std::to_string(due.task) + step + " ";
      ledger_.Tell(due.id, due.task, due.known);
    }
    return out;
  }

  LabelLedger ledger_{{.windows = {{100, 1'000}, {300, 300}}, .max_examples = 3}};
};

TEST_F(LabelLedgerTest, PositivesAtOnceNegativesWhenTheyAreKnown) {
  Show(1, 0);
  EXPECT_EQ(Learn(), "");
  ledger_.Positive(1, 1, 10);
  EXPECT_EQ(Learn(), "1.0+ ");
  ledger_.Positive(1, 1, 11);  // the first one only
  EXPECT_EQ(Learn(), "");
  ledger_.Advance(300, nullptr);
  EXPECT_EQ(Learn(), "");  // up to the end of the window it may come true
  ledger_.Advance(301, nullptr);
  EXPECT_EQ(Learn(), "1.1- ");
  ledger_.Positive(1, 2, 302);  // its correction window is its window
  EXPECT_EQ(Learn(), "");
  EXPECT_EQ(ledger_.counts()[1].too_late, 1u);
}

TEST_F(LabelLedgerTest, LeavingClosesBeforeTheWindowEnds) {
  Show(1, 0);
  ledger_.Close(1, 3);
  EXPECT_EQ(Learn(), "1.0- 1.1- ");
  ledger_.Advance(301, nullptr);
  EXPECT_EQ(Learn(), "");
}

TEST_F(LabelLedgerTest, ALatePositiveCorrectsWhatWasToldAndReplacesWhatWasNot) {
  Show(1, 0);
  Show(2, 0);
  ledger_.Advance(101, nullptr);
  LabelLedger::Due due;
  ASSERT_TRUE(ledger_.Take(&due));  // 1.0-, told
  ledger_.Tell(due.id, due.task, due.known);
  ledger_.Positive(1, 1, 200);
  ledger_.Positive(2, 1, 200);  // 2.0- is still in the queue
  EXPECT_EQ(Learn(), "2.0+ 1.0c ");
  EXPECT_EQ(ledger_.counts()[0].corrected, 2u);
}

TEST_F(LabelLedgerTest, AfterARollBackALatePositiveIsANewOne) {
  Show(1, 0);
  ledger_.Advance(101, nullptr);
  EXPECT_EQ(Learn(), "1.0- ");
  ledger_.ForgetTold();
  ledger_.Positive(1, 1, 200);
  EXPECT_EQ(Learn(), "1.0+ ");
}

TEST_F(LabelLedgerTest, TheOldestIsEvictedAndNothingOfItIsTold) {
  for (uint64_t id = 1; id <= 4; ++id) Show(id, static_cast<int64_t>(id));
  EXPECT_EQ(ledger_.size(), 3u);
  EXPECT_EQ(ledger_.evicted(), 1u);
  EXPECT_EQ(ledger_.counts()[0].evicted, 1u);
  ledger_.Positive(1, 1, 5);
  EXPECT_EQ(Learn(), "");
  EXPECT_FALSE(ledger_.Shown(1, 1, Features(1), {0.5f, 0.5f}));  // told again by a replay
  EXPECT_FALSE(ledger_.Shown(4, 4, Features(4), {0.5f, 0.5f}));
  EXPECT_EQ(ledger_.size(), 3u);
}

TEST_F(LabelLedgerTest, OutcomesMatureInTheOrderOfTheirWindows) {
  Show(1, 0);
  Show(2, 5);
  ledger_.Positive(2, 1, 6);
  ledger_.Close(1, 1);
  std::vector<LabelLedger::Matured> matured;
  ledger_.Advance(101, &matured);
  ASSERT_EQ(matured.size(), 1u);  // not before its end, however early it was known
  EXPECT_FALSE(matured[0].positive);
  ledger_.Advance(106, &matured);
  ASSERT_EQ(matured.size(), 2u);
  EXPECT_TRUE(matured[1].positive);
}

// Whatever happens in whatever order: what the weights have been told adds up to what is true, once
// everything due has been told.
RC_GTEST_PROP(LabelLedger, ToldIsTrue, ()) {
  LabelLedger ledger({.windows = {{50, 400}, {200, 200}}, .max_examples = 30});
  struct Truth {
    int64_t ts = 0;
    bool positive[2] = {};
    double told[2] = {};  // signed: +1 positive, -1 negative, +2 correction
  };
  std::map<uint64_t, Truth> truth;
  int64_t now = 0;
  uint64_t id = 0;
  const auto learn = [&](size_t most) {
    LabelLedger::Due due;
    for (size_t i = 0; i < most && ledger.Take(&due); ++i) {
      truth[due.id].told[due.task] += due.step == Step::kPositive   ? 1
                                      : due.step == Step::kNegative ? -1
                                                                    : 2;
      ledger.Tell(due.id, due.task, due.known);
    }
  };
  const auto features = Features(1);
  const auto steps = *rc::gen::container<std::vector<std::pair<uint8_t, uint8_t>>>(
      rc::gen::arbitrary<std::pair<uint8_t, uint8_t>>());
  for (const auto& [what, how] : steps) {
    now += how % 16;
    const uint64_t which = id == 0 ? 0 : 1 + how % id;
    const size_t task = how >> 4 & 1;
    switch (what % 6) {
      case 0:
      case 1:
        truth[++id].ts = now;
        ledger.Shown(id, now, features, {0.5f, 0.5f});
        break;
      case 2:
        // The sender of positives keeps to the correction window.
        if (which != 0 && now - truth[which].ts <= (task == 0 ? 400 : 200)) {
          truth[which].positive[task] |= ledger.Knows(which);
          ledger.Positive(which, uint64_t{1} << task, now);
        }
        break;
      case 3: ledger.Close(which, uint64_t{1} << task); break;
      case 4: ledger.Advance(now, nullptr); break;
      default: learn(how % 8);
    }
  }
  const uint64_t evicted = ledger.evicted();
  ledger.Advance(now + 10'000, nullptr);
  learn(SIZE_MAX);
  ledger.Advance(now + 10'001, nullptr);
  RC_ASSERT(ledger.size() == 0u);
  uint64_t wrong = 0;
  for (const auto& [name, one] : truth) {
    for (size_t task = 0; task < 2; ++task) {
      if (one.told[task] != (one.positive[task] ? 1 : -1)) ++wrong;
    }
  }
  RC_ASSERT(wrong <= 2 * evicted);
}

TEST_F(LabelLedgerTest, RestoredInTheMiddleItGoesOnTheSame) {
  Show(1, 0);
  Show(2, 10);
  Show(3, 20);
  ledger_.Advance(101, nullptr);
  LabelLedger::Due due;
  ASSERT_TRUE(ledger_.Take(&due));
  ledger_.Tell(due.id, due.task, due.known);
  ledger_.Advance(115, nullptr);
  ledger_.Positive(3, 2, 115);
  LabelLedger other({.windows = {{100, 1'000}, {300, 300}}, .max_examples = 3});
  const std::string bytes = ledger_.Serialize(TwoTasks());
  ASSERT_TRUE(other.Restore(TwoTasks(), bytes).ok());
  EXPECT_EQ(other.Serialize(TwoTasks()), bytes);
  for (LabelLedger* ledger : {&ledger_, &other}) {
    ledger->Positive(1, 1, 150);
    ledger->Shown(4, 160, Features(4), {0.5f, 0.5f});
    ledger->Advance(320, nullptr);
  }
  EXPECT_EQ(other.Serialize(TwoTasks()), ledger_.Serialize(TwoTasks()));
  const std::string learned = Learn();
  std::swap(ledger_, other);
  EXPECT_EQ(Learn(), learned);
  for (size_t cut = 0; cut < bytes.size(); cut += 7) {
    LabelLedger broken({.windows = {{100, 1'000}, {300, 300}}, .max_examples = 3});
    EXPECT_FALSE(broken.Restore(TwoTasks(), std::string_view(bytes).substr(0, cut)).ok());
  }
}

}  // namespace
}  // namespace heed::train
