// The picture, second by second: light, motion, cuts, faces, what is written on the screen.
//
// Fed like the voice (media/voice.h): frames in order of time, seconds come out closed. A second never mixes
// two epochs. Faces and text need files of the machine (a cascade, a language); without them these
// modalities are absent, which is logged once, and the rest is measured.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "media/frames.h"
#include "media/moment.h"

namespace heed::media {

struct PictureConfig {
  double fps = 5;  // that the decoder hands over: a second with as many pictures is covered whole
  bool faces = true, text = true, smile = false;
  std::string face_cascade = "/usr/share/opencv4/lbpcascades/lbpcascade_frontalface.xml";
  std::string smile_cascade = "/usr/share/opencv4/haarcascades/haarcascade_smile.xml";
  double min_face = 0.07;  // of the picture's width
  std::string ocr_data = "/usr/share/tesseract-ocr/5/tessdata";
  std::string ocr_language = "chi_sim+eng";
  double ocr_min_confidence = 60;
  double ocr_every_s = 2;    // lines are looked for so often
  size_t ocr_max_lines = 4;  // and read, of those, 25 ms each
};

struct PictureSecond {
  int64_t second = 0;  // of the broadcast's time base: [second, second + 1)
  uint32_t epoch = 0;
  uint32_t frames = 0;
  Coverage picture, face, ocr;
  MomentValues values;      // of these three modalities
  std::string screen_text;  // believed lines, UTF-8
};

// Puts what was measured into the moment of the same second and epoch.
void AddTo(const PictureSecond& second, Moment* moment);

// Not thread-safe.
class PictureExtractor {
 public:
  explicit PictureExtractor(const PictureConfig& config);
  ~PictureExtractor();

  bool has_faces() const;
  bool has_text() const;

  // Appends the seconds that are complete to `seconds`, those without a picture between them too. A frame of
  // another epoch closes what is open and starts anew. A frame before the last one, or of a closed second, is
  // not measured and counted in late(). kInvalidArgument for a frame that is none; nothing changes then.
  Status Add(const VideoFrame& frame, std::vector<PictureSecond>* seconds);
  // Nothing came until pts_us of this epoch: closes the seconds before it. Before the first frame: nothing.
  void AdvanceTo(int64_t pts_us, std::vector<PictureSecond>* seconds);
  // The end: closes the unfinished second too.
  void Finish(std::vector<PictureSecond>* seconds);

  uint64_t late() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed::media
