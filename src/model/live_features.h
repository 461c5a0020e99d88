// From live state to a Batch: the Schemas of the two live rankers and the only code that fills them,
// for training examples rebuilt from the log and for requests alike.
//
// Everything is read from State as it stands, so nothing after the moment of decision can enter:
// the example builder calls this before it applies the impression's own event.
#pragma once

#include <cstdint>
#include <span>

#include "model/batch.h"
#include "model/schema.h"
#include "state/state.h"

namespace heed::model {

// Tasks: enter, stay (watched >= 60 s), engage (commented, liked, shared, followed, gave), order.
const Schema& HostSchema();
// Tasks: click, cart, order.
const Schema& ProductSchema();

inline constexpr int64_t kStayMs = 60'000;
inline constexpr int64_t kAttentionMs = 30'000;  // older words of a room's attention are not known

// A viewer as of one moment, resolved once and used for every candidate. A viewer who switched
// personalisation off is read as an unknown one.
struct Viewer {
  state::UserView view;
  uint64_t key = 0;
};
Viewer ReadViewer(const state::State& state, state::Index user);

// Adds one request for hosts; its candidates follow by AddHostCandidate.
void AddHostRequest(const state::State& state, const Viewer& viewer, int64_t now_ts, Batch* batch);
// `room` is the host's live room (or a default RoomSummary).
void AddHostCandidate(const state::State& state, const Viewer& viewer, const state::HostView& host,
                      const state::RoomSummary& room, int64_t now_ts, Batch* batch);

// Adds one request for products shown in `room`.
void AddProductRequest(const state::State& state, const Viewer& viewer, const state::RoomView& room,
                       int64_t now_ts, Batch* batch);
void AddProductCandidate(const state::State& state, const Viewer& viewer,
                         const state::ProductView& product, const state::RoomView& room,
                         int64_t now_ts, Batch* batch);

// The same request with one token left out of one sequence, for leave-one-out: copies request 0 of
// `batch` (R = 1) and the candidates at `rows`, without labels.
void AddWithoutToken(const Schema& schema, const Batch& batch, std::span<const uint32_t> rows,
                     size_t sequence, size_t token, Batch* out);

// Copies request 0 of `batch` (R = 1) with only the candidates at `rows`, in that order.
void CopyRequestAndRows(const Schema& schema, const Batch& batch, std::span<const uint32_t> rows,
                        Batch* out);

// Appends row `row` of `from` (its request and its candidate) as a request of its own.
void AppendRow(const Schema& schema, const Batch& from, uint32_t row, Batch* to);

}  // namespace heed::model
