// When a live broadcast lags: look at less of the picture, never at less of the sound.
#pragma once

#include <cstdint>

#include "media/wire.h"

namespace heed::media {

// Steps down, once a second, while there is more than 0.6 s of lag that does not shrink, up after ten seconds without. A step up that
// was soon taken back is tried later each time, so that a machine at its limit does not swing.
class OverloadLadder {
 public:
  // lag_us: LagMeter::own_us; now_us: any steady clock.
  PictureMode Update(int64_t lag_us, int64_t now_us);
  PictureMode mode() const { return mode_; }

 private:
  void MoveTo(int step, int64_t now_us);

  PictureMode mode_ = PictureMode::kFull;
  int64_t since_us_ = 0;     // of the last step
  int64_t calm_us_ = 0;      // since when the lag has been small
  int64_t patience_us_ = 0;  // calm that a step up needs
  int64_t lag_then_us_ = 0;  // at the last step
  bool started_ = false, went_up_ = false;
};

}  // namespace heed::media
