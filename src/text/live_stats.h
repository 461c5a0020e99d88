// What the comments of one room are like now, against that room's own past: rate, bursts, what they want,
// how they feel, which words are hot.
//
// Comments are counted in bins of five seconds. A count n becomes x = 2 sqrt(n + 3/8), which for a Poisson
// count has variance 1 whatever its mean (Anscombe 1948); the room's own mean and variance of x are
// exponential averages over ten minutes, the variance never below that 1. A burst begins when the bin being
// filled stands `begin_z` deviations above the mean, and ends after two bins below `end_z`. No bin moves
// mean or variance further than one of two deviations would, so that a long burst is not its own normal.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace heed::text {

struct LiveStatsConfig {
  int64_t bin_ms = 5000;
  size_t window_bins = 12;    // of the mix, the viewers and the sentiment: a minute
  double history_bins = 120;  // of the room's past: ten minutes
  size_t warm_bins = 12;      // before that many no burst is called
  double begin_z = 4.0, end_z = 1.0;
  size_t min_comments = 8;                    // in a bin, of a burst
  double hot_ms = 30'000, cold_ms = 600'000;  // half-lives of a word's two counts
  size_t max_words = 4096;
  size_t max_viewers = 100'000;  // told apart in the window; more are not counted
  size_t max_bursts = 100;       // kept; the oldest go first
};

struct LiveComment {
  int64_t t_ms = 0;
  uint64_t viewer = 0;
  std::string_view intent;
  float sentiment = 0;  // -1 to 1
  std::span<const std::string> words;
};

struct Burst {
  int64_t begin_ms = 0, end_ms = -1;  // -1: goes on
  double peak_z = 0;
  size_t peak_comments = 0;  // in a bin
};

struct LiveSnapshot {
  double comments_per_s = 0;  // of the last whole bin and the one being filled
  double usual_per_s = 0;     // the room's own
  double z = 0;               // of the bin being filled
  bool burst = false;
  size_t comments = 0, viewers = 0;       // in the window
  std::map<std::string, double> intents;  // shares of the window's comments
  double sentiment = 0;                   // mean of the window
  struct Word {
    std::string text;
    double heat = 0;   // times as frequent as it used to be
    double count = 0;  // the recent one
  };
  std::vector<Word> words;  // by heat times the root of the count
  uint64_t late = 0;        // comments too old for the window: not counted
};

// Not thread-safe. Memory is bounded by the configuration.
class LiveStats {
 public:
  explicit LiveStats(const LiveStatsConfig& config = {}) : config_(config) {}

  // Times may be out of order within the window.
  void Add(const LiveComment& comment);
  LiveSnapshot Now(int64_t now_ms, size_t max_words = 10);
  const std::deque<Burst>& bursts() const { return bursts_; }

 private:
  struct Bin {
    size_t comments = 0;
    std::map<std::string, size_t, std::less<>> intents;
    double sentiment = 0;
    std::unordered_set<uint64_t> viewers;
  };
  struct Word {
    double hot = 0, cold = 0;  // decayed counts as of `t_ms`
    int64_t t_ms = 0;
  };

  void MoveTo(int64_t t_ms);  // closes the bins before that time's
  void Close(size_t comments);
  double Z(size_t comments) const;
  void CountWord(const std::string& word, int64_t t_ms);
  void Decay(Word* word, int64_t t_ms) const;

  const LiveStatsConfig config_;
  std::deque<Bin> bins_;    // the last one is being filled
  int64_t newest_bin_ = 0;  // its number: t_ms / bin_ms
  size_t closed_ = 0;
  double mean_ = 0, variance_ = 1;  // of x
  double usual_ = 0;                // comments a bin
  size_t calm_bins_ = 0;            // below end_z, one after another
  std::deque<Burst> bursts_;
  std::unordered_map<std::string, Word> words_;
  uint64_t late_ = 0;
};

}  // namespace heed::text
