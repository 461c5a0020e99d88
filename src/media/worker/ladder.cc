#include "media/worker/ladder.h"

#include <algorithm>

namespace heed::media {
namespace {

constexpr int64_t kSecond = 1000000;
// Lag. A record comes 0.7 s after its second at best: later than this it would be more than 1.5 s late.
constexpr int64_t kMuch = 6 * kSecond / 10;
constexpr int64_t kLittle = 3 * kSecond / 10;
constexpr int64_t kLeastPatience = 10 * kSecond, kMostPatience = 160 * kSecond;

}  // namespace

void OverloadLadder::MoveTo(int step, int64_t now_us) {
  mode_ = static_cast<PictureMode>(step);
  since_us_ = calm_us_ = now_us;
}

PictureMode OverloadLadder::Update(int64_t lag_us, int64_t now_us) {
  if (!started_) {
    started_ = true;
    since_us_ = calm_us_ = now_us;
    patience_us_ = kLeastPatience;
  }
  const int step = static_cast<int>(mode_);
  if (lag_us > kLittle) calm_us_ = now_us;
  if (lag_us > kMuch && now_us - since_us_ >= kSecond) {
    // A lag that shrinks is being caught up with.
    if (lag_us + kSecond / 10 > lag_then_us_ && step + 1 < kPictureModes) {
      if (went_up_) patience_us_ = std::min(2 * patience_us_, kMostPatience);
      went_up_ = false;
      MoveTo(step + 1, now_us);
    } else {
      since_us_ = now_us;
    }
    lag_then_us_ = lag_us;
  } else if (now_us - calm_us_ >= patience_us_ && step > 0) {
    MoveTo(step - 1, now_us);
    lag_then_us_ = 0;
    went_up_ = true;
  }
  return mode_;
}

}  // namespace heed::media
