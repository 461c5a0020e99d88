#include "media/loudness.h"

#include <ebur128.h>

#include <algorithm>
#include <cmath>
#include <new>

namespace heed::media {
namespace {

constexpr unsigned kChannels = 2;
constexpr unsigned long kRate = 48000;

std::optional<double> Floored(int error, double lufs) {
  if (error != EBUR128_SUCCESS || std::isnan(lufs)) return std::nullopt;
  return std::max(lufs, kQuietLufs);
}

}  // namespace

void LoudnessMeter::Free::operator()(ebur128_state* state) const { ebur128_destroy(&state); }

LoudnessMeter::LoudnessMeter() { Reset(); }
LoudnessMeter::~LoudnessMeter() = default;

void LoudnessMeter::Reset() {
  state_.reset(ebur128_init(kChannels, kRate, EBUR128_MODE_S | EBUR128_MODE_TRUE_PEAK));
  if (state_ == nullptr) throw std::bad_alloc();
  frames_ = 0;
  true_peak_ = 0;
}

void LoudnessMeter::Add(std::span<const float> stereo48k) {
  const size_t frames = stereo48k.size() / kChannels;
  if (ebur128_add_frames_float(state_.get(), stereo48k.data(), frames) != EBUR128_SUCCESS) {
    throw std::bad_alloc();  // the one error it has
  }
  frames_ += frames;
  for (unsigned c = 0; c < kChannels; ++c) {
    double peak = 0;
    if (ebur128_prev_true_peak(state_.get(), c, &peak) == EBUR128_SUCCESS) {
      true_peak_ = std::max(true_peak_, peak);
    }
  }
}

std::optional<double> LoudnessMeter::Momentary() const {
  double lufs = 0;
  if (frames_ < kRate * 4 / 10) return std::nullopt;
  return Floored(ebur128_loudness_momentary(state_.get(), &lufs), lufs);
}

std::optional<double> LoudnessMeter::ShortTerm() const {
  double lufs = 0;
  if (frames_ < kRate * 3) return std::nullopt;
  return Floored(ebur128_loudness_shortterm(state_.get(), &lufs), lufs);
}

double LoudnessMeter::TakeTruePeak() {
  const double peak = true_peak_;
  true_peak_ = 0;
  return std::max(20.0 * std::log10(std::max(peak, 1e-9)), -70.0);
}

}  // namespace heed::media
