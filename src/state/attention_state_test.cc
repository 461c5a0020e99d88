#include "state/attention_state.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.h"

namespace heed::state {
namespace {

constexpr double kNoNull = -std::numeric_limits<double>::infinity();

struct Item {
  int64_t time_ms;
  double score;
  std::vector<float> value;
};

struct Answer {
  std::vector<double> y;
  double evidence = 0;
};

// The definition, from all items at once.
Answer Recompute(const std::vector<Item>& items, size_t width, double decay_per_s, int64_t time_ms,
                 double null_score) {
  Answer answer{.y = std::vector<double>(width)};
  if (items.empty()) return answer;
  const auto faded = [&](const Item& item) {
    return item.score - decay_per_s * static_cast<double>(time_ms - item.time_ms) / 1000.0;
  };
  double top = null_score;
  for (const Item& item : items) top = std::max(top, faded(item));
  std::vector<long double> sums(width);
  long double total = 0, null = std::exp(null_score - top);
  for (const Item& item : items) {
    const long double weight = std::exp(faded(item) - top);
    total += weight;
    for (size_t i = 0; i < width; ++i) sums[i] += weight * static_cast<long double>(item.value[i]);
  }
  if (total + null == 0) return answer;
  for (size_t i = 0; i < width; ++i) answer.y[i] = static_cast<double>(sums[i] / (total + null));
  answer.evidence = static_cast<double>(total / (total + null));
  return answer;
}

std::vector<Item> RandomItems(Random& random, size_t count, size_t width, double spread) {
  std::vector<Item> items;
  int64_t time_ms = 1'700'000'000'000;
  for (size_t n = 0; n < count; ++n) {
    time_ms += static_cast<int64_t>(random.Exponential(200.0));
    // A fifth comes late, by up to ten seconds.
    const int64_t late = random.Chance(0.2) ? static_cast<int64_t>(random.Uniform(0, 10'000)) : 0;
    Item item{time_ms - late, random.Normal() * spread, std::vector<float>(width)};
    for (float& v : item.value) v = static_cast<float>(random.Normal());
    items.push_back(std::move(item));
  }
  return items;
}

int64_t Latest(const std::vector<Item>& items) {
  int64_t latest = 0;
  for (const Item& item : items) latest = std::max(latest, item.time_ms);
  return latest;
}

AttentionState Fed(const std::vector<Item>& items, size_t width, double decay_per_s) {
  AttentionState state(width, decay_per_s);
  for (const Item& item : items) state.Add(item.time_ms, item.score, item.value);
  return state;
}

double Distance(const AttentionState& state, const Answer& wanted, int64_t time_ms,
                double null_score) {
  std::vector<float> y(state.width());
  double worst = std::abs(state.Read(time_ms, null_score, y) - wanted.evidence);
  for (size_t i = 0; i < y.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(y[i]) - wanted.y[i]));
  }
  return worst;
}

TEST(AttentionState, EqualsFullRecomputationAfterAMillionEvents) {
  constexpr size_t kWidth = 4;
  Random random(11);
  for (const double decay_per_s : {0.0, 0.01, 2.0}) {
    const std::vector<Item> items = RandomItems(random, 1'000'000, kWidth, 2.0);
    const AttentionState state = Fed(items, kWidth, decay_per_s);
    for (const double null_score : {kNoNull, 0.0, 20.0}) {
      const int64_t now = Latest(items) + 1234;
      EXPECT_LE(
          Distance(state, Recompute(items, kWidth, decay_per_s, now, null_score), now, null_score),
          1e-6)
          << decay_per_s << " " << null_score;
    }
  }
}

TEST(AttentionState, Properties) {
  const bool ok = rc::check("any stream, read at any later time, split and merged anywhere", [] {
    Random random(*rc::gen::arbitrary<uint64_t>());
    const size_t width = *rc::gen::inRange<size_t>(1, 9), count = *rc::gen::inRange<size_t>(0, 200);
    const double decay_per_s = *rc::gen::element(0.0, 1e-3, 0.1, 5.0);
    // Up to a million: no overflow, no loss of the rest of the stream.
    const double spread = *rc::gen::element(0.1, 3.0, 1e6);
    const double null_score = *rc::gen::element(kNoNull, -3.0, 0.0, 1e6);
    const std::vector<Item> items = RandomItems(random, count, width, spread);
    const int64_t now = Latest(items) + *rc::gen::inRange<int64_t>(0, 3'600'000);
    const Answer wanted = Recompute(items, width, decay_per_s, now, null_score);
    const AttentionState state = Fed(items, width, decay_per_s);
    RC_ASSERT(Distance(state, wanted, now, null_score) <= 1e-6);

    const auto cut = static_cast<ptrdiff_t>(*rc::gen::inRange<size_t>(0, count + 1));
    AttentionState left = Fed({items.begin(), items.begin() + cut}, width, decay_per_s);
    const AttentionState right = Fed({items.begin() + cut, items.end()}, width, decay_per_s);
    AttentionState other_way = right;
    other_way.Merge(left);
    left.Merge(right);
    RC_ASSERT(left.items() == count);
    RC_ASSERT(Distance(left, wanted, now, null_score) <= 1e-6);
    RC_ASSERT(Distance(other_way, wanted, now, null_score) <= 1e-6);
  });
  EXPECT_TRUE(ok);
}

TEST(AttentionState, OldEvidenceFadesAgainstTheNullSlot) {
  AttentionState state(1, 0.1);
  std::vector<float> y(1);
  EXPECT_EQ(state.Read(0, 0.0, y), 0.0);
  EXPECT_EQ(y[0], 0.0f);
  state.Add(1000, 0.0, std::vector<float>{3.0f});
  EXPECT_DOUBLE_EQ(state.Read(1000, 0.0, y), 0.5);
  EXPECT_FLOAT_EQ(y[0], 1.5f);
  EXPECT_NEAR(state.Read(11'000, 0.0, y), std::exp(-1) / (1 + std::exp(-1)), 1e-12);
  EXPECT_DOUBLE_EQ(state.Read(11'000, kNoNull, y), 1.0);  // without the slot nothing fades
  EXPECT_FLOAT_EQ(y[0], 3.0f);
}

TEST(AttentionState, AMaskedItemChangesNothing) {
  AttentionState state(1, 0.1);
  state.Add(1000, 0.0, std::vector<float>{3.0f});
  state.Add(2000, kNoNull, std::vector<float>{9.0f});
  EXPECT_EQ(state.items(), 1u);
  std::vector<float> y(1);
  EXPECT_DOUBLE_EQ(state.Read(1000, 0.0, y), 0.5);
}

}  // namespace
}  // namespace heed::state
