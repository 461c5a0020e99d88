#include "state/room.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "state/orders.h"

namespace heed::state {
namespace {

constexpr int64_t kT = 1'764'000'000'000;  // begins a 30-second step
static_assert(kT % kSeriesStepMs == 0);

TEST(Decay, MatchesTheClosedFormInAnyOrder) {
  Random random(3);
  std::vector<std::pair<double, int64_t>> amounts;
  double expected = 0;
  const int64_t end = kT + 86'400'000;
  for (int i = 0; i < 500; ++i) {
    const int64_t ts = kT + static_cast<int64_t>(random.Below(86'400'000));
    const double amount = random.Uniform(0, 100);
    amounts.emplace_back(amount, ts);
    expected += amount * std::pow(0.5, static_cast<double>(end - ts) / (6.0 * 3600 * 1000));
  }
  for (int round = 0; round < 20; ++round) {
    Decayed sum;
    for (const auto& [amount, ts] : amounts) sum.Add(amount, ts);
    EXPECT_NEAR(sum.At(end), expected, expected * 1e-12);
    random.Shuffle(amounts);
  }
}

TEST(Decay, HalvesAndNeverTurnsBack) {
  Decayed sum;
  sum.Add(8, kT);
  const auto half_life = static_cast<int64_t>(kCounterHalfLifeMs);
  EXPECT_DOUBLE_EQ(sum.At(kT + half_life), 4);
  EXPECT_DOUBLE_EQ(sum.At(kT - half_life), 8);
  sum.Add(1, kT - 3 * half_life);
  EXPECT_DOUBLE_EQ(sum.At(kT), 8.125);
  EXPECT_EQ(sum.ts, kT);
  EXPECT_DOUBLE_EQ(sum.At(kT + 100 * half_life, 100 * kCounterHalfLifeMs), 8.125 / 2);
}

TEST(Series, StepsFollowEventTimeWithoutGaps) {
  Room room;
  StepAt(room, kT)->enters += 1;
  StepAt(room, kT + 29'999)->enters += 1;
  StepAt(room, kT + 100'000)->enters += 1;
  ASSERT_EQ(room.series.size(), 4u);
  EXPECT_EQ(room.series[0].enters, 2u);
  EXPECT_EQ(room.series[1].enters, 0u);
  EXPECT_EQ(room.series[3].start_ts, kT + 90'000);
  // Late, but in the window; then before its first step.
  StepAt(room, kT + 31'000)->likes += 5;
  EXPECT_EQ(room.series[1].likes, 5u);
  StepAt(room, kT - 1)->comments += 1;
  ASSERT_EQ(room.series.size(), 5u);
  EXPECT_EQ(room.series[0].start_ts, kT - 30'000);
  EXPECT_EQ(room.series[0].comments, 1u);
}

TEST(Series, HoldsTwentyMinutes) {
  Room room;
  for (int64_t i = 0; i < 100; ++i) StepAt(room, kT + i * kSeriesStepMs)->enters += 1;
  ASSERT_EQ(room.series.size(), kSeriesSteps);
  EXPECT_EQ(room.series.back().start_ts, kT + 99 * kSeriesStepMs);
  EXPECT_EQ(StepAt(room, kT + 59 * kSeriesStepMs), nullptr) << "too old";
  EXPECT_NE(StepAt(room, kT + 60 * kSeriesStepMs), nullptr);
  EXPECT_EQ(room.series.size(), kSeriesSteps);
  // After a long silence it begins anew.
  StepAt(room, kT + 5'000 * kSeriesStepMs)->enters += 1;
  EXPECT_EQ(room.series.size(), 1u);
  StepAt(room, 0);
  StepAt(room, 1'000'000'000'000'000);
  EXPECT_EQ(room.series.size(), 1u);
}

TEST(Series, NothingFromBeforeTheStart) {
  Room room;
  StepAt(room, kT)->impressions += 1;
  BeginSession(room, "s2", kT + 100'000, true);
  EXPECT_TRUE(room.series.empty());
  EXPECT_EQ(StepAt(room, kT + 80'000), nullptr);
  EXPECT_NE(StepAt(room, kT + 91'000), nullptr) << "the step it began in";
}

TEST(Stock, AStatementOfTheWholeForgetsTheSkusBefore) {
  Stock stock;
  EXPECT_EQ(stock.Left(), std::nullopt);
  stock.Say(1, 3, kT);
  stock.Say(2, 4, kT);
  EXPECT_EQ(stock.Left(), 7);
  stock.Say(1, 0, kT + 10);
  stock.Say(1, 9, kT + 5);  // older
  EXPECT_EQ(stock.Left(), 4);
  stock.Say(0, 0, kT + 20);
  EXPECT_EQ(stock.Left(), 0);
  stock.Say(2, 5, kT + 15);  // older than the whole
  EXPECT_EQ(stock.Left(), 0);
  stock.Say(2, 5, kT + 30);
  EXPECT_EQ(stock.Left(), 5);
}

TEST(Stock, ASkuSoldOutDoesNotSellOutTheProduct) {
  Stock stock;
  stock.Say(0, 50, kT);
  stock.Say(1, 0, kT + 1);
  EXPECT_EQ(stock.Left(), 50) << "the other SKUs are not known";
  Stock only;
  only.Say(1, 0, kT);
  EXPECT_EQ(only.Left(), 0);
}

TEST(Stock, SalesLowerWhatWasSaidBeforeThem) {
  Stock stock;
  stock.Sell(0, 1, kT);
  EXPECT_EQ(stock.Left(), std::nullopt) << "nothing known to lower";
  stock.Say(0, 5, kT + 10);
  stock.Sell(0, 2, kT + 5);
  EXPECT_EQ(stock.Left(), 5) << "the statement came after the sale";
  stock.Sell(0, 2, kT + 20);
  EXPECT_EQ(stock.Left(), 3);
  stock.Sell(0, 9, kT + 20);
  EXPECT_EQ(stock.Left(), 0);
  Stock sku;
  sku.Say(7, 5, kT);
  sku.Sell(0, 1, kT + 1);
  EXPECT_EQ(sku.Left(), 4) << "the only SKU there is";
  sku.Sell(8, 1, kT + 1);
  EXPECT_EQ(sku.Left(), 4) << "of another SKU";
}

TEST(Stock, SkusAreBounded) {
  Stock stock;
  for (uint64_t key = 1; key <= 1'000; ++key) stock.Say(key, 1, kT);
  EXPECT_EQ(stock.Left(), static_cast<int64_t>(kMaxSkus));
}

TEST(Shelf, FullItLosesWhatIsOffThenTheOldest) {
  Room room;
  for (Index product = 0; product < kMaxBound; ++product) PutOnShelf(room, product);
  FindOnShelf(room, 7)->on = false;
  PutOnShelf(room, 1'000);
  EXPECT_EQ(FindOnShelf(room, 7), nullptr);
  PutOnShelf(room, 1'001);
  EXPECT_EQ(FindOnShelf(room, 0), nullptr);
  EXPECT_EQ(room.shelf.size(), kMaxBound);
}

TEST(Orders, TheOldestIsForgotten) {
  OrderBook book;
  for (uint64_t key = 1; key <= kMaxOrders + 2; ++key) book.At(key).pay_ts = 5;
  EXPECT_EQ(book.records().size(), kMaxOrders);
  EXPECT_EQ(book.records().front().key, 3u);
  EXPECT_EQ(book.At(3).pay_ts, 5);
  EXPECT_EQ(book.At(1).pay_ts, -1) << "forgotten, hence new";
  EXPECT_EQ(book.records().front().key, 4u);
}

TEST(Text, IsCutBetweenCharacters) {
  EXPECT_EQ(Clip("abc", 3), "abc");
  EXPECT_EQ(Clip("abcd", 3), "abc");
  EXPECT_EQ(Clip("a\xE7\xA7\x8B", 3), "a");
  EXPECT_EQ(Clip("a\xE7\xA7\x8B"
                 "b",
                 4),
            "a\xE7\xA7\x8B");
}

}  // namespace
}  // namespace heed::state
