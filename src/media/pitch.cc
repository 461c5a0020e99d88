#include "media/pitch.h"

#include <algorithm>
#include <cmath>

namespace heed::media {
namespace {

constexpr int kWindow = 480;              // samples compared with each other, 30 ms
constexpr int kLongest = kRate / 55 + 1;  // lag of the lowest voice
constexpr int kShortest = kRate / 500;    // of the highest
constexpr int kProbe = 8;                 // shortest lag looked at: tones up to 2 kHz
constexpr float kTone = 0.1f;             // a dip this deep at a lag below kShortest is a tone's
static_assert((kWindow + kLongest + 2) / 2 <= kPitchWindow / 2);

// Costs of the path, in units of aperiodicity. Chosen on synthetic speech against Praat.
constexpr float kUnvoiced = 0.35f;  // of a frame without a voice
constexpr float kOctave = 0.02f;    // per octave below the highest voice: the shortest period wins
constexpr float kSwitch = 0.14f;    // between voiced and not
constexpr float kJump = 0.35f;      // per octave between neighbours
constexpr float kKept = 0.8f;       // candidates less periodic than this are not kept

// sum_j (x[j] - x[j + lag])^2, eight sums side by side so that the compiler may use vectors: the order
// of additions is then the same on every machine.
float Difference(const float* x, int lag) {
  std::array<float, 8> sums{};
  static_assert(kWindow % 8 == 0);
  for (int j = 0; j < kWindow; j += 8) {
    for (int k = 0; k < 8; ++k) {
      const float d = x[j + k] - x[j + k + lag];
      sums[static_cast<size_t>(k)] += d * d;
    }
  }
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

const float* Start(std::span<const float, kPitchWindow> window, int lag) {
  return window.data() + (kPitchWindow - kWindow - lag) / 2;
}

// 10 log10(r / (1 - r)) with r the normalised correlation at the lag.
float HarmonicsToNoise(const float* x, int lag) {
  double product = 0, first = 0, second = 0;
  for (int j = 0; j < kWindow; ++j) {
    const double a = static_cast<double>(x[j]), b = static_cast<double>(x[j + lag]);
    product += a * b, first += a * a, second += b * b;
  }
  const double r = std::clamp(product / std::sqrt(first * second + 1e-20), 1e-4, 1.0 - 1e-4);
  return static_cast<float>(10.0 * std::log10(r / (1.0 - r)));
}

}  // namespace

void FindPitch(std::span<const float, kPitchWindow> window, PitchFrame* frame) {
  frame->count = 0;
  std::array<float, kLongest + 2> d{}, normal{};
  float total = 0;
  for (int lag = 1; lag < kLongest + 2; ++lag) {
    const auto i = static_cast<size_t>(lag);
    d[i] = Difference(Start(window, lag), lag);
    total += d[i];
    normal[i] = total > 0 ? d[i] * static_cast<float>(lag) / total : 1.0f;
  }
  float best = kKept;
  for (int lag = kShortest; lag <= kLongest; ++lag) {
    best = std::min(best, normal[static_cast<size_t>(lag)]);
  }
  for (int lag = kProbe; lag < kShortest - 1; ++lag) {
    const auto i = static_cast<size_t>(lag);
    if (normal[i] < kTone && normal[i] <= normal[i - 1] && normal[i] <= normal[i + 1] &&
        normal[i] < best + kTone) {
      return;
    }
  }
  for (int lag = kShortest; lag <= kLongest; ++lag) {
    const auto i = static_cast<size_t>(lag);
    if (!(normal[i] < kKept) || normal[i] > normal[i - 1] || normal[i] >= normal[i + 1]) continue;
    // The parabola through the difference function itself: the normalised one leans.
    const float curve = d[i - 1] - 2 * d[i] + d[i + 1];
    const float shift =
        curve > 0 ? std::clamp(0.5f * (d[i - 1] - d[i + 1]) / curve, -0.5f, 0.5f) : 0.0f;
    const float dip = normal[i] - 0.25f * (normal[i - 1] - normal[i + 1]) * shift;
    const PitchCandidate found{static_cast<float>(kRate) / (static_cast<float>(lag) + shift),
                               std::max(dip, 0.0f), 0};
    const auto weight = [](const PitchCandidate& c) {
      return c.aperiodicity - kOctave * std::log2(c.f0_hz);
    };
    if (frame->count < kMostCandidates) {
      frame->candidates[frame->count++] = found;
    } else {
      const auto worst =
          std::max_element(frame->candidates.begin(), frame->candidates.end(),
                           [&](const auto& a, const auto& b) { return weight(a) < weight(b); });
      if (weight(found) < weight(*worst)) *worst = found;
    }
  }
  for (size_t i = 0; i < frame->count; ++i) {
    const int lag =
        static_cast<int>(std::lround(static_cast<float>(kRate) / frame->candidates[i].f0_hz));
    frame->candidates[i].hnr_db = HarmonicsToNoise(Start(window, lag), lag);
  }
}

void PitchPath::Add(const PitchFrame& frame) {
  Step step{.frame = frame, .cost = {}, .from = {}};
  const Step* last = steps_.empty() ? nullptr : &steps_.back();
  constexpr size_t kSilent = kMostCandidates;  // the state "not voiced"
  float least = 1e30f;
  for (size_t state = 0; state <= kSilent; ++state) {
    if (state >= frame.count && state != kSilent) {
      step.cost[state] = 1e30f;
      continue;
    }
    const PitchCandidate& here = frame.candidates[std::min(state, kMostCandidates - 1)];
    const float own = state == kSilent ? (frame.quiet ? 0.0f : kUnvoiced)
                      : frame.quiet    ? 1.0f
                                       : here.aperiodicity + kOctave * std::log2(500 / here.f0_hz);
    float before = last == nullptr ? 0.0f : 1e30f;
    for (size_t from = 0; last != nullptr && from <= kSilent; ++from) {
      if (from >= last->frame.count && from != kSilent) continue;
      float cost = last->cost[from];
      if ((from == kSilent) != (state == kSilent)) {
        cost += kSwitch;
      } else if (state != kSilent) {
        cost += kJump * std::abs(std::log2(here.f0_hz / last->frame.candidates[from].f0_hz));
      }
      if (cost < before) before = cost, step.from[state] = static_cast<uint8_t>(from);
    }
    step.cost[state] = own + before;
    least = std::min(least, step.cost[state]);
  }
  for (float& cost : step.cost) cost = cost < 1e29f ? cost - least : cost;  // never grows
  steps_.push_back(step);
}

std::vector<PitchCandidate> PitchPath::Best(size_t frames) const {
  std::vector<PitchCandidate> path(std::min(frames, steps_.size()));
  if (path.empty()) return path;
  const auto& ends = steps_.back().cost;
  auto state = static_cast<size_t>(std::min_element(ends.begin(), ends.end()) - ends.begin());
  for (size_t back = 0; back < path.size(); ++back) {
    const Step& step = steps_[steps_.size() - 1 - back];
    if (state < step.frame.count) path[path.size() - 1 - back] = step.frame.candidates[state];
    state = step.from[state];
  }
  return path;
}

void PitchPath::Forget(size_t keep) {
  while (steps_.size() > keep) steps_.pop_front();
}

void PitchPath::Reset() { steps_.clear(); }

}  // namespace heed::media
