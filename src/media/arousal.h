// A stand-in for how aroused a voice sounds: how far pitch, its range, loudness, tempo and spectral
// balance lie from what is usual in this room. It was never compared with what a listener or the
// speaker says, hence "proxy"; inferring the emotion of a working person is regulated in places, hence
// off unless configured.
#pragma once

#include <array>
#include <deque>
#include <optional>
#include <vector>

#include "media/voice.h"

namespace heed::media {

// How far a value lies from the usual one: (value - median) / (1.4826 MAD) over the last `window`
// values. Not thread-safe; O(window) a value.
class RobustScale {
 public:
  explicit RobustScale(size_t window = 600) : window_(window) {}  // seconds: ten minutes

  void Add(float value);
  // Nothing before 30 values; within [-4, 4].
  std::optional<double> Score(float value) const;

 private:
  size_t window_;
  std::deque<float> recent_;
  std::vector<float> sorted_;
};

struct ArousalOptions {
  bool enabled = false;
  // Of the scores of pitch, pitch range, loudness, syllables a second, and alpha ratio (an effortful
  // voice has more energy above 1 kHz, so less of it). All zero: no proxy.
  double f0_median = 1, f0_range = 1, loudness = 1, syllable_rate = 1, alpha_ratio = -1;
};

// One room's. Not thread-safe.
class ArousalProxy {
 public:
  explicit ArousalProxy(const ArousalOptions& options) : options_(options) {}

  // Sets second->values[kArousalProxy], or leaves it empty: when off, before 30 s of speech, where
  // fewer than three of the five are measured, and where the sound is rather music. Seconds that are
  // not speech teach nothing.
  void Update(VoiceSecond* second);

 private:
  ArousalOptions options_;
  std::array<RobustScale, 5> scales_;
};

}  // namespace heed::media
