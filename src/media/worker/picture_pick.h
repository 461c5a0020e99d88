// Which pictures are looked at: the first of every fifth of a second, of every half when that is too much.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "media/wire.h"

namespace heed::media {

// Not thread-safe.
class PicturePick {
 public:
  PicturePick() { Restart(); }

  // Asked of decoded pictures, in the order they are shown.
  bool Wants(int64_t pts_us, PictureMode mode);
  // Asked of every picture before it is decoded, in decoding order: false when Wants would say no, because an earlier
  // picture of the same stretch is on its way. One that no other refers to need not be decoded then.
  bool MayWant(int64_t pts_us, PictureMode mode);
  // After a jump of the time stamps.
  void Restart();

 private:
  bool started_ = false;
  int64_t next_us_ = 0;
  std::array<int64_t, 32> coming_us_;  // let pass by MayWant lately: more than a codec keeps back
  size_t coming_ = 0;
};

}  // namespace heed::media
