#include "media/worker/timeline.h"

#include <algorithm>

namespace heed::media {
namespace {

constexpr int64_t kSecond = 1000000;
constexpr int64_t kForward = 2 * kSecond;   // further ahead of everything is a jump
constexpr int64_t kBackward = kSecond / 2;  // further back than its own last is one
constexpr int64_t kNear = 3 * kSecond;      // a stream this near has followed
constexpr int kPatience = 500;              // packets that a stream may lag behind a jump

}  // namespace

Timeline::Verdict Timeline::OnPacket(size_t index, int64_t dts_us) {
  if (streams_.size() <= index) streams_.resize(index + 1);
  Stream& stream = streams_[index];
  if (!have_start_) SetStart(dts_us);
  if (!stream.follows) {
    const int64_t away = dts_us > latest_us_ ? dts_us - latest_us_ : latest_us_ - dts_us;
    if (away > kNear && ++stream.dropped < kPatience) return Verdict::kDrop;
    if (away <= kNear) stream.last_us = dts_us;
    stream.follows = true;
    stream.dropped = 0;
  }
  const bool jump = any_ && (dts_us > latest_us_ + kForward ||
                             (stream.seen && dts_us < stream.last_us - kBackward));
  if (jump) {
    const int64_t ends = ToBase(latest_us_);
    base_us_ = ends >= 0 ? (ends + kSecond - 1) / kSecond * kSecond : 0;  // no second mixes epochs
    start_us_ = dts_us;
    ++epoch_;
    for (Stream& other : streams_) other.follows = &other == &stream || !other.seen;
    latest_us_ = dts_us;
  }
  latest_us_ = any_ ? std::max(latest_us_, dts_us) : dts_us;
  any_ = true;
  stream.last_us = dts_us;
  stream.seen = true;
  return jump ? Verdict::kJump : Verdict::kKeep;
}

}  // namespace heed::media
