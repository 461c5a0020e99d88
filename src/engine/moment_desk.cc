#include "engine/moment_desk.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "engine/attention_sample.h"
#include "text/analyzer.h"

namespace heed::engine {
namespace {

constexpr int64_t kNowMs = 5'000;  // a bin of text::LiveStats

std::string KeyOf(std::string_view tenant, std::string_view room) {
  std::string key(tenant);
  key += '\0';
  key += room;
  return key;
}

Status CheckMoments(const MomentPost& post, int64_t now_ms) {
  for (size_t i = 0; i < post.moments.size(); ++i) {
    const media::Moment& moment = post.moments[i];
    const auto refuse = [&](std::string what, const char* field) {
      return InvalidArgument(fmt::format("record {}: {}", i, what), fmt::format("/{}{}", i, field));
    };
    if (!moment.room.empty() && moment.room != post.room) {
      return refuse("is of room '" + moment.room + "'", "/room");
    }
    if (moment.wall_ms == 0) continue;  // a recording
    if (moment.wall_ms > now_ms + RoomMoments::kAheadMs) {
      return refuse(fmt::format("is {} s ahead of this server's clock, at most 60 s are accepted",
                                (moment.wall_ms - now_ms) / 1000),
                    "/wall_ms");
    }
    if (moment.wall_ms < now_ms - RoomMoments::kBehindMs) {
      return refuse(fmt::format("is {} h before this server's clock, at most 24 h are accepted",
                                (now_ms - moment.wall_ms) / 3'600'000),
                    "/wall_ms");
    }
  }
  return {};
}

// How a room's comments are now, as the columns of a moment.
std::optional<media::Moment> CommentsNow(const CommentReader& reader, const MomentPost& post,
                                         int64_t now_ms) {
  const std::shared_ptr<CommentRoom> known = reader.Find(post.tenant, post.room);
  if (known == nullptr) return std::nullopt;
  media::Moment out;
  const std::lock_guard lock(known->mutex);
  const int64_t room_ms = known->NowMs(now_ms);
  const text::LiveSnapshot now = known->comments.Now(room_ms, /*max_words=*/0);
  double asking = 0;
  for (const auto& [intent, share] : now.intents) asking += text::Asks(intent) ? share : 0;
  out.values.Set(media::Feature::kCommentRate, now.comments_per_s);
  out.values.Set(media::Feature::kCommentViewers, static_cast<double>(now.viewers));
  if (now.comments > 0) {
    out.values.Set(media::Feature::kCommentQuestionShare, asking);
    out.values.Set(media::Feature::kCommentSentiment, now.sentiment);
  }
  out.of(media::Modality::kComments) = {
      .ok = true, .cover = 1, .age_ms = std::max<int64_t>(0, room_ms - known->newest_ms)};
  return out;
}

void AddComments(const media::Moment& comments, media::Moment* moment) {
  constexpr auto kModality = media::Modality::kComments;
  moment->of(kModality) = comments.of(kModality);
  for (const media::MomentFeatureInfo& info : media::Features()) {
    if (info.modality != kModality) continue;
    moment->values.Clear(info.feature);
    if (const auto value = comments.values.Get(info.feature))
      moment->values.SetUnbounded(info.feature, *value);
  }
}

}  // namespace

MomentDesk::MomentDesk(const BroadcastOptions& options, decide::BroadcastUse otherwise,
                       const state::State& state, const decide::Catalog& catalog,
                       const CommentReader* comments)
    : options_(options),
      otherwise_(otherwise),
      state_(state),
      catalog_(catalog),
      comments_(comments) {}

Result<std::unique_ptr<MomentDesk>> MomentDesk::Open(const BroadcastOptions& options,
                                                     const state::State& state,
                                                     const decide::Catalog& catalog,
                                                     const CommentReader* comments) {
  const auto otherwise = decide::BroadcastUseByName(options.rooms);
  if (!otherwise) {
    return InvalidArgument("'" + options.rooms + "' is not off, measures or proxies",
                           "broadcast.rooms");
  }
  auto desk =
      std::unique_ptr<MomentDesk>(new MomentDesk(options, *otherwise, state, catalog, comments));
  if (options.model.empty()) return desk;
  auto model = model::MomentAttention::Load(options.model);
  if (!model.ok()) return model.status().Within("broadcast.model");
  train::MomentRows rows(model.value()->config());
  desk->reader_.emplace(MomentReader{
      .name = options.model, .model = std::move(model).value(), .rows = std::move(rows)});
  return desk;
}

decide::BroadcastUse MomentDesk::UseOf(std::string_view tenant, std::string_view room) const {
  const auto facts = catalog_.Find(CatalogKind::kRooms, tenant, room);
  return facts && facts->broadcast ? *facts->broadcast : otherwise_;
}

Result<decide::BroadcastUse> MomentDesk::Allowed(std::string_view tenant,
                                                 std::string_view room) const {
  const decide::BroadcastUse use = UseOf(tenant, room);
  if (use != decide::BroadcastUse::kOff) return use;
  return Status(Code::kPermissionDenied,
                fmt::format("the broadcast of room '{}' may not be taken: 'broadcast' in its "
                            "catalog document, else broadcast.rooms, is \"off\"",
                            room));
}

std::shared_ptr<MomentDesk::Room> MomentDesk::Find(std::string_view tenant,
                                                   std::string_view room) const {
  const std::lock_guard lock(rooms_mutex_);
  const auto found = rooms_.find(KeyOf(tenant, room));
  return found == rooms_.end() ? nullptr : found->second.room;
}

std::shared_ptr<MomentDesk::Room> MomentDesk::FindOrMake(std::string_view tenant,
                                                         std::string_view room, int64_t now_ms) {
  const std::lock_guard lock(rooms_mutex_);
  // A room silent for longer than the look-back holds nothing that anybody may still see.
  std::erase_if(rooms_, [&](const auto& each) {
    return now_ms - each.second.heard_ms > options_.look_back_ms + RoomMoments::kAheadMs;
  });
  std::string key = KeyOf(tenant, room);
  auto found = rooms_.find(key);
  if (found == rooms_.end()) {
    if (rooms_.size() >= options_.max_rooms) {
      rooms_.erase(std::min_element(rooms_.begin(), rooms_.end(), [](const auto& a, const auto& b) {
        return a.second.heard_ms < b.second.heard_ms;
      }));
    }
    found =
        rooms_.emplace(std::move(key), Known{std::make_shared<Room>(*this, tenant, room)}).first;
  }
  found->second.heard_ms = now_ms;
  return found->second.room;
}

Result<TakenCounts> MomentDesk::Take(MomentPost post) {
  const int64_t now_ms = Clock::System().now_ms();
  HEED_RETURN_IF_ERROR(Allowed(post.tenant, post.room).status());
  HEED_RETURN_IF_ERROR(CheckMoments(post, now_ms));
  const std::optional<media::Moment> comments =
      comments_ == nullptr ? std::nullopt : CommentsNow(*comments_, post, now_ms);
  const std::shared_ptr<Room> room = FindOrMake(post.tenant, post.room, now_ms);
  const std::lock_guard lock(room->mutex);
  // Asked once more with the room locked: RoomsChanged, which comes after the catalog has changed, either waits
  // for this or has been.
  HEED_ASSIGN_OR_RETURN(const decide::BroadcastUse use, Allowed(post.tenant, post.room));
  HEED_RETURN_IF_ERROR(room->moments.Begin(post.feed, now_ms));
  TakenCounts counts;
  std::optional<model::MomentAudience> audience;
  state::RoomView known;
  if (reader_) {
    known = state_.ReadRoom(state_.Find(state::Kind::kRoom, post.tenant, post.room));
    audience = room->audience.Look(known, now_ms);
  }
  std::vector<event::Event> samples;
  for (media::Moment& moment : post.moments) {
    if (use < decide::BroadcastUse::kProxies) WithoutProxies(&moment);
    // What has waited is not of now, and what the comments were then is not kept.
    if (comments && (moment.wall_ms == 0 || moment.wall_ms >= now_ms - kNowMs))
      AddComments(*comments, &moment);
    const bool newest = &moment == &post.moments.back();
    const size_t taken = counts.taken;
    room->moments.Add(std::move(moment), now_ms, &counts, newest ? audience : std::nullopt);
    if (counts.taken == taken || !known.live || !options_.record_attention) continue;
    const KeptMoment& kept = room->moments.moments().back();
    if (!kept.reading || !RestsOnAnything(*kept.reading)) continue;
    auto sample = AttentionSampleOf(*reader_, post.tenant, post.room, known.session, kept);
    if (sample.ok()) {
      samples.push_back(std::move(sample).value());
    } else {
      Lost(1, sample.status());
    }
  }
  Record(std::move(samples));
  return counts;
}

void MomentDesk::Record(std::vector<event::Event> samples) {
  if (samples.empty() || log_ == nullptr) return;
  const size_t count = samples.size();
  const Status queued =
      log_->TryAppend(std::move(samples), /*never_shed=*/false,
                      [this, count](const Result<std::vector<store::Appended>>& appended) {
                        if (appended.ok()) {
                          samples_ += count;
                        } else {
                          Lost(count, appended.status());
                        }
                      });
  if (!queued.ok()) Lost(count, queued);
}

void MomentDesk::Lost(size_t count, const Status& why) {
  // Told once: every room would say it every second. The metric counts them all.
  if (lost_samples_.fetch_add(count) == 0) {
    LogWarn("readings of rooms' attention are not kept in the log: {}", why.ToString());
  }
}

Result<TakenCounts> MomentDesk::TakeEmbeddings(EmbeddingPost post) {
  const int64_t now_ms = Clock::System().now_ms();
  HEED_RETURN_IF_ERROR(Allowed(post.tenant, post.room).status());
  const std::shared_ptr<Room> room = FindOrMake(post.tenant, post.room, now_ms);
  const std::lock_guard lock(room->mutex);
  HEED_RETURN_IF_ERROR(Allowed(post.tenant, post.room).status());
  return room->moments.AddEmbeddings(post.encoder, post.modality, post.dim, std::move(post.items),
                                     now_ms);
}

Status MomentDesk::Look(std::string_view tenant, std::string_view room,
                        const std::function<void(const RoomMoments&)>& look) const {
  if (const std::shared_ptr<Room> found = Find(tenant, room)) {
    const std::lock_guard lock(found->mutex);
    found->moments.Trim(Clock::System().now_ms());
    look(found->moments);
    return {};
  }
  if (state_.Find(state::Kind::kRoom, tenant, room) != state::kNone) return {};
  return NotFound("nothing is held of room '" + std::string(room) + "', and no event has named it");
}

void MomentDesk::Forget(std::string_view tenant, std::string_view room) {
  if (const std::shared_ptr<Room> found = Find(tenant, room)) {
    const std::lock_guard lock(found->mutex);
    found->moments.Drop();
  }
}

MomentDesk::Rooms MomentDesk::All() const {
  const std::lock_guard lock(rooms_mutex_);
  Rooms rooms;
  rooms.reserve(rooms_.size());
  for (const auto& [key, known] : rooms_) rooms.push_back(known.room);
  return rooms;
}

void MomentDesk::RoomsChanged() {
  for (const std::shared_ptr<Room>& room : All()) {
    const std::lock_guard lock(room->mutex);
    room->moments.Restrict(UseOf(room->tenant, room->id));
  }
}

MomentStats MomentDesk::Stats() const {
  MomentStats stats{.samples = samples_, .lost_samples = lost_samples_};
  const int64_t now_ms = Clock::System().now_ms();
  for (const std::shared_ptr<Room>& room : All()) {
    const std::lock_guard lock(room->mutex);
    room->moments.Trim(now_ms);
    stats.moments += room->moments.moments().size();
    if (!room->moments.moments().empty()) ++stats.rooms;
    for (const auto& [id, track] : room->moments.encoders()) stats.vectors += track.items.size();
  }
  return stats;
}

}  // namespace heed::engine
