#include "train/learning_guards.h"

#include <algorithm>
#include <cmath>

namespace heed::train {

InfluenceCap::InfluenceCap(double share, uint32_t window)
    : window_(window),
      most_(share >= 1.0
                ? window
                : std::max(1u, static_cast<uint32_t>(share * static_cast<double>(window)))) {}

bool InfluenceCap::Admit(uint64_t key) {
  if (most_ >= window_) return true;
  if (seen_.size() == window_) {
    const auto [old, admitted] = seen_.front();
    seen_.pop_front();
    if (admitted && --admitted_[old] == 0) admitted_.erase(old);
  }
  uint32_t& count = admitted_[key];
  const bool admit = count < most_;
  count += admit ? 1 : 0;
  refused_ += admit ? 0 : 1;
  seen_.emplace_back(key, admit);
  return admit;
}

void InfluenceCap::Write(ByteWriter* out) const {
  out->Varint(refused_);
  out->Varint(seen_.size());
  for (const auto& [key, admitted] : seen_) {
    out->Fixed(key);
    out->Fixed(static_cast<uint8_t>(admitted));
  }
}

void InfluenceCap::Read(ByteReader* in) {
  refused_ = in->Varint();
  const uint64_t n = in->Varint();
  if (n > window_) return in->Fail();
  seen_.clear();
  admitted_.clear();
  for (uint64_t i = 0; i < n; ++i) {
    const auto key = in->Fixed<uint64_t>();
    const bool admitted = in->Fixed<uint8_t>() != 0;
    seen_.emplace_back(key, admitted);
    if (admitted) ++admitted_[key];
  }
}

LabelRateGuard::LabelRateGuard(const LabelRateOptions& options, size_t tasks)
    : options_(options), heads_(tasks) {}

double LabelRateGuard::Bound(const Head& head, double n, bool upper) const {
  const double rate =
      upper ? std::min(1.0, head.rate * options_.factor) : head.rate / options_.factor;
  const double reach = options_.deviations * std::sqrt(n * rate * (1 - rate));
  return upper ? n * rate + reach : n * rate - reach;
}

void LabelRateGuard::Shown(uint64_t id) {
  shown_.emplace_back(id, 0);
  if (shown_.size() <= options_.window) return;
  for (size_t task = 0; task < heads_.size(); ++task) {
    heads_[task].positives -= static_cast<uint32_t>(shown_.front().second >> task & 1);
  }
  shown_.pop_front();
}

bool LabelRateGuard::Positive(uint64_t id, size_t task) {
  const auto found =
      std::lower_bound(shown_.begin(), shown_.end(), std::make_pair(id, uint64_t{0}));
  if (found == shown_.end() || found->first != id || (found->second >> task & 1) != 0) return false;
  found->second |= uint64_t{1} << task;
  Head& head = heads_[task];
  ++head.positives;
  if (head.matured < options_.min_matured) return false;
  return head.positives > Bound(head, static_cast<double>(options_.window), true);
}

bool LabelRateGuard::Matured(size_t task, bool positive) {
  Head& head = heads_[task];
  ++head.matured;
  // The mean of all until there are more than the horizon remembers.
  const auto known = static_cast<double>(std::min<uint64_t>(head.matured, options_.horizon));
  head.rate += ((positive ? 1.0 : 0.0) - head.rate) / known;
  head.recent.push_back(positive);
  head.recent_positives += positive ? 1 : 0;
  if (head.recent.size() > options_.window) {
    head.recent_positives -= head.recent.front() ? 1 : 0;
    head.recent.pop_front();
  }
  if (head.matured < options_.min_matured || head.recent.size() < options_.window) return false;
  return head.recent_positives < Bound(head, static_cast<double>(options_.window), false);
}

void LabelRateGuard::Restart() {
  shown_.clear();
  for (Head& head : heads_) {
    head.positives = head.recent_positives = 0;
    head.recent.clear();
  }
}

void LabelRateGuard::Write(ByteWriter* out) const {
  out->Varint(shown_.size());
  for (const auto& [id, tasks] : shown_) {
    out->Fixed(id);
    out->Fixed(tasks);
  }
  for (const Head& head : heads_) {
    out->Fixed(head.rate);
    out->Varint(head.matured);
    out->Varint(head.recent.size());
    for (const bool positive : head.recent) out->Fixed(static_cast<uint8_t>(positive));
  }
}

void LabelRateGuard::Read(ByteReader* in) {
  Restart();
  const uint64_t n = in->Varint();
  if (n > options_.window) return in->Fail();
  for (uint64_t i = 0; i < n; ++i) {
    const auto id = in->Fixed<uint64_t>();
    const auto tasks = in->Fixed<uint64_t>();
    shown_.emplace_back(id, tasks);
    for (size_t task = 0; task < heads_.size(); ++task) {
      heads_[task].positives += static_cast<uint32_t>(tasks >> task & 1);
    }
  }
  for (Head& head : heads_) {
    head.rate = in->Fixed<double>();
    head.matured = in->Varint();
    const uint64_t recent = in->Varint();
    if (recent > options_.window) return in->Fail();
    for (uint64_t i = 0; i < recent; ++i) {
      head.recent.push_back(in->Fixed<uint8_t>() != 0);
      head.recent_positives += head.recent.back() ? 1 : 0;
    }
  }
}

}  // namespace heed::train
