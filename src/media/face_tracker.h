// Faces: where, how large, since when. A cascade of local binary patterns (Liao et al. 2007; Viola & Jones
// 2001) finds them in the whole picture now and then, and around where they were in between, which costs a
// third of searching everywhere. Boxes and times only: no picture of a face and nothing that could tell
// whose it is is kept.
#pragma once

#include <cstdint>
#include <memory>
#include <opencv2/core.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace heed::media {

struct FaceConfig {
  std::string cascade = "/usr/share/opencv4/lbpcascades/lbpcascade_frontalface.xml";
  std::string smile_cascade;           // e.g. .../haarcascade_smile.xml; empty: no smile proxy
  float min_side = 0.07f;              // of the picture's width: smaller faces are not looked for
  int64_t search_us = 500'000;         // the whole picture so often while there is no face
  int64_t search_more_us = 1'000'000;  // and so often beside the faces there are
  int64_t hold_us = 500'000;           // a face not found again stays where it was so long
};

struct Face {
  uint64_t track = 0;  // grows; the same while the face is followed
  cv::Rect2f box;      // in shares of the picture's sides
  double dwell_s = 0;  // since it was first seen
  // Of the box and of its mouth, to the picture before; empty for its first picture.
  std::optional<double> motion, mouth_motion;
  // Share of 300 of the smile cascade's neighbouring hits; a proxy: uncalibrated, and no statement about what
  // anybody feels. Empty when off.
  std::optional<double> smile_proxy;
};

// Not thread-safe. Single-threaded inside; the same pictures give the same faces.
class FaceTracker {
 public:
  // kNotFound when a cascade's file is not there, kCorruption when it is none; both name the path.
  static Result<std::unique_ptr<FaceTracker>> Open(const FaceConfig& config);
  ~FaceTracker();

  // luma: 8 bits, best at 640 wide. Faces found twice or more, largest first.
  std::vector<Face> Update(const cv::Mat& luma, int64_t pts_us);
  void Reset();  // another epoch, or a cut: nobody is followed across

 private:
  struct Impl;
  explicit FaceTracker(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed::media
