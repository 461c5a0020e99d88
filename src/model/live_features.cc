#include "model/live_features.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "base/hash.h"

namespace heed::model {
namespace {

using state::Index;
using state::Kind;
using state::State;

constexpr float kAbsent = std::numeric_limits<float>::quiet_NaN();

// Small numbers as keys: 0 stays "absent".
Key Bucket(uint64_t value) { return value + 1; }
// 0, 1, 2-3, 4-7, ...
Key Log2Bucket(int64_t value) {
  return Bucket(value <= 0 ? 0
                           : static_cast<uint64_t>(std::bit_width(static_cast<uint64_t>(value))));
}

Key KeyOrAbsent(const State& state, Kind kind, Index index) {
  return index == state::kNone ? 0 : state.Key(kind, index);
}

// Hour of day in the viewer's market. Live commerce here runs on China Standard Time, UTC+8, which
// has no summer time.
Key HourKey(int64_t ts) { return Bucket(static_cast<uint64_t>((ts / 3'600'000 + 8) % 24)); }

float Rate(double hits, double trials, double prior, double strength) {
  return static_cast<float>((hits + prior * strength) / (trials + strength));
}

float Log1p(double value) { return static_cast<float>(std::log1p(std::max(0.0, value))); }

float AgeSeconds(int64_t now_ts, int64_t ts) {
  return static_cast<float>(static_cast<double>(std::max<int64_t>(0, now_ts - ts)) / 1000.0);
}

double At(const state::Decayed& counter, int64_t now_ts) {
  return counter.At(now_ts, state::kCounterHalfLifeMs);
}

// What came of a visit, as one small key: how long (log2 of seconds), engaged, bought.
Key OutcomeKey(const state::Visit& visit) {
  const Key watch = visit.watch_ms < 0 ? 0 : Log2Bucket(visit.watch_ms / 1000);
  return Bucket(std::min<Key>(watch, 15) * 4 + (visit.interactions > 0 ? 2 : 0) +
                (visit.orders > 0 ? 1 : 0));
}

struct PastWithHost {
  int64_t visits = 0;
  int64_t skips = 0;
  int64_t last_enter_ts = 0;
  double watch_minutes = 0;
};

PastWithHost Past(const state::UserView& user, Index host) {
  PastWithHost past;
  for (const state::Visit& visit : user.visits) {
    if (visit.host != host) continue;
    ++past.visits;
    past.last_enter_ts = std::max(past.last_enter_ts, visit.enter_ts);
    past.watch_minutes += std::max(0, visit.watch_ms) / 60'000.0;
  }
  for (const state::Skip& skip : user.skips) past.skips += skip.host == host;
  return past;
}

void AddViewerKeys(const Viewer& viewer, int64_t now_ts, std::vector<Key>* keys) {
  const state::UserView& user = viewer.view;
  keys->push_back(viewer.key);
  keys->push_back(user.segment.empty() ? 0 : HashBytes(user.segment));
  keys->push_back(HourKey(now_ts));
  keys->push_back(Log2Bucket(user.enters));
  keys->push_back(Log2Bucket(user.orders));
}

void AddViewerNumerics(const Viewer& viewer, int64_t now_ts, std::vector<float>* numerics) {
  const state::UserView& user = viewer.view;
  const auto impressions = static_cast<double>(user.impressions);
  numerics->push_back(Rate(static_cast<double>(user.enters), impressions, 0.3, 5));
  numerics->push_back(
      Rate(static_cast<double>(user.orders), static_cast<double>(user.enters), 0.02, 10));
  numerics->push_back(user.last_ts == 0 ? kAbsent : Log1p(AgeSeconds(now_ts, user.last_ts)));
}

void AddVisits(const State& state, const Viewer& viewer, int64_t now_ts, SequenceBatch* out) {
  for (const state::Visit& visit : viewer.view.visits) {
    out->keys.push_back(KeyOrAbsent(state, Kind::kHost, visit.host));
    out->keys.push_back(KeyOrAbsent(state, Kind::kCategory, visit.category));
    out->keys.push_back(OutcomeKey(visit));
    out->age_s.push_back(AgeSeconds(now_ts, visit.enter_ts));
  }
  out->offsets.push_back(static_cast<uint32_t>(out->age_s.size()));
}

void AddTouches(const State& state, const Viewer& viewer, int64_t now_ts, SequenceBatch* out) {
  for (const state::ProductTouch& touch : viewer.view.touches) {
    out->keys.push_back(KeyOrAbsent(state, Kind::kProduct, touch.product));
    out->keys.push_back(KeyOrAbsent(state, Kind::kHost, touch.host));
    out->keys.push_back(KeyOrAbsent(state, Kind::kCategory, touch.category));
    out->keys.push_back(Bucket(static_cast<uint64_t>(touch.touch)));
    out->age_s.push_back(AgeSeconds(now_ts, touch.ts));
  }
  out->offsets.push_back(static_cast<uint32_t>(out->age_s.size()));
}

void AddSkips(const State& state, const Viewer& viewer, int64_t now_ts, SequenceBatch* out) {
  for (const state::Skip& skip : viewer.view.skips) {
    out->keys.push_back(KeyOrAbsent(state, Kind::kHost, skip.host));
    out->keys.push_back(Bucket(static_cast<uint64_t>(skip.reason)));
    out->age_s.push_back(AgeSeconds(now_ts, skip.ts));
  }
  out->offsets.push_back(static_cast<uint32_t>(out->age_s.size()));
}

void BeginRequest(const Schema& schema, Batch* batch) {
  if (batch->sequences.size() != schema.sequences.size()) batch->Clear(schema);
  ++batch->requests;
}

void BeginCandidate(Batch* batch) {
  batch->request_of.push_back(batch->requests - 1);
  ++batch->candidates;
}

// Of the room, where it was said of late; NaN where not.
constexpr std::array kAttentionNumerics = {"room_attention", "log_comment_lift", "log_click_lift"};

void AddAttention(const state::RoomAttention& said, int64_t now_ts, std::vector<float>* numerics) {
  const bool known = said.ts > 0 && now_ts - said.ts <= kAttentionMs;
  numerics->push_back(known ? static_cast<float>(said.attention) : kAbsent);
  for (const double lift : {said.comment_lift, said.click_lift}) {
    numerics->push_back(known && lift > 0 ? static_cast<float>(std::log(lift)) : kAbsent);
  }
}

const std::vector<FieldSpec>& ViewerFields() {
  static const std::vector<FieldSpec> fields = {{"user", "user", Side::kRequest},
                                                {"segment", "segment", Side::kRequest},
                                                {"hour", "hour", Side::kRequest},
                                                {"enters", "count", Side::kRequest},
                                                {"orders", "count", Side::kRequest}};
  return fields;
}

const std::vector<NumericSpec>& ViewerNumerics() {
  static const std::vector<NumericSpec> numerics = {{"user_enter_rate", Side::kRequest},
                                                    {"user_order_rate", Side::kRequest},
                                                    {"log_idle_s", Side::kRequest}};
  return numerics;
}

Schema MakeHostSchema() {
  Schema schema;
  schema.fields = ViewerFields();
  schema.fields.push_back({"host", "host", Side::kCandidate});
  schema.fields.push_back({"category", "category", Side::kCandidate});
  schema.fields.push_back({"explaining", "product", Side::kCandidate});
  schema.fields.push_back({"past_visits", "past", Side::kCandidate});
  schema.fields.push_back({"repeat_interval", "interval", Side::kCandidate});
  schema.fields.push_back({"followed", "followed", Side::kCandidate});
  schema.numerics = ViewerNumerics();
  for (const char* name :
       {"host_enter_rate", "host_stay_minutes", "host_engage_rate", "host_order_rate",
        "host_short_rate", "log_host_impressions", "log_online", "log_live_minutes", "room_trend",
        "log_past_visits", "log_past_skips", "past_stay_minutes"}) {
    schema.numerics.push_back({name, Side::kCandidate});
  }
  for (const char* name : kAttentionNumerics) schema.numerics.push_back({name, Side::kCandidate});
  schema.sequences = {
      {"visits", {"host", "category", "outcome"}, {"host", "category"}, state::kMaxVisits},
      {"touches",
       {"product", "host", "category", "touch"},
       {"explaining", "host", "category"},
       state::kMaxTouches},
      {"skips", {"host", "skip"}, {"host", "category"}, state::kMaxSkips}};
  schema.tasks = {
      {"enter", 1.0f, 1.0f}, {"stay", 1.0f, 2.0f}, {"engage", 1.0f, 1.0f}, {"order", 1.0f, 10.0f}};
  return schema;
}

Schema MakeProductSchema() {
  Schema schema;
  schema.fields = ViewerFields();
  schema.fields.push_back({"host", "host", Side::kRequest});
  schema.fields.push_back({"room_category", "category", Side::kRequest});
  schema.fields.push_back({"product", "product", Side::kCandidate});
  schema.fields.push_back({"category", "category", Side::kCandidate});
  schema.fields.push_back({"price", "price", Side::kCandidate});
  schema.fields.push_back({"explained", "explained", Side::kCandidate});
  schema.fields.push_back({"past_touches", "past", Side::kCandidate});
  schema.numerics = ViewerNumerics();
  for (const char* name : kAttentionNumerics) schema.numerics.push_back({name, Side::kRequest});
  for (const char* name : {"click_rate", "cart_rate", "order_rate", "log_impressions", "log_price",
                           "log_stock", "log_past_touches"}) {
    schema.numerics.push_back({name, Side::kCandidate});
  }
  schema.sequences = {
      {"touches",
       {"product", "host", "category", "touch"},
       {"product", "category"},
       state::kMaxTouches},
      {"visits", {"host", "category", "outcome"}, {"product", "category"}, state::kMaxVisits}};
  // What an order of it brings, in cents: predicted, and in no score until [score] of the configuration says so.
  constexpr float kOrderDelta = 10'000.0f;
  schema.tasks = {{"click", 1.0f, 1.0f},
                  {"cart", 1.0f, 3.0f},
                  {"order", 1.0f, 10.0f},
                  {"order_value", 1.0f, 0.0f, TaskKind::kValue, kOrderDelta, "order"}};
  return schema;
}

// Entries of the last minute against the three before it: the room is filling or emptying.
float Trend(const state::RoomSummary& room) {
  return static_cast<float>(
      std::log((room.minute_enters + 1.0) / (room.earlier_enters / 3.0 + 1.0)));
}

}  // namespace

const Schema& HostSchema() {
  static const Schema schema = MakeHostSchema();
  return schema;
}

const Schema& ProductSchema() {
  static const Schema schema = MakeProductSchema();
  return schema;
}

Viewer ReadViewer(const State& state, Index user) {
  Viewer viewer;
  if (user == state::kNone) return viewer;
  viewer.view = state.ReadUser(user);
  if (!viewer.view.personalize) {
    viewer.view = {};
    return viewer;
  }
  viewer.key = state.Key(Kind::kUser, user);
  return viewer;
}

void AddHostRequest(const State& state, const Viewer& viewer, int64_t now_ts, Batch* batch) {
  BeginRequest(HostSchema(), batch);
  AddViewerKeys(viewer, now_ts, &batch->request_keys);
  AddViewerNumerics(viewer, now_ts, &batch->request_numerics);
  AddVisits(state, viewer, now_ts, &batch->sequences[0]);
  AddTouches(state, viewer, now_ts, &batch->sequences[1]);
  AddSkips(state, viewer, now_ts, &batch->sequences[2]);
}

void AddHostCandidate(const State& state, const Viewer& viewer, const state::HostView& host,
                      const state::RoomSummary& room, int64_t now_ts, Batch* batch) {
  BeginCandidate(batch);
  const PastWithHost past = Past(viewer.view, host.host);
  const bool followed = std::binary_search(viewer.view.followed_hosts.begin(),
                                           viewer.view.followed_hosts.end(), host.host);
  batch->candidate_keys.insert(
      batch->candidate_keys.end(),
      {KeyOrAbsent(state, Kind::kHost, host.host),
       KeyOrAbsent(state, Kind::kCategory, room.category_index),
       KeyOrAbsent(state, Kind::kProduct, room.explaining), Log2Bucket(past.visits),
       past.visits == 0 ? Key{0} : Log2Bucket((now_ts - past.last_enter_ts) / 60'000),
       Bucket(followed ? 1 : 0)});
  const state::HostCounters& counters = host.counters;
  const double impressions = At(counters.impressions, now_ts);
  const double enters = At(counters.enters, now_ts);
  batch->candidate_numerics.insert(
      batch->candidate_numerics.end(),
      {Rate(enters, impressions, 0.3, 10), Rate(At(counters.watch_minutes, now_ts), enters, 2, 5),
       Rate(At(counters.interactions, now_ts), enters, 0.2, 5),
       Rate(At(counters.orders, now_ts), enters, 0.02, 20),
       Rate(At(counters.short_watches, now_ts), enters, 0.3, 5), Log1p(impressions),
       Log1p(static_cast<double>(room.online)),
       room.start_ts == 0 ? kAbsent : Log1p(AgeSeconds(now_ts, room.start_ts) / 60.0), Trend(room),
       Log1p(static_cast<double>(past.visits)), Log1p(static_cast<double>(past.skips)),
       past.visits == 0
           ? kAbsent
           : static_cast<float>(past.watch_minutes / static_cast<double>(past.visits))});
  AddAttention(room.attention, now_ts, &batch->candidate_numerics);
}

void AddProductRequest(const State& state, const Viewer& viewer, const state::RoomView& room,
                       int64_t now_ts, Batch* batch) {
  BeginRequest(ProductSchema(), batch);
  AddViewerKeys(viewer, now_ts, &batch->request_keys);
  batch->request_keys.push_back(KeyOrAbsent(state, Kind::kHost, room.host));
  batch->request_keys.push_back(KeyOrAbsent(state, Kind::kCategory, room.category_index));
  AddViewerNumerics(viewer, now_ts, &batch->request_numerics);
  AddAttention(room.attention, now_ts, &batch->request_numerics);
  AddTouches(state, viewer, now_ts, &batch->sequences[0]);
  AddVisits(state, viewer, now_ts, &batch->sequences[1]);
}

void AddProductCandidate(const State& state, const Viewer& viewer,
                         const state::ProductView& product, const state::RoomView& room,
                         int64_t now_ts, Batch* batch) {
  BeginCandidate(batch);
  const auto past = std::count_if(
      viewer.view.touches.begin(), viewer.view.touches.end(),
      [&](const state::ProductTouch& touch) { return touch.product == product.product; });
  const bool explaining = room.explaining == product.product && product.product != state::kNone;
  const bool pinned = room.pinned == product.product && product.product != state::kNone;
  batch->candidate_keys.insert(
      batch->candidate_keys.end(),
      {KeyOrAbsent(state, Kind::kProduct, product.product),
       KeyOrAbsent(state, Kind::kCategory, product.category_index),
       product.price_cents < 0 ? Key{0} : Log2Bucket(product.price_cents / 100),
       Bucket((explaining ? 2u : 0u) + (pinned ? 1u : 0u)), Log2Bucket(past)});
  const state::ProductCounters& counters = product.counters;
  const double impressions = At(counters.impressions, now_ts);
  const double clicks = At(counters.clicks, now_ts);
  batch->candidate_numerics.insert(
      batch->candidate_numerics.end(),
      {Rate(clicks, impressions, 0.1, 10), Rate(At(counters.carts, now_ts), clicks, 0.2, 5),
       Rate(At(counters.orders, now_ts), clicks, 0.1, 5), Log1p(impressions),
       product.price_cents < 0 ? kAbsent : Log1p(static_cast<double>(product.price_cents) / 100.0),
       product.stock ? Log1p(static_cast<double>(*product.stock)) : kAbsent,
       Log1p(static_cast<double>(past))});
}

namespace {

template <typename T>
void CopyRun(const std::vector<T>& from, size_t begin, size_t count, std::vector<T>* to) {
  const auto first = from.begin() + static_cast<ptrdiff_t>(begin);
  to->insert(to->end(), first, first + static_cast<ptrdiff_t>(count));
}

constexpr size_t kNoToken = ~size_t{0};

// Request `request` of `from` as a new request of `to`, without one token of one sequence.
void CopyRequest(const Schema& schema, const Batch& from, uint32_t request, size_t left_sequence,
                 size_t left_token, Batch* to) {
  BeginRequest(schema, to);
  const size_t fields = schema.FieldsOf(Side::kRequest).size();
  const size_t numerics = schema.NumericsOf(Side::kRequest).size();
  CopyRun(from.request_keys, request * fields, fields, &to->request_keys);
  CopyRun(from.request_numerics, request * numerics, numerics, &to->request_numerics);
  for (size_t s = 0; s < from.sequences.size(); ++s) {
    const SequenceBatch& source = from.sequences[s];
    SequenceBatch& target = to->sequences[s];
    const size_t parts = schema.sequences[s].tables.size();
    const size_t begin = source.offsets[request], end = source.offsets[request + 1];
    const bool leaves_out = s == left_sequence && left_token != kNoToken;
    const size_t cut = leaves_out ? begin + left_token : end;
    CopyRun(source.keys, begin * parts, (cut - begin) * parts, &target.keys);
    CopyRun(source.age_s, begin, cut - begin, &target.age_s);
    if (leaves_out) {
      CopyRun(source.keys, (cut + 1) * parts, (end - cut - 1) * parts, &target.keys);
      CopyRun(source.age_s, cut + 1, end - cut - 1, &target.age_s);
    }
    target.offsets.push_back(static_cast<uint32_t>(target.age_s.size()));
  }
}

void CopyCandidate(const Schema& schema, const Batch& from, uint32_t row, Batch* to) {
  BeginCandidate(to);
  const size_t fields = schema.FieldsOf(Side::kCandidate).size();
  const size_t numerics = schema.NumericsOf(Side::kCandidate).size();
  CopyRun(from.candidate_keys, row * fields, fields, &to->candidate_keys);
  CopyRun(from.candidate_numerics, row * numerics, numerics, &to->candidate_numerics);
}

}  // namespace

void AddWithoutToken(const Schema& schema, const Batch& batch, std::span<const uint32_t> rows,
                     size_t sequence, size_t token, Batch* out) {
  CopyRequest(schema, batch, 0, sequence, token, out);
  for (const uint32_t row : rows) CopyCandidate(schema, batch, row, out);
}

void CopyRequestAndRows(const Schema& schema, const Batch& batch, std::span<const uint32_t> rows,
                        Batch* out) {
  CopyRequest(schema, batch, 0, 0, kNoToken, out);
  for (const uint32_t row : rows) CopyCandidate(schema, batch, row, out);
}

void AppendRow(const Schema& schema, const Batch& from, uint32_t row, Batch* to) {
  CopyRequest(schema, from, from.request_of[row], 0, kNoToken, to);
  CopyCandidate(schema, from, row, to);
  if (!from.labels.empty()) {
    CopyRun(from.labels, row * schema.tasks.size(), schema.tasks.size(), &to->labels);
  }
  if (!from.weights.empty()) to->weights.push_back(from.weights[row]);
}

}  // namespace heed::model
