// What one picture, and one picture after another, looks like: light, colour, sharpness, motion, cuts.
//
//   brightness, contrast   mean and standard deviation of luma as transmitted (16 to 235 in most broadcasts)
//   saturation             mean of sqrt(Cb^2 + Cr^2)
//   colourful              sigma + 0.3 mu of (R - G, (R + G) / 2 - B) (Hasler & Suesstrunk 2003)
//   sharpness              standard deviation of the 3 x 3 Laplacian of luma, at most 640 wide
//   motion                 mean absolute difference of luma, 160 x 90
//   flow                   dense inverse search (Kroeger et al. 2016), 160 x 90
#pragma once

#include <cstdint>
#include <opencv2/core.hpp>
#include <opencv2/video/tracking.hpp>
#include <optional>

#include "media/frames.h"

namespace heed::media {

struct PictureStats {
  double brightness = 0, contrast = 0, saturation = 0, sharpness = 0, colourful = 0;
  // Of the middle quarter of the picture, its share of the whole's sharpness or saturation: 0.5 when both
  // are the same there and around. Empty when there is none anywhere.
  std::optional<double> centre_sharpness, centre_saturation;
  std::optional<double> saliency_centre;  // share of the middle quarter; empty for a flat picture
};

// A picture at 160 x 90, whatever its shape: what all but light and sharpness is measured on.
struct Thumb {
  cv::Mat luma, blue, red;
};
Thumb MakeThumb(const cv::Mat& luma, const cv::Mat& blue, const cv::Mat& red);

// luma: 8 bits, at most 640 wide; thumb: its own. Thread-safe.
PictureStats MeasurePicture(const cv::Mat& luma, const Thumb& thumb);

// From the picture before to this one.
struct PictureStep {
  double motion = 0;    // grey
  bool frozen = false;  // the same picture again
  double flow = 0;      // mean length, in widths a second
  std::optional<double>
      centre_share;  // of the flow, in the middle quarter; empty when nothing moves
};

// Compares each picture with the one before. A cut is only known one picture later: a flash looks like one
// until the old picture comes back. Not thread-safe.
class PictureMotion {
 public:
  PictureMotion();

  struct Change {
    bool compared = false;            // false for the first picture, and after a gap
    std::optional<PictureStep> step;  // empty across a cut, too
    bool earlier_cut = false;         // the picture before this one did begin a shot
  };
  // Pictures in order of time.
  Change Add(const Thumb& thumb, int64_t pts_us);
  // True when the last picture looked like a cut and nothing came to deny it.
  bool TakePendingCut();
  void Reset();

 private:
  struct Look {
    Thumb thumb;
    cv::Mat colours;  // histogram, sum 1
  };
  static bool Different(const Look& a, const Look& b);

  cv::Ptr<cv::DISOpticalFlow> flow_;
  bool started_ = false;
  Look before_, last_;    // before_: before a suspected cut
  bool suspect_ = false;  // last_ looked like a cut from before_
  int64_t last_us_ = 0;
};

}  // namespace heed::media
