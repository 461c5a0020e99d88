// How unusual a second is for its room: each value against the median of the room's last ten minutes, in
// robust deviations (1.4826 times the median absolute deviation, which is a standard deviation where values
// are normal). Half of the window may be anything and the norm stands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "media/moment.h"

namespace heed::media {

struct RunningNormConfig {
  size_t window = 600;  // records, one a second
  size_t warm = 30;     // measured values of a feature before it has a z
  double limit = 8;     // of |z|: one odd second is not to outweigh a show
};

// Of one room. Not thread-safe. 5 kB a feature; 0.2 ms a second for all of them.
class RunningNorm {
 public:
  explicit RunningNorm(const RunningNormConfig& config = {});

  // Sets moment->z from the seconds before this one, then remembers this one. Features that were not measured, or
  // have no past yet, get none. Records in order of time; another epoch is the same room.
  void Apply(Moment* moment);

 private:
  struct Series {
    std::deque<std::pair<uint64_t, float>> by_time;  // record number, value
    std::vector<float> sorted;
  };

  const RunningNormConfig config_;
  uint64_t records_ = 0;
  std::vector<Series> series_;  // by feature
};

// Of sorted numbers, at least one: their median, and the median of their distances from it. O(n).
struct MedianAndDeviation {
  double median = 0, deviation = 0;
};
MedianAndDeviation RobustSpread(const std::vector<float>& sorted);

}  // namespace heed::media
