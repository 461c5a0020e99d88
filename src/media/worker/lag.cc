#include "media/worker/lag.h"

namespace heed::media {

void LagMeter::Take(int64_t dts_us, int64_t now_us) {
  // The best is the transport's own delay. It may grow by 1 ms a second, so that a sender's slow clock is not taken for
  // lag.
  if (best_us_ != INT64_MAX) best_us_ += (now_us - taken_us_) / 1000;
  taken_us_ = now_us;
  best_us_ = std::min(best_us_, now_us - dts_us);
  lag_us_ = now_us - dts_us - best_us_;
}

}  // namespace heed::media
