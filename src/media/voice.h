// The voice, second by second: loudness, pitch, voicing, speaking rate, pauses, spectrum.
//
// Sound is placed by its time stamps, never by counting samples, on a grid of 10 ms blocks; everything
// is measured block by block, so the same sound gives the same numbers to the last bit however it was
// cut into chunks.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "media/frames.h"
#include "media/loudness.h"
#include "media/voice_frames.h"

namespace heed::media {

enum class VoiceFeature : uint8_t {
  kLoudnessMomentary,
  kLoudnessShortTerm,
  kTruePeak,
  kLevel,
  kDynamicRange,
  kMusicLikely,
  kActive,
  kPauseMax,
  kPauseCount,
  kF0Median,
  kF0Low,
  kF0High,
  kF0Range,
  kF0Slope,
  kVoicedRatio,
  kHarmonicsToNoise,
  kSyllableRate,
  kSyllableRate5s,
  kCentroid,
  kRolloff,
  kFlux,
  kFlatness,
  kAlphaRatio,
  kHammarberg,
  kSlopeLow,
  kSlopeMiddle,
  kMfcc1,
  kMfcc2,
  kMfcc3,
  kMfcc4,
  kArousalProxy,
};
inline constexpr size_t kVoiceFeatures = static_cast<size_t>(VoiceFeature::kArousalProxy) + 1;

struct FeatureInfo {
  std::string_view name, unit;
  float low, high;  // values are clamped to this range
};
const FeatureInfo& Info(VoiceFeature feature);

struct VoiceSecond {
  int64_t second = 0;  // of the broadcast's time base: [second, second + 1)
  uint32_t epoch = 0;
  float cover = 0;  // share of the second that was heard
  // Empty: not measured. A measured zero is 0.
  std::array<std::optional<float>, kVoiceFeatures> values;

  std::optional<float> operator[](VoiceFeature f) const { return values[static_cast<size_t>(f)]; }
  // Not a number and infinity are no measurements.
  void Set(VoiceFeature f, double value);
};

// Feed chunks in order of time. Not thread-safe.
class VoiceExtractor {
 public:
  // keep_frames: TakeFrames will be asked for them.
  explicit VoiceExtractor(bool keep_frames = false) : keep_frames_(keep_frames) {}

  // Appends the seconds that are complete to `seconds`: one is closed 0.27 s after its end. A chunk of
  // another epoch closes what is open and starts anew, so no second mixes two epochs. A chunk that
  // goes back in time is cut, one that leaves a gap makes a gap; after ten seconds of nothing the
  // seconds between are left out.
  // stereo48k is empty (no loudness is measured) or covers the same time as mono16k.
  void Add(const AudioChunk& chunk, std::vector<VoiceSecond>* seconds);
  // No sound came until pts_us of the current epoch, nor will: closes the seconds before it with what
  // was heard. Nothing to do before the first chunk.
  void AdvanceTo(int64_t pts_us, std::vector<VoiceSecond>* seconds);
  // The end: closes everything, an unfinished last second too.
  void Finish(std::vector<VoiceSecond>* seconds);

  // The frames of the seconds closed since the last call.
  std::vector<VoiceFrame> TakeFrames() { return std::exchange(kept_, {}); }

 private:
  struct Loudness {
    std::optional<double> momentary_max, short_term, true_peak;
  };

  void Begin(const AudioChunk& chunk, int64_t sample);
  void EndSegment();
  void EndAt(int64_t block, std::vector<VoiceSecond>* seconds);
  void TakeBlock(int64_t block, const float* mono, const float* stereo);
  void CloseReady(std::vector<VoiceSecond>* seconds);
  void Close(std::vector<VoiceSecond>* seconds);
  int64_t EndBlock() const { return first_frame_ + static_cast<int64_t>(frames_.size()); }

  const bool keep_frames_;
  bool started_ = false;
  uint32_t epoch_ = 0;
  int64_t second_ = 0;  // the oldest open one

  // The segment: sound without a gap.
  bool in_segment_ = false, with_stereo_ = false;
  int64_t next_sample_ = 0;  // of mono16k, on the time base: the next one expected
  int64_t next_block_ = 0;   // that `mono_` and `stereo_` begin
  std::vector<float> mono_, stereo_;
  LoudnessMeter meter_;
  VoiceFrameAnalyzer analyzer_;

  int64_t first_frame_ = 0;        // block that frames_[0] belongs to
  std::deque<VoiceFrame> frames_;  // from a second before the open one, as far as decided
  std::deque<Loudness> loudness_;  // of the open seconds
  std::deque<std::optional<int>> syllables_;  // of the last four closed seconds
  std::vector<VoiceFrame> kept_;
};

// What a second says about its frames: frames[first, first + 100) are the second's, those before and
// after it let syllables at its edges be seen. Sets everything but loudness, the five-second rate and
// the arousal proxy; returns the number of syllable nuclei, or nothing when less than half was heard.
std::optional<int> SummarizeVoice(std::span<const VoiceFrame> frames, size_t first,
                                  VoiceSecond* second);

}  // namespace heed::media
