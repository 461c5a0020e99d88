#include "media/worker/picture_pick.h"

namespace heed::media {
namespace {

int64_t Apart(PictureMode mode) { return mode == PictureMode::kFull ? 200000 : 500000; }

int64_t StretchAt(int64_t pts_us, int64_t apart) {
  return pts_us >= 0 ? pts_us / apart : -((-pts_us + apart - 1) / apart);
}

}  // namespace

bool PicturePick::Wants(int64_t pts_us, PictureMode mode) {
  const int64_t apart = Apart(mode);
  if (started_ && pts_us < next_us_ && pts_us > next_us_ - 2 * apart) return false;
  started_ = true;
  next_us_ = (StretchAt(pts_us, apart) + 1) * apart;
  return true;
}

bool PicturePick::MayWant(int64_t pts_us, PictureMode mode) {
  const int64_t apart = Apart(mode), stretch = StretchAt(pts_us, apart);
  for (const int64_t earlier_us : coming_us_) {
    if (earlier_us < pts_us && StretchAt(earlier_us, apart) == stretch) return false;
  }
  coming_us_[coming_++ % coming_us_.size()] = pts_us;
  return true;
}

void PicturePick::Restart() {
  started_ = false;
  coming_us_.fill(INT64_MAX);
}

}  // namespace heed::media
