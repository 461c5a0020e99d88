// Frames as OpenCV sees them. Internal to the picture extractors: nobody else includes OpenCV.
#pragma once

#include <opencv2/core.hpp>

#include "base/status.h"
#include "media/frames.h"

namespace heed::media {

inline constexpr int kMaxFrameSide = 8192;

// kInvalidArgument, with the field at fault: sides out of 16 .. kMaxFrameSide, strides narrower than rows, planes
// shorter than their rows.
Status CheckFrame(const VideoFrame& frame);

// Views of a checked frame's planes: no copy, valid as long as the frame is.
cv::Mat LumaOf(const VideoFrame& frame);
cv::Mat BlueOf(const VideoFrame& frame);  // U, half the size, rounded up
cv::Mat RedOf(const VideoFrame& frame);   // V

// `in` averaged down to `width` columns, the height in proportion; `in` itself where it is not wider.
cv::Mat ShrinkTo(const cv::Mat& in, int width);

// The middle half of both sides: a quarter of the area.
cv::Rect CentreOf(const cv::Size& size);

// OpenCV with more threads than one gives faces in an order of chance, and takes the cores of others. Process-wide;
// every extractor calls it when it is made.
void UseOneThread();

}  // namespace heed::media
