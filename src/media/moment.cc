#include "media/moment.h"

#include <algorithm>
#include <cmath>

namespace heed::media {
namespace {

using F = Feature;
using M = Modality;

constexpr MomentFeatureInfo kOwn[] = {
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
    {F::kCommentRate, M::kComments, "comments.rate", "1/s", 0, 100000, 0.05f},
    {F::kCommentViewers, M::kComments, "comments.viewers", "n", 0, 1000000, 0.5f},
    {F::kCommentQuestionShare, M::kComments, "comments.question_share", "ratio", 0, 1, 0.02f},
    {F::kCommentSentiment, M::kComments, "comments.sentiment", "", -1, 1, 0.02f},
};

std::array<MomentFeatureInfo, kFeatureCount> AllFeatures() {
  static_assert(std::size(kOwn) == kFeatureCount - kVoiceFeatures, "a row for each Feature");
  std::array<MomentFeatureInfo, kFeatureCount> all;
  for (size_t i = 0; i < kVoiceFeatures; ++i) {
    const FeatureInfo& info = Info(static_cast<VoiceFeature>(i));
    all[i] = {.feature = static_cast<Feature>(i),
              .modality = Modality::kVoice,
              .name = info.name,
              .unit = info.unit,
              .low = info.low,
              .high = info.high,
              .resolution = (info.high - info.low) / 1000};
  }
  std::copy(std::begin(kOwn), std::end(kOwn), all.begin() + kVoiceFeatures);
  return all;
}

}  // namespace

std::string_view ModalityName(Modality modality) {
  constexpr std::string_view kNames[kModalities] = {"voice", "face", "picture", "ocr", "comments"};
  return kNames[static_cast<size_t>(modality)];
}

std::span<const MomentFeatureInfo> Features() {
  static const std::array<MomentFeatureInfo, kFeatureCount> kAll = AllFeatures();
  return kAll;
}

std::optional<Feature> FeatureByName(std::string_view name) {
  for (const MomentFeatureInfo& info : Features())
    if (info.name == name) return info.feature;
  return std::nullopt;
}

std::span<const Feature> Proxies() {
  static constexpr std::array kProxies = {FeatureOf(VoiceFeature::kArousalProxy), F::kSmileProxy};
  return kProxies;
}

void AddTo(const VoiceSecond& second, Moment* moment) {
  for (size_t i = 0; i < kVoiceFeatures; ++i)
    if (const auto value = second.values[i]) moment->values.Set(static_cast<Feature>(i), *value);
  moment->of(Modality::kVoice) = {.ok = second.cover > 0, .cover = second.cover, .age_ms = 0};
  if (second.cover <= 0) moment->of(Modality::kVoice).age_ms = -1;
}

bool MomentValues::Set(Feature feature, double value) {
  const MomentFeatureInfo& info = InfoOf(feature);
  if (!std::isfinite(value)) return false;
  return SetUnbounded(
      feature, std::clamp(value, static_cast<double>(info.low), static_cast<double>(info.high)));
}

bool MomentValues::SetUnbounded(Feature feature, double value) {
  const auto as_float = static_cast<float>(value);
  if (!std::isfinite(as_float)) return false;
  values_[static_cast<size_t>(feature)] = as_float;
  measured_.set(static_cast<size_t>(feature));
  return true;
}

void MomentValues::Clear(Feature feature) {
  values_[static_cast<size_t>(feature)] = 0;
  measured_.reset(static_cast<size_t>(feature));
}

}  // namespace heed::media
