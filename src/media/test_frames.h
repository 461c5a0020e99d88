// Pictures that own their planes, for tests and benchmarks.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "media/frames.h"

namespace heed::media {

struct Picture {
  Picture(int w, int h, uint8_t luma = 128)
      : width(w),
        height(h),
        y(static_cast<size_t>(w * h), luma),
        u(static_cast<size_t>((w + 1) / 2 * ((h + 1) / 2)), 128),
        v(u) {}
  // luma(x, y) of every pixel.
  Picture(int w, int h, const std::function<int(int, int)>& luma) : Picture(w, h) {
    for (int row = 0; row < h; ++row)
      for (int x = 0; x < w; ++x)
        y[static_cast<size_t>(row * w + x)] = static_cast<uint8_t>(luma(x, row));
  }
  VideoFrame At(int64_t pts_us, uint32_t epoch = 0) const {
    return {.pts_us = pts_us,
            .epoch = epoch,
            .width = width,
            .height = height,
            .y = y,
            .u = u,
            .v = v,
            .y_stride = width,
            .uv_stride = (width + 1) / 2};
  }

  int width, height;
  std::vector<uint8_t> y, u, v;
};

}  // namespace heed::media
