// Which live host to show a viewer.
#include <algorithm>
#include <unordered_set>
#include <utility>

#include "decide/decider.h"

namespace heed::decide {
namespace {

using state::Index;
using state::Kind;

struct LiveHost {
  Index room = state::kNone;
  Index host = state::kNone;
  int64_t online = 0;
  bool known = false;  // followed or visited before by this viewer
};

}  // namespace

Status Decider::GatherHosts(Gathered* gathered) const {
  const RecommendRequest& request = *gathered->request;
  const int64_t now_ts = gathered->response.ts;
  RecommendResponse& response = gathered->response;
  response.state_sequence = state_.last_sequence();
  gathered->viewer =
      model::ReadViewer(state_, state_.Find(Kind::kUser, request.tenant, request.user));
  const model::Viewer& viewer = gathered->viewer;
  const state::UserView& user = viewer.view;
  const auto followed = [&](Index host) {
    return std::binary_search(user.followed_hosts.begin(), user.followed_hosts.end(), host);
  };
  model::Batch& batch = gathered->batch;
  batch.Clear(model::HostSchema());
  model::AddHostRequest(state_, viewer, now_ts, &batch);
  std::vector<Candidate>& candidates = gathered->candidates;
  const auto is_off = [&](const std::string& host, const std::string& room) {
    const auto host_facts = catalog_.Find(CatalogKind::kHosts, request.tenant, host);
    if (host_facts && host_facts->off) return true;
    const auto room_facts = catalog_.Find(CatalogKind::kRooms, request.tenant, room);
    return room_facts && room_facts->off;
  };
  const auto add = [&](std::string id, std::string source, const state::HostView& host,
                       const state::RoomSummary& room) {
    std::string room_id = state_.Name(Kind::kRoom, room.room);
    if (is_off(id, room_id)) {
      response.filtered.push_back({std::move(id), "off"});
      return;
    }
    model::AddHostCandidate(state_, viewer, host, room, now_ts, &batch);
    candidates.push_back({std::move(id), std::move(room_id), std::move(source)});
  };

  if (!request.candidates.empty()) {
    std::unordered_set<std::string_view> seen;
    for (const std::string& id : request.candidates) {
      if (!seen.insert(id).second) {
        response.filtered.push_back({id, "duplicate"});
        continue;
      }
      const Index index = state_.Find(Kind::kHost, request.tenant, id);
      if (index == state::kNone) {
        response.filtered.push_back({id, "unknown"});
        continue;
      }
      const state::HostView host = state_.ReadHost(index);
      const state::RoomSummary room = state_.Summarize(host.live_room);
      if (!room.live || now_ts - room.last_ts > options_.room_silent_ms) {
        response.filtered.push_back({id, "not_live"});
        continue;
      }
      add(id, "given", host, room);
    }
  } else {
    std::vector<LiveHost> live;
    for (const Index room : state_.LiveRooms(request.tenant, now_ts, options_.room_silent_ms)) {
      const state::RoomSummary summary = state_.Summarize(room);
      if (summary.host == state::kNone) continue;
      const bool known = followed(summary.host) ||
                         std::any_of(user.visits.begin(), user.visits.end(),
                                     [&](const auto& visit) { return visit.host == summary.host; });
      live.push_back({room, summary.host, summary.online, known});
    }
    // More rooms than can be scored: hosts this viewer knows first, then the fullest rooms.
    if (live.size() > options_.found_candidates) {
      std::partial_sort(live.begin(),
                        live.begin() + static_cast<ptrdiff_t>(options_.found_candidates),
                        live.end(), [](const LiveHost& a, const LiveHost& b) {
                          if (a.known != b.known) return a.known;
                          return a.online != b.online ? a.online > b.online : a.room < b.room;
                        });
      live.resize(options_.found_candidates);
    }
    for (const LiveHost& entry : live) {
      add(state_.Name(Kind::kHost, entry.host), followed(entry.host) ? "followed" : "live",
          state_.ReadHost(entry.host), state_.Summarize(entry.room));
    }
  }
  return {};
}

}  // namespace heed::decide
