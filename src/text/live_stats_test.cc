#include "text/live_stats.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <set>

#include "base/hash.h"
#include "base/random.h"
#include "text/danmaku.h"
#include "text/segmenter.h"
#include "text/test_data.h"

namespace heed::text {
namespace {

TEST(LiveStats, MixViewersAndSentimentOfTheLastMinute) {
  LiveStats stats;
  stats.Add({.t_ms = 0, .viewer = 1, .intent = "price", .sentiment = 0});
  stats.Add({.t_ms = 61'000, .viewer = 2, .intent = "price", .sentiment = 1});
  stats.Add({.t_ms = 62'000, .viewer = 2, .intent = "chat", .sentiment = -0.5f});
  stats.Add({.t_ms = 58'000, .viewer = 3, .intent = "chat", .sentiment = 0.25f});  // out of order
  stats.Add({.t_ms = 500, .viewer = 9, .intent = "spam", .sentiment = 0});         // too late
  const LiveSnapshot now = stats.Now(63'000);
  EXPECT_EQ(now.comments, 3u);
  EXPECT_EQ(now.viewers, 2u);
  EXPECT_NEAR(now.intents.at("chat"), 2.0 / 3, 1e-12);
  EXPECT_FALSE(now.intents.contains("spam"));
  EXPECT_NEAR(now.sentiment, 0.25, 1e-12);
  EXPECT_EQ(now.late, 1u);
  EXPECT_TRUE(stats.Now(1'000'000).intents.empty());
}

// A Poisson stream with bursts at known times: found, and nothing else.
TEST(LiveStats, BurstsOfAKnownStream) {
  size_t found = 0, false_alarms = 0, planted = 0;
  double bins = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    LiveStats stats;
    std::set<int64_t> starts;
    const double usual = random.Uniform(0.5, 20);  // a second
    double t_s = 0;
    const double length_s = 3600;
    while (t_s < length_s) {
      // Every ten minutes twenty seconds at four times the rate.
      const auto phase = std::fmod(t_s, 600);
      const bool burst = phase >= 300 && phase < 320;
      if (burst) starts.insert(static_cast<int64_t>(t_s) / 600 * 600'000 + 300'000);
      t_s += random.Exponential(1 / (burst ? 4 * usual : usual));
      stats.Add({.t_ms = static_cast<int64_t>(t_s * 1000), .viewer = random.Below(1000)});
    }
    planted += starts.size();
    bins += length_s / 5;
    std::set<int64_t> hit;
    for (const Burst& burst : stats.bursts()) {
      bool true_one = false;
      for (const int64_t start : starts) {
        if (burst.begin_ms >= start - 5000 && burst.begin_ms < start + 25'000) {
          true_one = true;
          hit.insert(start);
        }
      }
      if (!true_one) ++false_alarms;
    }
    found += hit.size();
  }
  std::printf("%zu of %zu bursts found, %zu false alarms in %.0f bins\n", found, planted,
              false_alarms, bins);
  EXPECT_GE(static_cast<double>(found), 0.95 * static_cast<double>(planted));
  EXPECT_LE(static_cast<double>(false_alarms), 0.001 * bins);
}

TEST(LiveStats, ABurstEndsAndALongOneIsNotItsOwnNormal) {
  LiveStats stats;
  const auto run = [&](int64_t from_s, int64_t to_s, int each_s) {
    for (int64_t t = from_s; t < to_s; ++t) {
      for (int i = 0; i < each_s; ++i) stats.Add({.t_ms = t * 1000 + i, .viewer = 1});
    }
  };
  run(0, 300, 2);
  EXPECT_TRUE(stats.bursts().empty());
  run(300, 420, 20);
  ASSERT_EQ(stats.bursts().size(), 1u);
  EXPECT_EQ(stats.bursts()[0].begin_ms, 300'000);
  EXPECT_LT(stats.bursts()[0].end_ms, 0);  // after two minutes still
  run(420, 480, 2);
  ASSERT_EQ(stats.bursts().size(), 1u);
  EXPECT_NEAR(static_cast<double>(stats.bursts()[0].end_ms), 425'000, 10'000);
  EXPECT_GE(stats.bursts()[0].peak_comments, 100u);
}

TEST(LiveStats, AHotWordIsOneSaidMoreThanBefore) {
  LiveStats stats;
  const std::vector<std::string> steady = {"多少钱"}, both = {"多少钱", "退货"};
  for (int64_t t = 0; t < 600; ++t) {
    stats.Add({.t_ms = t * 1000, .viewer = 1, .words = steady});
  }
  for (int64_t t = 600; t < 630; ++t) {
    stats.Add({.t_ms = t * 1000, .viewer = 1, .words = both});
  }
  const LiveSnapshot now = stats.Now(630'000);
  ASSERT_EQ(now.words.size(), 2u);
  EXPECT_EQ(now.words[0].text, "退货");
  EXPECT_GT(now.words[0].heat, 3 * now.words[1].heat);
}

TEST(LiveStats, NumbersOfWordsStayWithinTheLimit) {
  LiveStats stats({.max_words = 100});
  for (int i = 0; i < 5000; ++i) {
    const std::vector<std::string> words = {"w" + std::to_string(i), "often"};
    stats.Add({.t_ms = i, .viewer = 1, .words = words});
  }
  const LiveSnapshot now = stats.Now(5000, 1000);
  EXPECT_LE(now.words.size(), 200u);
  const auto often = std::find_if(now.words.begin(), now.words.end(),
                                  [](const auto& word) { return word.text == "often"; });
  ASSERT_NE(often, now.words.end());
  EXPECT_GT(often->count, 4000);
}

// Real comments by their place in the recording: the densest seconds lie in bursts, calm ones do not.
TEST(LiveStats, DanmakuReplayed) {
  const std::string data = Environment("HEED_DATA");
  if (data.empty() && Environment("CI") != "true") {
    GTEST_SKIP() << "HEED_DATA is not set: the folder with danmaku/";
  }
  const std::vector<Danmaku> comments = ReadDanmaku(data);
  ASSERT_GT(comments.size(), 40'000u) << data;
  const auto dictionary = Dictionary::ReadFile(data + "/jieba/jieba.dict.utf8");
  ASSERT_TRUE(dictionary.ok()) << dictionary.status().ToString();
  const Segmenter segmenter(dictionary.value());
  Segmenter::Scratch scratch;
  std::vector<Character> characters;
  std::vector<Segmenter::Word> cut;
  std::vector<double> taken_us;
  for (size_t first = 0; first < comments.size();) {
    size_t end = first;
    while (end < comments.size() && comments[end].video == comments[first].video) ++end;
    LiveStats stats;
    std::map<int64_t, size_t> bins;
    for (size_t i = first; i < end; ++i) {
      const auto start = std::chrono::steady_clock::now();
      SpellComment(comments[i].text, 200, &characters);
      segmenter.Segment(characters, &scratch, &cut);
      std::vector<std::string> words;
      for (const auto& word : cut) {
        if (!word.known || word.end - word.begin < 2) continue;
        words.emplace_back();
        for (uint32_t c = word.begin; c < word.end; ++c) {
          AppendUtf8(characters[c].code, &words.back());
        }
      }
      const auto t_ms = static_cast<int64_t>(comments[i].t_s * 1000);
      stats.Add({.t_ms = t_ms, .viewer = HashBytes(comments[i].user), .words = words});
      taken_us.push_back(
          std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
              .count());
      ++bins[t_ms / 5000];
    }
    // What share of the hundred fullest bins, after the first minute, lies inside a burst?
    std::vector<std::pair<size_t, int64_t>> fullest;
    for (const auto& [bin, count] : bins) {
      if (bin > bins.begin()->first + 12) fullest.emplace_back(count, bin);
    }
    std::sort(fullest.rbegin(), fullest.rend());
    const size_t top = std::min<size_t>(10, fullest.size());
    size_t inside = 0;
    double burst_ms = 0;
    for (const Burst& burst : stats.bursts()) {
      const double stop =
          burst.end_ms < 0 ? comments[end - 1].t_s * 1000 : static_cast<double>(burst.end_ms);
      burst_ms += stop - static_cast<double>(burst.begin_ms);
    }
    for (size_t i = 0; i < top; ++i) {
      const int64_t t_ms = fullest[i].second * 5000;
      inside += std::any_of(stats.bursts().begin(), stats.bursts().end(), [&](const Burst& burst) {
        return burst.begin_ms <= t_ms && (burst.end_ms < 0 || t_ms <= burst.end_ms);
      });
    }
    const LiveSnapshot last = stats.Now(static_cast<int64_t>(comments[end - 1].t_s * 1000));
    std::printf(
        "%s: %zu comments in %.0f s, %zu bursts over %.0f s, %zu of the %zu fullest bins in one\n",
        comments[first].video.c_str(), end - first, comments[end - 1].t_s, stats.bursts().size(),
        burst_ms / 1000, inside, top);
    EXPECT_GE(inside * 10, top * 7) << comments[first].video;
    EXPECT_LT(burst_ms, 0.25 * comments[end - 1].t_s * 1000) << comments[first].video;
    EXPECT_EQ(last.late, 0u);
    first = end;
  }
  std::sort(taken_us.begin(), taken_us.end());
  const double p99 = taken_us[taken_us.size() * 99 / 100];
  std::printf("comment to statistic: median %.1f us, p99 %.1f us\n", taken_us[taken_us.size() / 2],
              p99);
  EXPECT_LT(p99, 200'000);
}

}  // namespace
}  // namespace heed::text
