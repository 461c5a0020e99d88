#include "engine/room_moments.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace heed::engine {
namespace {

constexpr int64_t kSecondMs = 1'000;

uint64_t BytesOf(const Embedding& item) { return item.vector.size() * sizeof(float); }

}  // namespace

void WithoutProxies(media::Moment* moment) {
  for (const media::Feature feature : media::Proxies()) {
    moment->values.Clear(feature);
    moment->z.Clear(feature);
  }
}

Status RoomMoments::Begin(std::string_view feed, int64_t now_ms) {
  if (feed != feed_) {
    // Two that take turns would each begin the broadcast anew with every request.
    if (last_ && now_ms - fed_ms_ < kAliveMs) {
      return {Code::kConflict,
              "another feed sent moments of this room within the last 5 s; one feeds a room"};
    }
    feed_ = feed;
    last_.reset();
    stream_.reset();
  }
  fed_ms_ = now_ms;
  return {};
}

void RoomMoments::Add(media::Moment moment, int64_t now_ms, TakenCounts* counts,
                      const std::optional<model::MomentAudience>& audience) {
  Trim(now_ms);
  const std::pair key(moment.epoch, moment.second);
  if (last_ && key <= *last_) {
    const bool known = std::any_of(moments_.begin(), moments_.end(), [&](const KeptMoment& kept) {
      return kept.moment.epoch == moment.epoch && kept.moment.second == moment.second;
    });
    ++(known || key == *last_ ? counts->duplicates : counts->late);
    return;
  }
  if (last_ && last_->first != moment.epoch) stream_.reset();  // nothing is read across a break
  last_ = key;
  const int64_t ended_ms = moment.wall_ms > 0 ? moment.wall_ms : now_ms;
  if (ended_ms < now_ms - options_.look_back_ms) {
    ++counts->late;
    return;
  }
  ++counts->taken;
  Arrive({.ts = std::max(ended_ms, last_ts_ + 1), .moment = std::move(moment), .reading = {}},
         audience);
}

// Every moment of a room passes here once, in order, with the room locked: what follows a broadcast moment by
// moment begins here.
void RoomMoments::Arrive(KeptMoment moment, const std::optional<model::MomentAudience>& audience) {
  media::Moment comments;
  for (const media::MomentFeatureInfo& info : media::Features()) {
    const auto value = moment.moment.values.Get(info.feature);
    if (info.modality == media::Modality::kComments && value)
      comments.values.SetUnbounded(info.feature, *value);
  }
  comment_norm_->Apply(&comments);
  for (const media::MomentFeatureInfo& info : media::Features()) {
    if (const auto z = comments.z.Get(info.feature)) moment.moment.z.SetUnbounded(info.feature, *z);
  }
  last_ts_ = moment.ts;
  if (reader_ != nullptr) Read(audience, &moment);
  moments_.push_back(std::move(moment));
}

void RoomMoments::Read(const std::optional<model::MomentAudience>& audience, KeptMoment* moment) {
  if (!stream_) stream_.emplace(reader_->model);
  std::vector<float> values(reader_->rows.columns());
  std::vector<uint8_t> measured(values.size());
  reader_->rows.Row(moment->moment, values, measured);
  Result<model::MomentReading> reading =
      stream_->Advance(moment->moment.second, values, measured, audience);
  assert(reading.ok());  // Add lets no second of an epoch come twice or late
  if (reading.ok()) moment->reading = std::move(reading).value();
}

