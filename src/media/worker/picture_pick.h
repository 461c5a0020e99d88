// Which pictures are looked at: one of every fifth of a second, of every half when that is too much. The first that others
// refer to, which is decoded anyway; the first of all where there is none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "media/wire.h"

namespace heed::media {

// The choice depends on the stream alone. Not thread-safe.
class PicturePick {
 public:
  PicturePick() { Restart(); }

  // Asked of every picture before it is decoded, in decoding order: false when it will not be looked at. One that no other
  // refers to need not be decoded then.
  bool MayWant(int64_t pts_us, bool referred_to, PictureMode mode);
  // Asked of decoded pictures, in the order they are shown. Where the chosen one is damaged, the next will do.
  bool Wants(int64_t pts_us, PictureMode mode);
  // After a jump of the time stamps.
  void Restart();

 private:
  struct Choice {
    int64_t stretch = INT64_MIN;
    int64_t pts_us = 0;
    bool referred_to = false;
  };
  Choice* Find(int64_t stretch);
  void SetApart(PictureMode mode);

  bool started_ = false;
  int64_t next_us_ = 0;
  int64_t apart_us_ = 0;
  std::array<Choice, 32> choices_;  // the last ones: more than the pictures that a codec keeps back
  size_t chosen_ = 0;
};

}  // namespace heed::media
