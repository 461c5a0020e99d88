#include "train/learning_health.h"

#include <algorithm>
#include <cmath>

namespace heed::train {

// Before the difference is in the window: its own scale must not depend on it.
bool LearningHealth::Sudden(double difference) {
  if (!(options_.sudden_false_alarms > 0)) return false;
  constexpr double kBet = 0.25;  // near the best for harms of .3 to 3 deviations: docs/learning.md
  const double n = std::max<double>(1, static_cast<double>(window_.size()));
  const double scale = std::sqrt(std::max(0.0, squares_) / n);
  const double bet = kBet / std::max(scale, options_.sudden_min_worse);
  const double u = std::clamp(bet * difference, -1.0, 1.0);
  evidence_ = (evidence_ + 1) * std::exp(u - u * u / 2 - bet * options_.sudden_min_worse);
  const double limit = static_cast<double>(options_.promote_after) / options_.sudden_false_alarms;
  return !(evidence_ < limit);  // NaN is no health either
}

LearningHealth::Verdict LearningHealth::Add(double live_loss, double shadow_loss) {
  const double difference = live_loss - shadow_loss;
  const bool sudden = Sudden(difference);
  window_.push_back(difference);
  sum_ += difference;
  squares_ += difference * difference;
  if (window_.size() > options_.window) {
    sum_ -= window_.front();
    squares_ -= window_.front() * window_.front();
    window_.pop_front();
  }
  ++examples_;
  if (examples_ % options_.window == 0) {
    sum_ = squares_ = 0;
    for (const double d : window_) sum_ += d, squares_ += d * d;
  }
  Verdict verdict = sudden ? Verdict::kRollback : Verdict::kNone;
  sudden_ += sudden ? 1 : 0;
  if (window_.size() >= options_.min_examples && examples_ % options_.check_every == 0) {
    const Summary now = summary();
    const double limit =
        std::max(options_.min_worse, options_.standard_errors * now.standard_error);
    if (!(now.difference <= limit)) verdict = Verdict::kRollback;  // NaN is no health either
  }
  if (verdict == Verdict::kNone && examples_ >= options_.promote_after) verdict = Verdict::kPromote;
  if (verdict == Verdict::kPromote) ++promotions_;
  if (verdict == Verdict::kRollback) ++rollbacks_;
  if (verdict != Verdict::kNone) Restart();
  return verdict;
}

LearningHealth::Summary LearningHealth::summary() const {
  Summary out{
      .examples = examples_, .promotions = promotions_, .rollbacks = rollbacks_, .sudden = sudden_};
  const auto n = static_cast<double>(window_.size());
  if (n < 2) return out;
  out.difference = sum_ / n;
  const double variance = std::max(0.0, squares_ - n * out.difference * out.difference) / (n - 1);
  out.standard_error = std::sqrt(variance / n);
  return out;
}

void LearningHealth::Restart() {
  window_.clear();
  sum_ = squares_ = evidence_ = 0;
  examples_ = 0;
}

void LearningHealth::Write(ByteWriter* out) const {
  out->Varint(window_.size());
  for (const double d : window_) out->Fixed(d);
  out->Fixed(sum_);
  out->Fixed(squares_);
  out->Varint(examples_);
  out->Varint(promotions_);
  out->Varint(rollbacks_);
}

void LearningHealth::Read(ByteReader* in) {
  const uint64_t n = in->Varint();
  if (n > options_.window) return in->Fail();
  window_.clear();
  for (uint64_t i = 0; i < n; ++i) window_.push_back(in->Fixed<double>());
  sum_ = in->Fixed<double>();
  squares_ = in->Fixed<double>();
  examples_ = in->Varint();
  promotions_ = in->Varint();
  rollbacks_ = in->Varint();
}

void LearningHealth::WriteSudden(ByteWriter* out) const {
  out->Fixed(evidence_);
  out->Varint(sudden_);
}

void LearningHealth::ReadSudden(ByteReader* in) {
  evidence_ = in->Fixed<double>();
  sudden_ = in->Varint();
}

}  // namespace heed::train
