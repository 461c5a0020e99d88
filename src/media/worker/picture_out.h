// Decoded pictures to I420 of at most 960 pixels' width, a few a second.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "media/wire.h"
#include "media/worker/libav.h"

namespace heed::media {

// Not thread-safe.
class PictureOut {
 public:
  // Whether a picture at this time is wanted: the first of every fifth (every half) of a second.
  bool Wants(int64_t pts_us, PictureMode mode);
  // Scales; the picture is valid until the next call. Only planes and size are set.
  Result<VideoFrame> Scale(const AVFrame& frame);
  void Restart() { started_ = false; }

 private:
  Owned<SwsContext> scaler_;
  std::vector<uint8_t> planes_;
  bool started_ = false;
  int64_t next_us_ = 0;
};

}  // namespace heed::media
