#include "media/frame_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <opencv2/core/utility.hpp>
#include <opencv2/imgproc.hpp>

namespace heed::media {
namespace {

// OpenCV has no read-only matrix over foreign memory; nobody writes through these.
cv::Mat View(std::span<const uint8_t> plane, int width, int height, int stride) {
  return cv::Mat(height, width, CV_8UC1, const_cast<uint8_t*>(plane.data()),
                 static_cast<size_t>(stride));
}

size_t BytesOf(int width, int height, int stride) {
  return static_cast<size_t>(height - 1) * static_cast<size_t>(stride) + static_cast<size_t>(width);
}

}  // namespace

Status CheckFrame(const VideoFrame& frame) {
  const auto side_ok = [](int side) { return side >= 16 && side <= kMaxFrameSide; };
  if (!side_ok(frame.width) || !side_ok(frame.height))
    return InvalidArgument(fmt::format("a picture of {} by {}; sides are 16 to {}", frame.width,
                                       frame.height, kMaxFrameSide),
                           "width");
  const int half_width = (frame.width + 1) / 2, half_height = (frame.height + 1) / 2;
  if (frame.y_stride < frame.width)
    return InvalidArgument(fmt::format("stride {} for rows of {}", frame.y_stride, frame.width),
                           "y_stride");
  if (frame.uv_stride < half_width)
    return InvalidArgument(fmt::format("stride {} for rows of {}", frame.uv_stride, half_width),
                           "uv_stride");
  const auto plane_ok = [](const char* name, std::span<const uint8_t> plane, size_t needed) {
    if (plane.size() >= needed) return Status();
    return InvalidArgument(fmt::format("{} bytes where {} are needed", plane.size(), needed), name);
  };
  const size_t chroma = BytesOf(half_width, half_height, frame.uv_stride);
  HEED_RETURN_IF_ERROR(plane_ok("y", frame.y, BytesOf(frame.width, frame.height, frame.y_stride)));
  HEED_RETURN_IF_ERROR(plane_ok("u", frame.u, chroma));
  return plane_ok("v", frame.v, chroma);
}

cv::Mat LumaOf(const VideoFrame& frame) {
  return View(frame.y, frame.width, frame.height, frame.y_stride);
}
cv::Mat BlueOf(const VideoFrame& frame) {
  return View(frame.u, (frame.width + 1) / 2, (frame.height + 1) / 2, frame.uv_stride);
}
cv::Mat RedOf(const VideoFrame& frame) {
  return View(frame.v, (frame.width + 1) / 2, (frame.height + 1) / 2, frame.uv_stride);
}

cv::Mat ShrinkTo(const cv::Mat& in, int width) {
  if (in.cols <= width) return in;
  cv::Mat out;
  const int height = std::max(1, (in.rows * width + in.cols / 2) / in.cols);
  // Between four pixels is average enough below a half, and seven times as fast as areas of any ratio.
  cv::resize(in, out, cv::Size(width, height), 0, 0,
             in.cols < 2 * width ? cv::INTER_LINEAR : cv::INTER_AREA);
  return out;
}

cv::Rect CentreOf(const cv::Size& size) {
  return {size.width / 4, size.height / 4, (size.width + 1) / 2, (size.height + 1) / 2};
}

void UseOneThread() {
  static const bool done = (cv::setNumThreads(1), true);
  static_cast<void>(done);
}

}  // namespace heed::media
