// The broadcasts of rooms as they come: takes each room's moments and embeddings where the room allows it, and
// tells of its last minutes. All of that is in memory: a restart begins with none. What a model reads of it goes into
// the log, an attention.sample a second of every room that is on air.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "heed/engine.h"

#include "decide/catalog.h"
#include "engine/audience_meter.h"
#include "engine/comment_reader.h"
#include "engine/room_moments.h"
#include "state/state.h"
#include "store/event_log.h"

namespace heed::engine {

struct MomentPost {
  std::string tenant, room;
  std::string feed;  // of the process that sends; may be empty
  std::vector<media::Moment> moments;
};

struct EmbeddingPost {
  std::string tenant, room, encoder;
  media::Modality modality = media::Modality::kPicture;
  size_t dim = 0;
  std::vector<Embedding> items;
};

struct MomentStats {
  uint64_t rooms = 0, moments = 0, vectors = 0;  // kept now
  uint64_t samples = 0, lost_samples = 0;        // since the start: in the log; refused by it
};

// Thread-safe.
class MomentDesk {
 public:
  // All of them outlive it. kInvalidArgument naming the option.
  // `comments`: of whose rooms the moments say how the comments are; may be null.
  static Result<std::unique_ptr<MomentDesk>> Open(const BroadcastOptions& options,
                                                  const state::State& state,
                                                  const decide::Catalog& catalog,
                                                  const CommentReader* comments);

  // Samples go into `log` from now on; before, nowhere. It outlives every call but the destructor's.
  void Start(store::EventLog* log) { log_ = log; }

  // All or none. kInvalidArgument with a JSON pointer ("/3/wall_ms"); kPermissionDenied: the room's broadcast
  // may not be taken; kConflict: another feed is alive.
  Result<TakenCounts> Take(MomentPost post);
  Result<TakenCounts> TakeEmbeddings(EmbeddingPost post);

  // What the room allows now.
  decide::BroadcastUse UseOf(std::string_view tenant, std::string_view room) const;
  // Calls `look` with the room locked, if anything is held of it. kNotFound: nothing is, and no event has named it.
  Status Look(std::string_view tenant, std::string_view room,
              const std::function<void(const RoomMoments&)>& look) const;

  // Drops what is held of the room; what comes is taken as before.
  void Forget(std::string_view tenant, std::string_view room);
  // The catalog's documents of rooms have changed: what they do not allow any more is dropped.
  void RoomsChanged();
  MomentStats Stats() const;
  // What reads every room's moments; null without a model.
  const MomentReader* reader() const { return reader_ ? &*reader_ : nullptr; }

 private:
  struct Room {
    Room(const MomentDesk& desk, std::string_view tenant_in, std::string_view id_in)
        : tenant(tenant_in), id(id_in), moments(desk.options_, desk.reader()) {}
    const std::string tenant, id;
    std::mutex mutex;
    RoomMoments moments;     // guarded by mutex
    AudienceMeter audience;  // likewise
  };
  struct Known {
    std::shared_ptr<Room> room;
    int64_t heard_ms = 0;  // clock
  };

  using Rooms = std::vector<std::shared_ptr<Room>>;

  MomentDesk(const BroadcastOptions& options, decide::BroadcastUse otherwise,
             const state::State& state, const decide::Catalog& catalog,
             const CommentReader* comments);
  // kPermissionDenied when nothing may be taken.
  Result<decide::BroadcastUse> Allowed(std::string_view tenant, std::string_view room) const;
  std::shared_ptr<Room> Find(std::string_view tenant, std::string_view room) const;
  Rooms All() const;
  std::shared_ptr<Room> FindOrMake(std::string_view tenant, std::string_view room, int64_t now_ms);
  // The samples are what the log can do without: full, it sheds them, and the moments are taken all the same.
  void Record(std::vector<event::Event> samples);
  void Lost(size_t count, const Status& why);

  const BroadcastOptions options_;
  const decide::BroadcastUse otherwise_;
  const state::State& state_;
  const decide::Catalog& catalog_;
  const CommentReader* const comments_;
  std::optional<MomentReader> reader_;  // fixed once open
  store::EventLog* log_ = nullptr;      // fixed once started
  std::atomic<uint64_t> samples_{0}, lost_samples_{0};
  mutable std::mutex rooms_mutex_;
  std::map<std::string, Known, std::less<>> rooms_;  // by tenant, zero byte, room
};

}  // namespace heed::engine
