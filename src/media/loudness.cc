#include "media/loudness.h"

#include <ebur128.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <new>

namespace heed::media {
namespace {

constexpr unsigned kChannels = 2;
constexpr uint32_t kFrameRate = 48000;

std::optional<double> Floored(int error, double lufs) {
  if (error != EBUR128_SUCCESS || std::isnan(lufs)) return std::nullopt;
  return std::max(lufs, kQuietLufs);
}

}  // namespace

struct LoudnessMeter::Meter {
  Meter() : state(ebur128_init(kChannels, kFrameRate, EBUR128_MODE_S | EBUR128_MODE_TRUE_PEAK)) {
    if (state == nullptr) throw std::bad_alloc();
  }
  ~Meter() { ebur128_destroy(&state); }
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;
  ebur128_state* state;
};

LoudnessMeter::LoudnessMeter() { Reset(); }
LoudnessMeter::~LoudnessMeter() = default;

void LoudnessMeter::Reset() {
  meter_ = std::make_unique<Meter>();
  frames_ = 0;
  true_peak_ = 0;
}

void LoudnessMeter::Add(std::span<const float> stereo48k) {
  const size_t frames = stereo48k.size() / kChannels;
  if (ebur128_add_frames_float(meter_->state, stereo48k.data(), frames) != EBUR128_SUCCESS) {
    throw std::bad_alloc();  // the one error it has
  }
  frames_ += frames;
  for (unsigned c = 0; c < kChannels; ++c) {
    double peak = 0;
    if (ebur128_prev_true_peak(meter_->state, c, &peak) == EBUR128_SUCCESS) {
      true_peak_ = std::max(true_peak_, peak);
    }
  }
}

std::optional<double> LoudnessMeter::Momentary() const {
  double lufs = 0;
  if (frames_ < kFrameRate * 4 / 10) return std::nullopt;
  const int error = ebur128_loudness_momentary(meter_->state, &lufs);
  return Floored(error, lufs);
}

std::optional<double> LoudnessMeter::ShortTerm() const {
  double lufs = 0;
  if (frames_ < kFrameRate * 3) return std::nullopt;
  const int error = ebur128_loudness_shortterm(meter_->state, &lufs);
  return Floored(error, lufs);
}

double LoudnessMeter::TakeTruePeak() {
  const double peak = true_peak_;
  true_peak_ = 0;
  return std::max(20.0 * std::log10(std::max(peak, 1e-9)), -70.0);
}

}  // namespace heed::media
