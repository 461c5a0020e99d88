#include "media/worker/picture_out.h"

#include <algorithm>

namespace heed::media {

Result<VideoFrame> PictureOut::Scale(const AVFrame& frame) {
  if (frame.width < 2 || frame.height < 2) return InvalidArgument("picture: no size");
  int width = std::min(frame.width, kWidestPicture) / 2 * 2;
  auto height = static_cast<int>(static_cast<int64_t>(frame.height) * width / frame.width) / 2 * 2;
  if (height > kTallestPicture) {
    width = static_cast<int>(static_cast<int64_t>(width) * kTallestPicture / height) / 2 * 2;
    height = kTallestPicture;
  }
  if (width < 2 || height < 2) return InvalidArgument("picture: too narrow");
  // Exact arithmetic, so that the same picture gives the same bytes on every machine.
  constexpr int kFlags = SWS_BILINEAR | SWS_ACCURATE_RND | SWS_BITEXACT;
  scaler_.reset(sws_getCachedContext(scaler_.release(), frame.width, frame.height,
                                     static_cast<AVPixelFormat>(frame.format), width, height,
                                     AV_PIX_FMT_YUV420P, kFlags, nullptr, nullptr, nullptr));
  if (scaler_ == nullptr) return InvalidArgument("picture: a pixel format that cannot be scaled");
  const auto luma = static_cast<size_t>(width) * static_cast<size_t>(height);
  // swscale may write up to a vector past the end of a row.
  planes_.resize(luma / 2 * 3 + 64);
  uint8_t* y = planes_.data();
  uint8_t* const to[4] = {y, y + luma, y + luma + luma / 4, nullptr};
  const int strides[4] = {width, width / 2, width / 2, 0};
  if (sws_scale(scaler_.get(), frame.data, frame.linesize, 0, frame.height, to, strides) !=
      height) {
    return InvalidArgument("picture: could not be scaled");
  }
  return VideoFrame{.width = width,
                    .height = height,
                    .y = {to[0], luma},
                    .u = {to[1], luma / 4},
                    .v = {to[2], luma / 4},
                    .y_stride = width,
                    .uv_stride = width / 2};
}

}  // namespace heed::media
