// Fundamental frequency: YIN's difference function (de Cheveigne & Kawahara 2002) proposes, a Viterbi
// search over the frames decides (as in Boersma 1993). Own code: the packaged pitch trackers are GPL,
// and thresholds alone make octave errors that a path through the frames does not.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

namespace heed::media {

inline constexpr int kRate = 16000;            // of the mono signal, Hz
inline constexpr int kHop = kRate / 100;       // samples: a frame every 10 ms
inline constexpr int kPitchWindow = 5 * kHop;  // what one frame is measured on, centred

struct PitchCandidate {
  float f0_hz = 0;
  float aperiodicity = 1;  // YIN's normalised difference at the period: 0 periodic, 1 not at all
  float hnr_db = 0;        // harmonics to noise, of the correlation at the period
};

inline constexpr size_t kMostCandidates = 6;
struct PitchFrame {
  std::array<PitchCandidate, kMostCandidates> candidates;
  size_t count = 0;
  bool quiet = false;  // too little energy to be a voice
};

// Within [55, 500] Hz. A tone above that range would answer at its subharmonics: such a frame has no
// candidates. Frequencies are those at the window's centre: both halves of every comparison lie
// symmetrically around it. Pure; about 40 us.
void FindPitch(std::span<const float, kPitchWindow> window, PitchFrame* frame);

// One path through all frames since Reset. Not thread-safe.
class PitchPath {
 public:
  void Add(const PitchFrame& frame);
  // The best path's last `frames` frames that were added: the chosen candidate, or one of f0_hz 0 for
  // a frame that is not voiced. Frames older than those asked for last can be let go with Forget.
  std::vector<PitchCandidate> Best(size_t frames) const;
  void Forget(size_t keep);
  void Reset();

 private:
  struct Step {
    PitchFrame frame;
    // Costs of ending in each candidate, then in "not voiced"; and where they came from.
    std::array<float, kMostCandidates + 1> cost;
    std::array<uint8_t, kMostCandidates + 1> from;
  };
  std::deque<Step> steps_;
};

}  // namespace heed::media
