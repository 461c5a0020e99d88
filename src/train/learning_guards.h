// What keeps one viewer, one source or one broken feed from teaching a model what it likes.
// Deterministic, not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace heed::train {

// Of the last `window` examples seen, at most share * window of one key are learned from. Refusing
// rather than weighing: an adaptive rate undoes a weight that all examples of a row have.
class InfluenceCap {
 public:
  // A share of 1 or more is no cap.
  InfluenceCap(double share, uint32_t window);

  bool Admit(uint64_t key);
  uint64_t refused() const { return refused_; }

  void Write(ByteWriter* out) const;
  void Read(ByteReader* in);

 private:
  uint32_t window_, most_;
  std::deque<std::pair<uint64_t, bool>> seen_;       // key, admitted
  std::unordered_map<uint64_t, uint32_t> admitted_;  // of those
  uint64_t refused_ = 0;
};

struct LabelRateOptions {
  uint32_t window = 1'000;       // examples shown whose rate is looked at
  uint32_t horizon = 20'000;     // examples over which the long-run rate forgets
  uint32_t min_matured = 2'000;  // before the long-run rate is believed
  // The recent count may differ from what the long-run rate, times or over `factor`, gives by this many
  // binomial standard deviations. The factor is for evenings that differ from mornings.
  double factor = 2.0;
  double deviations = 5.0;
};

// A head's rate of positives against its own long-run rate. Too many is seen as they come, too few when
// the windows of their labels have ended.
class LabelRateGuard {
 public:
  LabelRateGuard(const LabelRateOptions& options, size_t tasks);

  // Ids ascend.
  void Shown(uint64_t id);
  // The first positive of a task of an example. True: too many.
  bool Positive(uint64_t id, size_t task);
  // True: too few.
  bool Matured(size_t task, bool positive);
  double long_run_rate(size_t task) const { return heads_[task].rate; }
  // Forgets the recent counts, not the rates: after an alarm.
  void Restart();

  void Write(ByteWriter* out) const;
  void Read(ByteReader* in);

 private:
  struct Head {
    double rate = 0;          // long-run
    uint64_t matured = 0;     // ever
    uint32_t positives = 0;   // among shown_
    std::deque<bool> recent;  // matured
    uint32_t recent_positives = 0;
  };
  double Bound(const Head& head, double n, bool upper) const;

  LabelRateOptions options_;
  std::deque<std::pair<uint64_t, uint64_t>> shown_;  // id, tasks positive so far
  std::vector<Head> heads_;
};

}  // namespace heed::train
