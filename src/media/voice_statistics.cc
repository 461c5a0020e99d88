#include "media/voice_statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace heed::media {
namespace {

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
constexpr size_t kFewest = 5;  // frames that a statistic needs

struct Measurement {
  std::string name;
  bool voiced;  // told by voiced frames only
  float (*of)(const VoiceFrame& frame);
};

template <size_t kIndex>
float Cepstrum(const VoiceFrame& frame) {
  return frame.shape.mfcc[kIndex];
}

const std::vector<Measurement>& Measurements() {
  using V = VoiceFrame;
  static const std::vector<Measurement> all = {
      {"f0_st", true, [](const V& f) { return 12 * std::log2(f.f0_hz / 27.5f); }},
      {"hnr_db", true, [](const V& f) { return f.hnr_db; }},
      {"alpha_ratio", true, [](const V& f) { return f.shape.alpha_ratio_db; }},
      {"hammarberg", true, [](const V& f) { return f.shape.hammarberg_db; }},
      {"slope_0_500", true, [](const V& f) { return f.shape.slope_0_500; }},
      {"slope_500_1500", true, [](const V& f) { return f.shape.slope_500_1500; }},
      {"level_db", false, [](const V& f) { return f.shape.level_db; }},
      {"centroid", false, [](const V& f) { return f.shape.centroid_hz; }},
      {"rolloff85", false, [](const V& f) { return f.shape.rolloff85_hz; }},
      {"flux", false, [](const V& f) { return f.shape.flux; }},
      {"flatness", false, [](const V& f) { return std::log(f.shape.flatness + 1e-6f); }},
      {"mfcc1", false, Cepstrum<0>},
      {"mfcc2", false, Cepstrum<1>},
      {"mfcc3", false, Cepstrum<2>},
      {"mfcc4", false, Cepstrum<3>},
      {"mfcc5", false, Cepstrum<4>},
      {"mfcc6", false, Cepstrum<5>},
      {"mfcc7", false, Cepstrum<6>},
      {"mfcc8", false, Cepstrum<7>},
      {"mfcc9", false, Cepstrum<8>},
      {"mfcc10", false, Cepstrum<9>},
      {"mfcc11", false, Cepstrum<10>},
      {"mfcc12", false, Cepstrum<11>},
      {"mfcc13", false, Cepstrum<12>},
  };
  return all;
}

constexpr const char* kStatistics[] = {"mean", "dev", "p20", "p50", "p80", "change"};
constexpr const char* kRhythm[] = {"active_ratio",   "voiced_ratio",   "voiced_runs_s",
                                   "voiced_run_dev", "pause_mean_s",   "f0_rise_st_s",
                                   "f0_fall_st_s",   "level_rise_db_s"};

struct Moments {
  double n = 0, sum = 0, squares = 0;
  void Add(double x) { n += 1, sum += x, squares += x * x; }
  float Mean() const { return n > 0 ? static_cast<float>(sum / n) : kNone; }
  float Deviation() const {
    if (n < 2) return kNone;
    return static_cast<float>(std::sqrt(std::max(squares / n - sum / n * sum / n, 0.0)));
  }
};

void AddMeasurement(const Measurement& m, std::span<const VoiceFrame> frames,
                    std::vector<float>* out) {
  std::vector<float> values;
  Moments level, change;
  bool before = false;  // the frame before this one told, too
  for (const VoiceFrame& frame : frames) {
    if (!frame.active || (m.voiced && frame.f0_hz <= 0)) {
      before = false;
      continue;
    }
    const float value = m.of(frame);
    if (before) change.Add(static_cast<double>(value - values.back()));
    values.push_back(value);
    level.Add(static_cast<double>(value));
    before = true;
  }
  if (values.size() < kFewest) {
    out->insert(out->end(), std::size(kStatistics), kNone);
    return;
  }
  std::sort(values.begin(), values.end());
  const auto quantile = [&](double q) {
    return values[static_cast<size_t>(std::lround(q * static_cast<double>(values.size() - 1)))];
  };
  out->insert(out->end(), {level.Mean(), level.Deviation(), quantile(0.2), quantile(0.5),
                           quantile(0.8), change.Deviation()});
}

void AddRhythm(std::span<const VoiceFrame> frames, std::vector<float>* out) {
  Moments runs, pauses, rise, fall, louder;
  size_t active = 0, voiced = 0, run = 0, pause = 0;
  const auto end_of = [](size_t* length, size_t least, Moments* into) {
    if (*length >= least) into->Add(static_cast<double>(*length) / 100);
    *length = 0;
  };
  for (size_t i = 0; i < frames.size(); ++i) {
    const VoiceFrame& frame = frames[i];
    active += frame.active, voiced += frame.f0_hz > 0;
    frame.f0_hz > 0 ? void(++run) : end_of(&run, 3, &runs);
    !frame.active ? void(++pause) : end_of(&pause, 10, &pauses);
    if (i >= 3 && frame.f0_hz > 0 && frames[i - 3].f0_hz > 0 && frames[i - 1].f0_hz > 0) {
      const double slope =
          12 * std::log2(static_cast<double>(frame.f0_hz / frames[i - 3].f0_hz)) / 0.03;
      (slope > 0 ? rise : fall).Add(slope);
    }
    if (i >= 5 && frame.active && frames[i - 5].active) {
      const double slope =
          static_cast<double>(frame.shape.level_db - frames[i - 5].shape.level_db) / 0.05;
      if (slope > 0) louder.Add(slope);
    }
  }
  end_of(&run, 3, &runs);
  const auto n = static_cast<float>(std::max<size_t>(frames.size(), 1));
  out->insert(out->end(),
              {static_cast<float>(active) / n, static_cast<float>(voiced) / n,
               static_cast<float>(runs.n) * 100 / n, runs.Deviation(),
               pauses.n > 0 ? pauses.Mean() : 0.0f, rise.Mean(), fall.Mean(), louder.Mean()});
}

}  // namespace

size_t VoiceStatisticsCount() {
  return Measurements().size() * std::size(kStatistics) + std::size(kRhythm);
}

std::vector<std::string> VoiceStatisticsNames() {
  std::vector<std::string> names;
  for (const Measurement& m : Measurements()) {
    for (const char* statistic : kStatistics) names.push_back(m.name + "." + statistic);
  }
  names.insert(names.end(), std::begin(kRhythm), std::end(kRhythm));
  return names;
}

std::vector<float> VoiceStatistics(std::span<const VoiceFrame> frames) {
  std::vector<float> out;
  out.reserve(VoiceStatisticsCount());
  for (const Measurement& m : Measurements()) AddMeasurement(m, frames, &out);
  AddRhythm(frames, &out);
  return out;
}

}  // namespace heed::media
