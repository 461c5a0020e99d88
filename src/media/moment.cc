#include "media/moment.h"

#include <algorithm>
#include <cmath>

namespace heed::media {
namespace {

using F = Feature;
using M = Modality;

// Ranges: what the measurement can give at all, for voices and pictures of 8 bits.
constexpr FeatureInfo kFeatures[] = {
    {F::kLufsMomentaryMax, M::kVoice, "audio.lufs_m_max", "LUFS", -70, 5, 0.5f},
    {F::kLufsShort, M::kVoice, "audio.lufs_s", "LUFS", -70, 5, 0.5f},
    {F::kTruePeak, M::kVoice, "audio.true_peak", "dBTP", -90, 10, 0.5f},
    {F::kRms, M::kVoice, "audio.rms_db", "dB", -90, 0, 0.5f},
    {F::kDynamicRange, M::kVoice, "audio.dyn_range_db", "dB", 0, 90, 0.5f},
    {F::kMusicLikely, M::kVoice, "audio.music_likely", "ratio", 0, 1, 0.01f},
    {F::kActive, M::kVoice, "voice.active", "ratio", 0, 1, 0.01f},
    {F::kPauseMax, M::kVoice, "voice.pause_max", "s", 0, 1, 0.01f},
    {F::kPauseCount, M::kVoice, "voice.pause_count", "n", 0, 10, 0.5f},
    {F::kF0Median, M::kVoice, "voice.f0_median", "Hz", 50, 600, 2},
    {F::kF0P20, M::kVoice, "voice.f0_p20", "Hz", 50, 600, 2},
    {F::kF0P80, M::kVoice, "voice.f0_p80", "Hz", 50, 600, 2},
    {F::kF0Range, M::kVoice, "voice.f0_range_st", "semitones", 0, 48, 0.1f},
    {F::kF0Slope, M::kVoice, "voice.f0_slope_st_s", "semitones/s", -100, 100, 0.1f},
    {F::kVoicedRatio, M::kVoice, "voice.voiced_ratio", "ratio", 0, 1, 0.01f},
    {F::kHnr, M::kVoice, "voice.hnr_db", "dB", -10, 40, 0.5f},
    {F::kSyllableRate, M::kVoice, "voice.syll_rate", "1/s", 0, 12, 0.2f},
    {F::kSyllableRate5s, M::kVoice, "voice.syll_rate_5s", "1/s", 0, 12, 0.1f},
    {F::kArousalProxy, M::kVoice, "voice.arousal_proxy", "z", -4, 4, 0.05f},
    {F::kCentroid, M::kVoice, "spec.centroid", "Hz", 0, 8000, 10},
    {F::kRolloff, M::kVoice, "spec.rolloff85", "Hz", 0, 8000, 10},
    {F::kFlux, M::kVoice, "spec.flux", "ratio", 0, 10, 0.01f},
    {F::kFlatness, M::kVoice, "spec.flatness", "ratio", 0, 1, 0.01f},
    {F::kAlphaRatio, M::kVoice, "spec.alpha_ratio", "dB", -90, 90, 0.5f},
    {F::kHammarberg, M::kVoice, "spec.hammarberg", "dB", -90, 90, 0.5f},
    {F::kSlopeLow, M::kVoice, "spec.slope_0_500", "dB/Hz", -1, 1, 0.001f},
    {F::kSlopeHigh, M::kVoice, "spec.slope_500_1500", "dB/Hz", -1, 1, 0.001f},
    {F::kMfcc1, M::kVoice, "spec.mfcc1", "", -200, 200, 0.5f},
    {F::kMfcc2, M::kVoice, "spec.mfcc2", "", -200, 200, 0.5f},
    {F::kMfcc3, M::kVoice, "spec.mfcc3", "", -200, 200, 0.5f},
    {F::kMfcc4, M::kVoice, "spec.mfcc4", "", -200, 200, 0.5f},
    {F::kFacePresent, M::kFace, "face.present", "ratio", 0, 1, 0.05f},
    {F::kFaceCount, M::kFace, "face.count", "n", 0, 50, 0.1f},
    {F::kFaceArea, M::kFace, "face.area", "ratio", 0, 1, 0.002f},
    {F::kFaceX, M::kFace, "face.cx", "ratio", 0, 1, 0.005f},
    {F::kFaceY, M::kFace, "face.cy", "ratio", 0, 1, 0.005f},
    {F::kFaceDwell, M::kFace, "face.dwell", "s", 0, 86400, 1},
    {F::kFaceMotion, M::kFace, "face.motion", "grey", 0, 255, 0.2f},
    {F::kMouthMotion, M::kFace, "face.mouth_motion", "grey", 0, 255, 0.2f},
    {F::kSmileProxy, M::kFace, "face.smile_proxy", "ratio", 0, 1, 0.01f},
    {F::kBrightness, M::kPicture, "vis.brightness", "grey", 0, 255, 0.5f},
    {F::kContrast, M::kPicture, "vis.contrast", "grey", 0, 128, 0.5f},
    {F::kSaturation, M::kPicture, "vis.saturation", "grey", 0, 182, 0.5f},
    {F::kSharpness, M::kPicture, "vis.sharpness", "grey", 0, 1020, 0.2f},
    {F::kColourful, M::kPicture, "vis.colourful", "grey", 0, 400, 0.5f},
    {F::kMotion, M::kPicture, "vis.motion", "grey", 0, 255, 0.1f},
    {F::kFlowMean, M::kPicture, "vis.flow_mean", "1/s", 0, 10, 0.002f},
    {F::kFlowCentreRatio, M::kPicture, "vis.flow_centre_ratio", "ratio", 0, 1, 0.02f},
    {F::kFreeze, M::kPicture, "vis.freeze", "ratio", 0, 1, 0.05f},
    {F::kCut, M::kPicture, "vis.cut", "n", 0, 60, 0.1f},
    {F::kSaliencyCentre, M::kPicture, "vis.saliency_centre", "ratio", 0, 1, 0.01f},
    {F::kCloseupProxy, M::kPicture, "vis.closeup_proxy", "ratio", 0, 1, 0.01f},
    {F::kOcrPrice, M::kOcr, "ocr.price_cny", "CNY", 0, 999999.99f, 0.01f},
    {F::kOcrStock, M::kOcr, "ocr.stock", "n", 0, 9999999, 1},
    {F::kOcrConfidence, M::kOcr, "ocr.conf", "", 0, 100, 1},
};

constexpr bool InOrder() {
  if (std::size(kFeatures) != kFeatureCount) return false;
  for (size_t i = 0; i < kFeatureCount; ++i)
    if (static_cast<size_t>(kFeatures[i].feature) != i) return false;
  return true;
}
static_assert(InOrder(), "kFeatures has one row for each Feature, in its order");

}  // namespace

std::string_view ModalityName(Modality modality) {
  constexpr std::string_view kNames[kModalities] = {"voice", "face", "picture", "ocr", "comments"};
  return kNames[static_cast<size_t>(modality)];
}

std::string_view VideoModeName(VideoMode mode) {
  constexpr std::string_view kNames[] = {"absent",         "full",       "reduced",
                                         "no_loop_filter", "key_frames", "audio_only"};
  return kNames[static_cast<size_t>(mode)];
}

std::span<const FeatureInfo> Features() { return kFeatures; }

std::optional<Feature> FeatureByName(std::string_view name) {
  for (const FeatureInfo& info : kFeatures)
    if (info.name == name) return info.feature;
  return std::nullopt;
}

bool MomentValues::Set(Feature feature, double value) {
  if (!std::isfinite(value)) return false;
  const FeatureInfo& info = InfoOf(feature);
  const auto i = static_cast<size_t>(feature);
  values_[i] = static_cast<float>(
      std::clamp(value, static_cast<double>(info.low), static_cast<double>(info.high)));
  measured_.set(i);
  return true;
}

}  // namespace heed::media
