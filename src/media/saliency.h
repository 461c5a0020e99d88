// What stands out in a picture, by the spectral residual (Hou & Zhang 2007): the log amplitude spectrum
// less its own local mean is what the picture has beyond what all pictures have; back in space, with the
// phase kept, its squared magnitude is large where something is unlike its surroundings.
#pragma once

#include <opencv2/core.hpp>

namespace heed::media {

inline constexpr int kSaliencySide = 64;  // the paper's: larger pictures show texture, not objects

// luma: 8 bits. [kSaliencySide, kSaliencySide] of float, at least 0, with sum 1; empty for a flat picture.
// 0.2 ms. Thread-safe.
cv::Mat Saliency(const cv::Mat& luma);

}  // namespace heed::media
