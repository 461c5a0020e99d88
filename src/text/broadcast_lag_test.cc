#include "text/broadcast_lag.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace heed::text {
namespace {

// A host who says something every three seconds; viewers who speak of it `lag_ms` later, among as many
// who speak of anything. `lag_ms` below zero: none of them listens.
std::optional<Lag> Evening(int64_t lag_ms, uint64_t seed) {
  Random random(seed);
  const auto word = [&] { return "w" + std::to_string(random.Below(200)); };
  BroadcastLag lag;
  struct Comment {
    int64_t t_ms;
    std::string word;
  };
  std::vector<Comment> comments;
  std::vector<std::pair<int64_t, std::vector<std::string>>> speech;
  for (int64_t t_ms = 0; t_ms < 600'000; t_ms += 3'000) {
    speech.emplace_back(t_ms, std::vector<std::string>{word(), word(), word()});
    if (lag_ms >= 0) {
      const auto jitter = static_cast<int64_t>(random.Below(2'000)) - 1'000;
      comments.push_back({t_ms + 1'500 + lag_ms + jitter, speech.back().second[1]});
    }
    for (int i = 0; i < 3; ++i) {
      comments.push_back({t_ms + static_cast<int64_t>(random.Below(3'000)), word()});
    }
  }
  std::sort(comments.begin(), comments.end(),
            [](const Comment& a, const Comment& b) { return a.t_ms < b.t_ms; });
  size_t next = 0;
  for (const auto& [t_ms, words] : speech) {
    for (; next < comments.size() && comments[next].t_ms < t_ms + 4'000; ++next) {
      lag.Commented({&comments[next].word, 1}, comments[next].t_ms);
    }
    lag.Said(words, t_ms, t_ms + 3'000);  // a recogniser's segment comes a second after its end
  }
  return lag.Estimate();
}

TEST(BroadcastLag, APlantedLagIsFound) {
  for (const int64_t planted_ms : {2'000, 8'000, 15'000, 40'000}) {
    for (const uint64_t seed : {1, 2, 3}) {
      const std::optional<Lag> found = Evening(planted_ms, seed);
      ASSERT_TRUE(found.has_value()) << planted_ms << " " << seed;
      EXPECT_NEAR(static_cast<double>(found->lag_ms), static_cast<double>(planted_ms), 1'500)
          << seed;
    }
  }
}

TEST(BroadcastLag, WhoDoesNotListenHasNone) {
  int found = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) found += Evening(-1, seed).has_value() ? 1 : 0;
  EXPECT_LE(found, 1);
}

TEST(BroadcastLag, NothingSaidGivesNothing) {
  BroadcastLag lag;
  const std::string word = "码";
  for (int64_t i = 0; i < 100'000; ++i) lag.Commented({&word, 1}, i);
  EXPECT_FALSE(lag.Estimate().has_value());
}

}  // namespace
}  // namespace heed::text
