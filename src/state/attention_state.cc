#include "state/attention_state.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace heed::state {

namespace {
constexpr double kNothing = -std::numeric_limits<double>::infinity();
}

AttentionState::AttentionState(size_t width, double decay_per_s)
    : decay_per_s_(decay_per_s), max_(kNothing), weighted_sum_(width) {
  assert(decay_per_s >= 0);
}

double AttentionState::Faded(int64_t from_ms, int64_t to_ms) const {
  return decay_per_s_ * static_cast<double>(to_ms - from_ms) / 1000.0;
}

// All weights fade alike, so only the maximum moves.
void AttentionState::MoveTo(int64_t time_ms) {
  if (items_ > 0) max_ -= Faded(time_ms_, time_ms);
  time_ms_ = time_ms;
}

void AttentionState::RaiseTo(double score) {
  if (score <= max_) return;
  const double factor = std::exp(max_ - score);  // 0 while there are no items
  sum_ *= factor;
  for (double& v : weighted_sum_) v *= factor;
  max_ = score;
}

void AttentionState::Add(int64_t time_ms, double score, std::span<const float> value) {
  assert(value.size() == width() && !std::isnan(score) && score < -kNothing);
  if (score == kNothing) return;
  if (items_ == 0 || time_ms > time_ms_) {
    MoveTo(time_ms);
  } else {
    score -= Faded(time_ms, time_ms_);
  }
  RaiseTo(score);
  const double weight = std::exp(score - max_);
  sum_ += weight;
  for (size_t i = 0; i < value.size(); ++i)
    weighted_sum_[i] += weight * static_cast<double>(value[i]);
  ++items_;
}

void AttentionState::Merge(const AttentionState& other) {
  assert(other.width() == width() && other.decay_per_s_ == decay_per_s_);
  if (other.items_ == 0) return;
  if (items_ == 0 || other.time_ms_ > time_ms_) MoveTo(other.time_ms_);
  const double theirs = other.max_ - Faded(other.time_ms_, time_ms_);
  RaiseTo(theirs);
  const double factor = std::exp(theirs - max_);
  sum_ += factor * other.sum_;
  for (size_t i = 0; i < width(); ++i) weighted_sum_[i] += factor * other.weighted_sum_[i];
  items_ += other.items_;
}

double AttentionState::Read(int64_t time_ms, double null_score, std::span<float> y) const {
  assert(y.size() == width());
  if (items_ == 0) {
    std::fill(y.begin(), y.end(), 0.0f);
    return 0.0;
  }
  assert(time_ms >= time_ms_);
  // Both sides relative to the larger one, so that neither overflows.
  const double now = max_ - Faded(time_ms_, time_ms);
  const double top = std::max(now, null_score);
  const double items = sum_ * std::exp(now - top), null = std::exp(null_score - top);
  const double share = std::exp(now - top) / (items + null);
  for (size_t i = 0; i < y.size(); ++i) y[i] = static_cast<float>(share * weighted_sum_[i]);
  return items / (items + null);
}

}  // namespace heed::state
