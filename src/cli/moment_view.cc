#include "cli/moment_view.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <optional>

namespace heed::cli {
namespace {

using media::Feature;
using media::Moment;
using media::VoiceFeature;

struct Row {
  const char* label;
  Feature feature;
  float low, high;  // of the curve
};
constexpr Feature Voice(VoiceFeature feature) { return media::FeatureOf(feature); }
constexpr std::array<Row, 12> kRows = {
    {{"loudness", Voice(VoiceFeature::kLoudnessMomentary), -50, -5},
     {"pitch", Voice(VoiceFeature::kF0Median), 60, 400},
     {"pitch range", Voice(VoiceFeature::kF0Range), 0, 12},
     {"speech", Voice(VoiceFeature::kActive), 0, 1},
     {"syllables", Voice(VoiceFeature::kSyllableRate5s), 0, 8},
     {"longest pause", Voice(VoiceFeature::kPauseMax), 0, 1},
     {"music", Voice(VoiceFeature::kMusicLikely), 0, 1},
     {"face", Feature::kFacePresent, 0, 1},
     {"motion", Feature::kMotion, 0, 30},
     {"cuts", Feature::kCut, 0, 3},
     {"close-up", Feature::kCloseupProxy, 0, 1},
     {"price shown", Feature::kOcrPrice, 0, 500}}};

std::string TimeOf(const Moment& moment) {
  return fmt::format("{:02}:{:02}:{:02}", moment.second / 3600, moment.second / 60 % 60,
                     moment.second % 60);
}

std::string Value(const Moment& moment, Feature feature) {
  const std::optional<float> value = moment.values.Get(feature);
  return value ? fmt::format("{:.4g} {}", *value, media::InfoOf(feature).unit) : "-";
}

std::string Curve(const std::deque<Moment>& history, const Row& row) {
  static constexpr std::array<const char*, 8> kBars = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string curve;
  for (const Moment& moment : history) {
    const std::optional<float> value = moment.values.Get(row.feature);
    if (!value) {
      curve += ' ';
      continue;
    }
    const float part = std::clamp((*value - row.low) / (row.high - row.low), 0.0f, 1.0f);
    curve += kBars[static_cast<size_t>(std::lround(part * 7))];
  }
  return curve;
}

void Line(const Moment& moment) {
  std::string line = TimeOf(moment);
  for (const Row& row : kRows) {
    line += fmt::format("  {} {}", row.label, Value(moment, row.feature));
  }
  std::printf("%s  pictures %u\n", line.c_str(), moment.frames);
  std::fflush(stdout);
}

}  // namespace

MomentView::MomentView() : terminal_(isatty(STDOUT_FILENO) == 1) {}

void MomentView::Show(const Moment& moment, const std::string& more) {
  if (!terminal_) return Line(moment);
  history_.push_back(moment);
  if (history_.size() > 60) history_.pop_front();
  if (drawn_) std::printf("\x1b[%zuA", kRows.size() + (more.empty() ? 1 : 2));
  drawn_ = true;
  std::printf("\r\x1b[K%s  epoch %u  pictures %u/s (%s)  lag %.1f s\n", TimeOf(moment).c_str(),
              moment.epoch, moment.frames, moment.mode.c_str(),
              static_cast<double>(moment.lag_ms) / 1e3);
  if (!more.empty()) std::printf("\r\x1b[K%s\n", more.c_str());
  for (const Row& row : kRows) {
    std::printf("\r\x1b[K%-14s %14s  %s\n", row.label, Value(moment, row.feature).c_str(),
                Curve(history_, row).c_str());
  }
  std::fflush(stdout);
}

}  // namespace heed::cli
