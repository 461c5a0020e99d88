// Decoded pictures to I420 of at most 960 pixels' width.
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
  // Scales; the picture is valid until the next call. Only planes and size are set.
  Result<VideoFrame> Scale(const AVFrame& frame);

 private:
  Owned<SwsContext> scaler_;
  std::vector<uint8_t> planes_;
};

}  // namespace heed::media