Result<TakenCounts> RoomMoments::AddEmbeddings(const std::string& encoder, media::Modality modality,
                                               size_t dim, std::vector<Embedding> items,
                                               int64_t now_ms) {
  Trim(now_ms);
  const int64_t first_ms = now_ms - options_.look_back_ms - kAheadMs, last_ms = now_ms + kAheadMs;
  for (size_t i = 0; i < items.size(); ++i) {
    const int64_t end_ms = items[i].t_ms + items[i].dur_ms;
    if (items[i].t_ms >= first_ms && end_ms <= last_ms) continue;
    return InvalidArgument(
        end_ms > last_ms
            ? fmt::format("ends {} s ahead of this server's clock, at most 60 s are accepted",
                          (end_ms - now_ms) / 1000)
            : fmt::format("is {} s before this server's clock, over the look-back of {} s",
                          (now_ms - items[i].t_ms) / 1000, options_.look_back_ms / 1000),
        fmt::format("/items/{}/t_ms", i));
  }
  auto found = encoders_.find(encoder);
  if (found == encoders_.end()) {
    if (encoders_.size() >= kMaxEncoders) {
      // One of which nothing is left gives way.
      const auto idle = std::find_if(encoders_.begin(), encoders_.end(),
                                     [](const auto& each) { return each.second.items.empty(); });
      if (idle == encoders_.end()) {
        return InvalidArgument(
            fmt::format("is one more than the {} encoders a room may have", kMaxEncoders),
            "/encoder_id");
      }
      encoders_.erase(idle);
    }
    found = encoders_.emplace(encoder, EncoderTrack{.modality = modality, .dim = dim}).first;
  }
  EncoderTrack& track = found->second;
  if (track.dim != dim) {
    return InvalidArgument(fmt::format("differs from {}, which this encoder began with", track.dim),
                           "/dim");
  }
  if (track.modality != modality) {
    return InvalidArgument(fmt::format("differs from '{}', which this encoder began with",
                                       media::ModalityName(track.modality)),
                           "/modality");
  }
  TakenCounts counts;
  for (Embedding& item : items) {
    if (item.t_ms + item.dur_ms < now_ms - options_.look_back_ms) {
      ++counts.late;
      continue;
    }
    const auto after =
        std::lower_bound(track.items.begin(), track.items.end(), item.t_ms,
                         [](const Embedding& kept, int64_t t_ms) { return kept.t_ms < t_ms; });
    if (after != track.items.end() && after->t_ms == item.t_ms) {
      ++counts.duplicates;
      continue;
    }
    vector_bytes_ += BytesOf(item);
    track.items.insert(after, std::move(item));
    ++counts.taken;
  }
  while (vector_bytes_ > options_.embedding_bytes) DropOldestVector();
  return counts;
}

void RoomMoments::DropOldestVector() {
  EncoderTrack* oldest = nullptr;
  for (auto& [id, track] : encoders_) {
    if (track.items.empty()) continue;
    if (oldest == nullptr || track.items.front().t_ms < oldest->items.front().t_ms) oldest = &track;
  }
  if (oldest == nullptr) return;
  vector_bytes_ -= BytesOf(oldest->items.front());
  oldest->items.pop_front();
}

void RoomMoments::Restrict(decide::BroadcastUse use) {
  if (use == decide::BroadcastUse::kOff) return Drop();
  if (use == decide::BroadcastUse::kProxies) return;
  stream_.reset();  // it remembers what they were
  for (KeptMoment& kept : moments_) WithoutProxies(&kept.moment);
}

void RoomMoments::Drop() {
  moments_.clear();
  encoders_.clear();
  vector_bytes_ = 0;
  stream_.reset();
  comment_norm_.emplace(media::RunningNormConfig());
}

void RoomMoments::Trim(int64_t now_ms) {
  const int64_t first_ms = now_ms - options_.look_back_ms;
  while (!moments_.empty() && moments_.front().ts < first_ms) moments_.pop_front();
  for (auto& [id, track] : encoders_) {
    // Those of moments that may still come are within the look-back themselves.
    while (!track.items.empty() &&
           track.items.front().t_ms + track.items.front().dur_ms < first_ms) {
      vector_bytes_ -= BytesOf(track.items.front());
      track.items.pop_front();
    }
  }
}

std::vector<std::string_view> RoomMoments::EncodersAt(int64_t ts) const {
  std::vector<std::string_view> out;
  for (const auto& [id, track] : encoders_) {
    // An item's middle lies in one second only.
    const bool any = std::any_of(track.items.begin(), track.items.end(), [&](const Embedding& e) {
      const int64_t middle_ms = e.t_ms + e.dur_ms / 2;
      return middle_ms >= ts - kSecondMs && middle_ms < ts;
    });
    if (any) out.push_back(id);
  }
  return out;
}

MomentPage RoomMoments::Page(std::optional<int64_t> since, size_t limit) const {
  const auto count = [&](auto from) {
    return std::min(static_cast<ptrdiff_t>(limit), moments_.end() - from);
  };
  if (!since) return {moments_.end() - count(moments_.begin()), moments_.end()};
  const auto from = std::partition_point(moments_.begin(), moments_.end(),
                                         [&](const KeptMoment& kept) { return kept.ts <= *since; });
  return {from, from + count(from)};
}

}  // namespace heed::engine
