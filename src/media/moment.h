// The record of a moment: what was measured in one second of a broadcast, by modality, one column a feature. What
// everything after the extractors reads (docs/formats/moment_file.md).
//
// What was not measured has no value; zero is a measured zero. No value is ever infinite or not a number:
// MomentValues refuses them. Times are seconds of the broadcast's own time base.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "media/voice.h"

namespace heed::media {

enum class Modality : uint8_t { kVoice, kFace, kPicture, kOcr, kComments };
inline constexpr size_t kModalities = 5;
std::string_view ModalityName(Modality modality);

// The voice's features come first (FeatureOf); then these, in the order of moment.cc's table.
enum class Feature : uint8_t {
  kFacePresent = kVoiceFeatures,
  kFaceCount,
  kFaceArea,
  kFaceX,
  kFaceY,
  kFaceDwell,
  kFaceMotion,
  kMouthMotion,
  kSmileProxy,
  kBrightness,
  kContrast,
  kSaturation,
  kSharpness,
  kColourful,
  kMotion,
  kFlowMean,
  kFlowCentreRatio,
  kFreeze,
  kCut,
  kSaliencyCentre,
  kCloseupProxy,
  kOcrPrice,
  kOcrStock,
  kOcrConfidence,
  // A running engine adds these to what it is sent; nothing here measures them.
  kCommentRate,
  kCommentViewers,
  kCommentQuestionShare,
  kCommentSentiment,
};
inline constexpr size_t kFeatureCount = static_cast<size_t>(Feature::kCommentSentiment) + 1;
// Of a moment, either way: a thousand years.
inline constexpr int64_t kMaxSecond = 31'557'600'000;
constexpr Feature FeatureOf(VoiceFeature feature) { return static_cast<Feature>(feature); }

// How a feature's values within a second become the second's value is its extractor's business.
struct MomentFeatureInfo {
  Feature feature;
  Modality modality;
  std::string_view name;  // "vis.brightness"
  std::string_view unit;
  float low, high;   // values beyond are brought to the nearer end
  float resolution;  // a spread below this is no spread: RunningNorm divides by no less
};
std::span<const MomentFeatureInfo> Features();
inline const MomentFeatureInfo& InfoOf(Feature feature) {
  return Features()[static_cast<size_t>(feature)];
}
std::optional<Feature> FeatureByName(std::string_view name);
// Those that stand for a person's expression or arousal: kept only where somebody has allowed it
// (docs/broadcast-law.md).
std::span<const Feature> Proxies();

class MomentValues {
 public:
  // False, and nothing is set, for what is infinite or not a number.
  bool Set(Feature feature, double value);
  // The same without the feature's range: for z-values.
  bool SetUnbounded(Feature feature, double value);
  void Clear(Feature feature);
  std::optional<float> Get(Feature feature) const {
    const auto i = static_cast<size_t>(feature);
    return measured_[i] ? std::optional<float>(values_[i]) : std::nullopt;
  }
  size_t measured() const { return measured_.count(); }
  bool operator==(const MomentValues& other) const = default;

 private:
  std::array<float, kFeatureCount> values_ = {};  // 0 where not measured
  std::bitset<kFeatureCount> measured_;
};

// How much of the second a modality was seen, and how old its newest measurement was at the end of it.
struct Coverage {
  bool ok = false;      // measured in this second
  float cover = 0;      // share of the second, 0 to 1
  int64_t age_ms = -1;  // -1: never measured in this epoch
  bool operator==(const Coverage& other) const = default;
};

struct Moment {
  std::string room;
  uint32_t epoch = 0;   // counts discontinuities: nothing is measured across one
  int64_t second = 0;   // of the broadcast's time base: [second, second + 1)
  int64_t wall_ms = 0;  // of the clock, when the second ended; 0: a recording
  int64_t lag_ms = 0;   // from the second's end to its record
  uint32_t frames = 0;  // pictures seen in this second
  std::array<Coverage, kModalities> modalities = {};
  MomentValues values;
  MomentValues z;           // against the room's last ten minutes (RunningNorm)
  std::string mode;         // how much of the picture was decoded, by the decoder's name for it
  std::string screen_text;  // lines read with confidence, separated by '\n'; UTF-8

  Coverage& of(Modality modality) { return modalities[static_cast<size_t>(modality)]; }
  const Coverage& of(Modality modality) const { return modalities[static_cast<size_t>(modality)]; }
  bool operator==(const Moment& other) const = default;
};

// Puts what was measured into the moment of the same second and epoch. A second that was not heard has no age here:
// the voice does not say when it was last heard.
void AddTo(const VoiceSecond& second, Moment* moment);

}  // namespace heed::media
