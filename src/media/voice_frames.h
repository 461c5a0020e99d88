// Sound without a gap, 10 ms after 10 ms: what the functionals of a second are taken over.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "media/pitch.h"
#include "media/spectrum.h"

namespace heed::media {

struct VoiceFrame {
  bool heard = false;   // false: a gap, nothing below counts
  bool active = false;  // energy, periodicity and spectrum of a voice
  bool held =
      false;         // the spectrum has stood still for 0.3 s: a tone or music, no speech does that
  float f0_hz = 0;   // 0: not voiced
  float hnr_db = 0;  // where voiced
  SpectralShape shape;
};

// Not thread-safe.
class VoiceFrameAnalyzer {
 public:
  // One block of kHop samples, appending to `done` the frames whose pitch is decided: a frame is
  // 27 blocks late, two that its window reaches ahead and 25 for the pitch path to look back from.
  void Add(std::span<const float, kHop> block, std::vector<VoiceFrame>* done);
  // The sound ends: appends all frames that are left and forgets everything but the level it was at.
  void End(std::vector<VoiceFrame>* done);

 private:
  static constexpr int kLookAhead = 25;  // frames

  void Measure();
  void DecideAllBut(size_t last, std::vector<VoiceFrame>* done);
  bool LooksLikeVoice(const SpectralShape& shape, const PitchFrame& pitch);
  bool StandsStill(float level_db);

  std::array<float, kPitchWindow> window_{};
  int64_t blocks_ = 0;
  SpectrumAnalyzer spectrum_;
  PitchPath path_;
  std::deque<VoiceFrame> undecided_;
  float noise_db_ = -60, peak_db_ = -60;  // running floor and ceiling of the level
  int hangover_ = 0, still_ = 0;
  struct Past {
    std::array<float, kBins> unit;  // magnitudes of length 1
    float level_db;
  };
  std::deque<Past> past_;  // of the last 100 ms
};

}  // namespace heed::media
