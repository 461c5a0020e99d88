// Decoded sound to 16 kHz mono and 48 kHz stereo, placed by time stamps.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/status.h"
#include "media/worker/libav.h"

namespace heed::media {

// Not thread-safe.
class SoundOut {
 public:
  // pts_us of the first sample; both streams cover the same time.
  using Emit = std::function<Status(int64_t pts_us, std::span<const float> mono,
                                    std::span<const float> stereo)>;
  explicit SoundOut(Emit emit) : emit_(std::move(emit)) {}

  // A frame whose first sample is at pts_us of the broadcast's time base. One that does not begin
  // where the last one ended (by 30 ms) is placed anew: sound follows its time stamps.
  Status Take(const AVFrame& frame, int64_t pts_us);
  // What the resamplers hold; the next frame begins anew.
  Status Drain();

 private:
  Status Configure(const AVFrame& frame);
  Status Convert(const uint8_t** data, int samples);
  Status Send(size_t mono_samples);

  Emit emit_;
  Owned<SwrContext> to_stereo_, to_mono_;
  AVSampleFormat format_ = AV_SAMPLE_FMT_NONE;
  int rate_ = 0, channels_ = 0;
  bool running_ = false;
  int64_t begin_us_ = 0, taken_ = 0;  // taken_: samples of the input since begin_us_
  int64_t sent_ = 0;                  // samples of mono
  std::vector<float> mono_, stereo_;
};

}  // namespace heed::media
