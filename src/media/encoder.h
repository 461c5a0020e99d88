// A picture as a vector, by an ONNX model that the user brings.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "media/frames.h"
#include "media/moment.h"

namespace heed::media {

struct EncoderOptions {
  std::string
      file;  // one input [1, 3, side, side] of 32-bit floats, R G B; one output of at most 4,096
  std::string id;  // empty: the file's name without its ending
  int side = 224;  // the picture is brought to a square of so many pixels, whatever its shape
  // Of R, G, B between 0 and 1: what the model sees is (value - mean) / deviation. ImageNet's.
  std::array<float, 3> mean = {0.485f, 0.456f, 0.406f}, deviation = {0.229f, 0.224f, 0.225f};
};

struct EncoderInfo {
  std::string id;
  Modality modality = Modality::kPicture;
  size_t dim = 0;
};

// Model files are untrusted: one is loaded and tried on a grey picture in a process of its own first, with limits
// of memory and time, so that one that crashes the reader ends that process. Not thread-safe.
class Encoder {
 public:
  // kNotFound, kTooLarge (over 512 MiB), kInvalidArgument naming the file: what the reader says, or how it ended.
  // To be called while the process has one thread: it forks.
  static Result<std::unique_ptr<Encoder>> Open(const EncoderOptions& options);
  ~Encoder();

  const EncoderInfo& info() const;
  // info().dim finite numbers, as the model gives them. An error is the end of the encoder: nothing is known of what
  // the reader left behind.
  Result<std::vector<float>> Encode(const VideoFrame& frame);

 private:
  struct Impl;
  explicit Encoder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed::media
