// What the decoder hands to the extractors: views of memory that the caller owns for the call only.
#pragma once

#include <cstdint>
#include <span>

namespace heed::media {

// A stretch of sound on the broadcast's time base. pts_us: of the first sample; epoch: counts discontinuities.
struct AudioChunk {
  int64_t pts_us = 0;
  uint32_t epoch = 0;
  std::span<const float> mono16k;
  std::span<const float> stereo48k;
};

// One picture, I420. Strides in bytes.
struct VideoFrame {
  int64_t pts_us = 0;
  uint32_t epoch = 0;
  int width = 0;
  int height = 0;
  std::span<const uint8_t> y, u, v;
  int y_stride = 0;
  int uv_stride = 0;
};

}  // namespace heed::media
