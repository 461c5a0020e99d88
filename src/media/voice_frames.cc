#include "media/voice_frames.h"

#include <algorithm>
#include <cmath>

namespace heed::media {
namespace {

constexpr float kQuietDb = -55;     // below: no voice
constexpr float kAboveNoiseDb = 6;  // a voice is this far over the running floor
constexpr float kBelowPeakDb = 35;  // and not further under the running ceiling
constexpr float kPeriodic = 0.4f;   // aperiodicity below: voiced enough
constexpr float kPeaked = 0.3f;     // flatness below: not noise
constexpr int kHangover = 8;        // frames that stay active after the last one that looks so
constexpr int kHeld = 30;           // frames of standing still that make a held tone
constexpr size_t kApart = 10;       // frames between the spectra compared
constexpr float kAlike = 0.95f;     // cosine of spectra that stand still
constexpr float kSteadyDb = 3;      // and their levels differ by no more

}  // namespace

void VoiceFrameAnalyzer::Add(std::span<const float, kHop> block, std::vector<VoiceFrame>* done) {
  std::copy(window_.begin() + kHop, window_.end(), window_.begin());
  std::copy(block.begin(), block.end(), window_.end() - kHop);
  if (++blocks_ > 2) Measure();
  if (undecided_.size() >= 2 * kLookAhead) DecideAllBut(kLookAhead, done);
}

void VoiceFrameAnalyzer::End(std::vector<VoiceFrame>* done) {
  const std::array<float, kHop> silence{};
  for (int i = 0; i < 2 && blocks_ > 0; ++i) Add(silence, done);
  DecideAllBut(0, done);
  window_.fill(0);
  blocks_ = 0;
  spectrum_.Reset();
  path_.Reset();
  hangover_ = still_ = 0;
  past_.clear();
}

void VoiceFrameAnalyzer::Measure() {
  constexpr size_t kMargin = (kPitchWindow - kSpectrumWindow) / 2;
  VoiceFrame frame{.heard = true};
  frame.shape = spectrum_.Analyze(
      std::span<const float, kSpectrumWindow>(window_.data() + kMargin, kSpectrumWindow));
  PitchFrame pitch;
  pitch.quiet = frame.shape.level_db < kQuietDb;
  if (!pitch.quiet) FindPitch(window_, &pitch);
  path_.Add(pitch);
  frame.active = LooksLikeVoice(frame.shape, pitch);
  frame.held = StandsStill(frame.shape.level_db) && !pitch.quiet;
  undecided_.push_back(frame);
}

bool VoiceFrameAnalyzer::LooksLikeVoice(const SpectralShape& shape, const PitchFrame& pitch) {
  const float level = shape.level_db;
  peak_db_ = level > peak_db_ ? level : std::max(peak_db_ - 0.03f, kQuietDb);
  noise_db_ += level < noise_db_ ? 0.3f * (level - noise_db_) : 0.03f;
  noise_db_ = std::min(noise_db_, peak_db_ - 20);
  bool periodic = false;
  for (size_t i = 0; i < pitch.count; ++i) {
    periodic |= pitch.candidates[i].aperiodicity < kPeriodic;
  }
  if (level > kQuietDb && level > noise_db_ + kAboveNoiseDb && level > peak_db_ - kBelowPeakDb &&
      (periodic || shape.flatness < kPeaked)) {
    hangover_ = kHangover;
    return true;
  }
  return hangover_ > 0 && hangover_-- > 0;
}

bool VoiceFrameAnalyzer::StandsStill(float level_db) {
  Past now{spectrum_.magnitudes(), level_db};
  std::array<float, kBins>& unit = now.unit;
  float squares = 1e-12f;
  for (const float m : unit) squares += m * m;
  for (float& m : unit) m /= std::sqrt(squares);
  float alike = 0;
  if (past_.size() == kApart) {
    const Past& then = past_.front();
    for (size_t b = 0; b < unit.size(); ++b) alike += unit[b] * then.unit[b];
    if (std::abs(level_db - then.level_db) > kSteadyDb) alike = 0;
    past_.pop_front();
  }
  past_.push_back(now);
  still_ = alike > kAlike ? still_ + 1 : 0;
  return still_ >= kHeld;
}

void VoiceFrameAnalyzer::DecideAllBut(size_t last, std::vector<VoiceFrame>* done) {
  const std::vector<PitchCandidate> path = path_.Best(undecided_.size());
  for (size_t i = 0; undecided_.size() > last; ++i) {
    VoiceFrame& frame = undecided_.front();
    frame.f0_hz = path[i].f0_hz;
    frame.hnr_db = path[i].hnr_db;
    done->push_back(frame);
    undecided_.pop_front();
  }
  path_.Forget(last);
}

}  // namespace heed::media
