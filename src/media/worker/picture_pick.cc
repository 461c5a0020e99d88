#include "media/worker/picture_pick.h"

#include <algorithm>

namespace heed::media {
namespace {

int64_t StretchAt(int64_t pts_us, int64_t apart_us) {
  return pts_us >= 0 ? pts_us / apart_us : -((-pts_us + apart_us - 1) / apart_us);
}

}  // namespace

bool PicturePick::MayWant(int64_t pts_us, bool referred_to, PictureMode mode) {
  SetApart(mode);
  const int64_t stretch = StretchAt(pts_us, apart_us_);
  Choice* const known = Find(stretch);
  // A picture comes after those it refers to: what others refer to is mostly known before what lies between.
  if (known != nullptr && (pts_us >= known->pts_us || (known->referred_to && !referred_to))) {
    return false;
  }
  Choice* const choice = known != nullptr ? known : &choices_[chosen_++ % choices_.size()];
  *choice = {.stretch = stretch, .pts_us = pts_us, .referred_to = referred_to};
  return true;
}

bool PicturePick::Wants(int64_t pts_us, PictureMode mode) {
  SetApart(mode);
  if (started_ && pts_us < next_us_ && pts_us > next_us_ - 2 * apart_us_) return false;
  const int64_t stretch = StretchAt(pts_us, apart_us_);
  if (const Choice* choice = Find(stretch); choice != nullptr && pts_us < choice->pts_us) {
    return false;
  }
  started_ = true;
  next_us_ = (stretch + 1) * apart_us_;
  return true;
}

PicturePick::Choice* PicturePick::Find(int64_t stretch) {
  const auto at = std::find_if(choices_.begin(), choices_.end(),
                               [&](const Choice& choice) { return choice.stretch == stretch; });
  return at == choices_.end() ? nullptr : &*at;
}

void PicturePick::SetApart(PictureMode mode) {
  const int64_t apart_us = mode == PictureMode::kFull ? 200000 : 500000;
  if (apart_us != apart_us_) choices_.fill({});
  apart_us_ = apart_us;
}

void PicturePick::Restart() {
  started_ = false;
  choices_.fill({});
}

}  // namespace heed::media
