// From frames to the numbers of one second.
#include <algorithm>
#include <cmath>
#include <functional>

#include "media/voice.h"

namespace heed::media {
namespace {

constexpr size_t kSecond = 100;    // frames
constexpr size_t kFewVoiced = 10;  // frames that a median of pitch needs
constexpr size_t kFewForSlope = 20;
constexpr size_t kPause = 15;  // frames of no voice that count as a pause
// Syllable nuclei after de Jong & Wempe 2009: voiced peaks of a smoothed level between dips.
constexpr double kDipDb = 1.5;
constexpr double kBelowLoudestDb = 25;  // a peak further below the loudest is none
constexpr size_t kSmooth = 4;           // frames on either side: 90 ms

// Of sorted values, by linear interpolation.
double Quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto i = static_cast<size_t>(at);
  const double part = at - static_cast<double>(i);
  return i + 1 < sorted.size() ? sorted[i] * (1 - part) + sorted[i + 1] * part : sorted[i];
}

void Level(std::span<const VoiceFrame> frames, VoiceSecond* out) {
  std::vector<double> levels;
  double power = 0;
  size_t held = 0;
  for (const VoiceFrame& frame : frames) {
    if (!frame.heard) continue;
    levels.push_back(static_cast<double>(frame.shape.level_db));
    power += std::pow(10.0, levels.back() / 10);
    held += frame.held;
  }
  std::sort(levels.begin(), levels.end());
  out->Set(VoiceFeature::kLevel, 10 * std::log10(power / static_cast<double>(levels.size())));
  out->Set(VoiceFeature::kDynamicRange, Quantile(levels, 0.95) - Quantile(levels, 0.05));
  out->Set(VoiceFeature::kMusicLikely,
           static_cast<double>(held) / static_cast<double>(levels.size()));
}

void Pauses(std::span<const VoiceFrame> frames, VoiceSecond* out) {
  size_t heard = 0, active = 0, run = 0, longest = 0, pauses = 0;
  for (const VoiceFrame& frame : frames) {
    if (!frame.heard) continue;  // what was not heard neither ends nor lengthens a pause
    ++heard;
    const bool speaks = frame.active && !frame.held;
    active += speaks;
    run = speaks ? 0 : run + 1;
    longest = std::max(longest, run);
    pauses += run == kPause;
  }
  out->Set(VoiceFeature::kActive, static_cast<double>(active) / static_cast<double>(heard));
  out->Set(VoiceFeature::kPauseMax, static_cast<double>(longest) / kSecond);
  out->Set(VoiceFeature::kPauseCount, static_cast<double>(pauses));
}

void Pitch(std::span<const VoiceFrame> frames, VoiceSecond* out) {
  std::vector<double> f0;
  size_t heard = 0;
  double hnr = 0, n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (size_t i = 0; i < frames.size(); ++i) {
    const VoiceFrame& frame = frames[i];
    heard += frame.heard;
    if (!frame.heard || frame.f0_hz <= 0) continue;
    f0.push_back(static_cast<double>(frame.f0_hz));
    hnr += static_cast<double>(frame.hnr_db);
    const double x = static_cast<double>(i) / kSecond, y = 12 * std::log2(f0.back());
    n += 1, sx += x, sy += y, sxx += x * x, sxy += x * y;
  }
  out->Set(VoiceFeature::kVoicedRatio, static_cast<double>(f0.size()) / static_cast<double>(heard));
  if (f0.size() < kFewVoiced) return;
  std::sort(f0.begin(), f0.end());
  const double low = Quantile(f0, 0.2), high = Quantile(f0, 0.8);
  out->Set(VoiceFeature::kF0Median, Quantile(f0, 0.5));
  out->Set(VoiceFeature::kF0Low, low);
  out->Set(VoiceFeature::kF0High, high);
  out->Set(VoiceFeature::kF0Range, 12 * std::log2(high / low));
  out->Set(VoiceFeature::kHarmonicsToNoise, hnr / n);
  if (f0.size() >= kFewForSlope) {
    out->Set(VoiceFeature::kF0Slope, (n * sxy - sx * sy) / (n * sxx - sx * sx));
  }
}

// Means over the frames that carry a voice, or at least a sound.
void Spectrum(std::span<const VoiceFrame> frames, VoiceSecond* out) {
  const auto mean = [&](VoiceFeature feature, bool voiced,
                        const std::function<float(const SpectralShape&)>& of) {
    double sum = 0, n = 0;
    for (const VoiceFrame& frame : frames) {
      if (!frame.heard || !frame.active || (voiced && frame.f0_hz <= 0)) continue;
      sum += static_cast<double>(of(frame.shape));
      n += 1;
    }
    if (n >= static_cast<double>(kFewVoiced)) out->Set(feature, sum / n);
  };
  using S = SpectralShape;
  mean(VoiceFeature::kCentroid, false, [](const S& s) { return s.centroid_hz; });
  mean(VoiceFeature::kRolloff, false, [](const S& s) { return s.rolloff85_hz; });
  mean(VoiceFeature::kFlux, false, [](const S& s) { return s.flux; });
  mean(VoiceFeature::kFlatness, false, [](const S& s) { return s.flatness; });
  mean(VoiceFeature::kAlphaRatio, true, [](const S& s) { return s.alpha_ratio_db; });
  mean(VoiceFeature::kHammarberg, true, [](const S& s) { return s.hammarberg_db; });
  mean(VoiceFeature::kSlopeLow, true, [](const S& s) { return s.slope_0_500; });
  mean(VoiceFeature::kSlopeMiddle, true, [](const S& s) { return s.slope_500_1500; });
  mean(VoiceFeature::kMfcc1, false, [](const S& s) { return s.mfcc[0]; });
  mean(VoiceFeature::kMfcc2, false, [](const S& s) { return s.mfcc[1]; });
  mean(VoiceFeature::kMfcc3, false, [](const S& s) { return s.mfcc[2]; });
  mean(VoiceFeature::kMfcc4, false, [](const S& s) { return s.mfcc[3]; });
}

// Nuclei that peak within frames [first, first + kSecond).
int CountSyllables(std::span<const VoiceFrame> frames, size_t first) {
  std::vector<double> level(frames.size());
  double loudest = -90;
  for (size_t i = 0; i < frames.size(); ++i) {
    double sum = 0;
    const size_t begin = i < kSmooth ? 0 : i - kSmooth;
    const size_t end = std::min(i + kSmooth + 1, frames.size());
    for (size_t j = begin; j < end; ++j) {
      sum += frames[j].heard ? static_cast<double>(frames[j].shape.level_db) : -90.0;
    }
    level[i] = sum / static_cast<double>(end - begin);
    loudest = std::max(loudest, level[i]);
  }
  int count = 0;
  bool rising = true;
  size_t extreme = 0;  // of the level since the last turn
  for (size_t i = 1; i < frames.size(); ++i) {
    if (rising ? level[i] > level[extreme] : level[i] < level[extreme]) {
      extreme = i;
    } else if (std::abs(level[i] - level[extreme]) >= kDipDb) {
      const VoiceFrame& peak = frames[extreme];
      count += rising && extreme >= first && extreme < first + kSecond && peak.f0_hz > 0 &&
               peak.active && !peak.held && level[extreme] > loudest - kBelowLoudestDb;
      rising = !rising;
      extreme = i;
    }
  }
  return count;
}

}  // namespace

std::optional<int> SummarizeVoice(std::span<const VoiceFrame> frames, size_t first,
                                  VoiceSecond* second) {
  const std::span<const VoiceFrame> own = frames.subspan(first, kSecond);
  const auto heard =
      std::count_if(own.begin(), own.end(), [](const VoiceFrame& f) { return f.heard; });
  second->cover = static_cast<float>(heard) / static_cast<float>(kSecond);
  if (heard < static_cast<ptrdiff_t>(kSecond / 2)) return std::nullopt;
  Level(own, second);
  Pauses(own, second);
  Pitch(own, second);
  Spectrum(own, second);
  const int nuclei = CountSyllables(frames, first);
  second->Set(VoiceFeature::kSyllableRate, nuclei / static_cast<double>(second->cover));
  return nuclei;
}

}  // namespace heed::media
