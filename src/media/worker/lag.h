// How far a live broadcast is behind, and how much of that is this machine's doing.
#pragma once

#include <algorithm>
#include <cstdint>

namespace heed::media {

// Times of any steady clock. Not thread-safe.
class LagMeter {
 public:
  explicit LagMeter(int64_t now_us) : waited_us_(now_us) {}

  // Nothing is left to read of what has come.
  void Wait(int64_t now_us) { waited_us_ = now_us; }
  // A packet is taken. Packets, not pictures: a codec keeps pictures back, key pictures for many seconds.
  void Take(int64_t dts_us, int64_t now_us);
  // After a jump of the time stamps.
  void Restart() { best_us_ = INT64_MAX; }

  // Behind the best the stream has been.
  int64_t lag_us() const { return lag_us_; }
  // Of that, what was not waited for: a sender that is late, or gives many seconds at once as HLS does, is no overload.
  int64_t own_us() const { return std::min(lag_us_, std::max<int64_t>(0, taken_us_ - waited_us_)); }

 private:
  int64_t best_us_ = INT64_MAX;  // the smallest distance seen from time stamp to clock
  int64_t taken_us_ = 0, waited_us_ = 0, lag_us_ = 0;
};

}  // namespace heed::media
