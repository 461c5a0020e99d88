#include "cli/second_encoder.h"

#include <cstdio>
#include <iterator>
#include <string>

#include "base/clock.h"

namespace heed::cli {

void SecondEncoder::See(const media::VideoFrame& frame) {
  const int64_t second = frame.pts_us / 1'000'000 - (frame.pts_us % 1'000'000 < 0 ? 1 : 0);
  const std::pair key(frame.epoch, second);
  if (encoder_ == nullptr || key <= last_ || frame.pts_us < free_us_) return;
  last_ = key;
  const int64_t began_us = Clock::System().steady_us();
  Result<std::vector<float>> vector = encoder_->Encode(frame);
  if (!vector.ok()) {
    std::fprintf(stderr, "heed: no vectors from here on: %s\n", vector.status().message().c_str());
    encoder_ = nullptr;
    return;
  }
  // A fifth of the time at most, or the broadcast would lag for it.
  if (live_) free_us_ = frame.pts_us + 5 * (Clock::System().steady_us() - began_us);
  vectors_[key] = std::move(vector).value();
}

std::optional<std::vector<float>> SecondEncoder::Take(uint32_t epoch, int64_t second) {
  const auto end = vectors_.upper_bound({epoch, second});
  std::optional<std::vector<float>> out;
  if (end != vectors_.begin() && std::prev(end)->first == std::pair(epoch, second))
    out = std::move(std::prev(end)->second);
  vectors_.erase(vectors_.begin(), end);
  return out;
}

}  // namespace heed::cli
