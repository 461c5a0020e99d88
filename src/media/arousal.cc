#include "media/arousal.h"

#include <algorithm>
#include <cmath>

namespace heed::media {
namespace {

constexpr size_t kFewest = 30;
constexpr float kSpeech = 0.3f;  // share of a second that is active
constexpr float kMusic = 0.5f;

}  // namespace

void RobustScale::Add(float value) {
  recent_.push_back(value);
  sorted_.insert(std::upper_bound(sorted_.begin(), sorted_.end(), value), value);
  if (recent_.size() > window_) {
    sorted_.erase(std::lower_bound(sorted_.begin(), sorted_.end(), recent_.front()));
    recent_.pop_front();
  }
}

std::optional<double> RobustScale::Score(float value) const {
  if (sorted_.size() < kFewest) return std::nullopt;
  const size_t half = sorted_.size() / 2;
  const float median = sorted_[half];
  std::vector<float> away;
  away.reserve(sorted_.size());
  for (const float v : sorted_) away.push_back(std::abs(v - median));
  std::nth_element(away.begin(), away.begin() + static_cast<ptrdiff_t>(half), away.end());
  const double spread = 1.4826 * static_cast<double>(away[half]);  // a normal's standard deviation
  const double distance = static_cast<double>(value) - static_cast<double>(median);
  return std::clamp(distance / std::max(spread, 1e-6), -4.0, 4.0);
}

void ArousalProxy::Update(VoiceSecond* second) {
  using F = VoiceFeature;
  const VoiceSecond& s = *second;
  if (!options_.enabled || s[F::kActive].value_or(0) < kSpeech ||
      s[F::kMusicLikely].value_or(1) > kMusic) {
    return;
  }
  const std::array<std::pair<F, double>, 5> parts = {{{F::kF0Median, options_.f0_median},
                                                      {F::kF0Range, options_.f0_range},
                                                      {F::kLoudnessShortTerm, options_.loudness},
                                                      {F::kSyllableRate, options_.syllable_rate},
                                                      {F::kAlphaRatio, options_.alpha_ratio}}};
  double sum = 0, weights = 0;
  size_t measured = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto& [feature, weight] = parts[i];
    const std::optional<float> value = s[feature];
    if (!value) continue;
    if (const std::optional<double> score = scales_[i].Score(*value)) {
      sum += weight * *score;
      weights += std::abs(weight);
      ++measured;
    }
    scales_[i].Add(*value);
  }
  if (measured >= 3 && weights > 0) second->Set(F::kArousalProxy, sum / weights);
}

}  // namespace heed::media
