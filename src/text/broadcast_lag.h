// How long after the host's words the comments about them come: delivery, reading and typing together.
//
// The cross-correlation of what is said and what is commented, word by word: each time a comment has a word
// that the host said within a minute before it or half a minute after it, the delay between the two is
// counted, less for words that come often. Comments answer what was said and not what will be, so delays
// below zero show what chance alone gives; the lag is the delay that stands highest above them.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace heed::text {

struct Lag {
  int64_t lag_ms = 0;
  double z = 0;      // deviations of the delays below zero that it stands above their mean
  double pairs = 0;  // words said and commented, of late
};

// Of one room. Not thread-safe. Memory is bounded: 20,000 words on either side.
class BroadcastLag {
 public:
  static constexpr int64_t kBinMs = 1'000, kFirstMs = -30'000, kLastMs = 60'000;
  static constexpr double kHalfLifeMs = 600'000;
  static constexpr double kFewestPairs = 40, kLowestZ = 5;

  BroadcastLag();

  // A segment's words, taken as spread evenly over it.
  void Said(std::span<const std::string> words, int64_t begin_ms, int64_t end_ms);
  void Commented(std::span<const std::string> words, int64_t t_ms);
  // None below kFewestPairs or kLowestZ.
  std::optional<Lag> Estimate() const;

 private:
  // Words of one side by their hash, for as long as the other side may speak of them.
  struct Side {
    std::unordered_map<uint64_t, std::deque<int64_t>> times;
    std::deque<uint64_t> order;  // words by arrival

    void Add(uint64_t word, int64_t t_ms);
  };

  void Decay(int64_t t_ms);
  void Count(int64_t delay_ms, size_t said, size_t commented);

  Side said_, commented_;
  std::vector<double> bins_;  // weight by delay
  double pairs_ = 0;
  int64_t decayed_ms_ = 0;
};

}  // namespace heed::text
