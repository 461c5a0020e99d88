#include "train/attribution.h"

#include <algorithm>
#include <map>
#include <utility>
#include <variant>

#include "base/hash.h"

namespace heed::train {
namespace {

std::string Join(const std::string& tenant, const std::string& user, const std::string& what) {
  std::string key = tenant;
  key.append(1, '\0').append(user).append(1, '\0').append(what);
  return key;
}

std::string RoomOf(const event::Event& event) {
  return Join(event.tenant, event.actor->id, event.room);
}

bool IsViewer(const event::Event& event) {
  return event.actor && event.actor->kind == event::ActorKind::kViewer &&
         !(event.flags && event.flags->test.value_or(false));
}

Feedback Positive(LiveRanker ranker, uint64_t example, int64_t ts, size_t task) {
  return {.kind = Feedback::Kind::kPositive,
          .ranker = ranker,
          .example = example,
          .ts = ts,
          .tasks = uint64_t{1} << task};
}

}  // namespace

void Attribution::Apply(const store::LogRecord& record, const state::State& before,
                        FeedbackSink* sink) {
  const event::Event& event = record.event;
  Advance(event.ts, sink);
  if (!IsViewer(event)) return;
  if (const auto* room = std::get_if<event::RoomImpression>(&event.data)) {
    ShowRoom(record, *room, before, sink);
  } else if (const auto* shown = std::get_if<event::ProductImpression>(&event.data)) {
    ShowProduct(record, *shown, before, sink);
  } else if (std::holds_alternative<event::ViewerEnter>(event.data)) {
    Enter(event, sink);
  } else if (const auto* beat = std::get_if<event::ViewerHeartbeat>(&event.data)) {
    if (beat->watch_ms >= model::kStayMs) MarkVisit(event, kStay, sink);
  } else if (const auto* leave = std::get_if<event::ViewerLeave>(&event.data)) {
    if (leave->watch_ms >= model::kStayMs) MarkVisit(event, kStay, sink);
    Leave(event, sink);
  } else if (std::holds_alternative<event::CommentPost>(event.data) ||
             std::holds_alternative<event::Like>(event.data) ||
             std::holds_alternative<event::Share>(event.data) ||
             std::holds_alternative<event::Follow>(event.data) ||
             std::holds_alternative<event::Gift>(event.data)) {
    MarkVisit(event, kEngage, sink);
  } else if (const auto* click = std::get_if<event::ProductClick>(&event.data)) {
    MarkProduct(event, click->product_id, kClick, sink);
  } else if (const auto* cart = std::get_if<event::CartAdd>(&event.data)) {
    MarkProduct(event, cart->product_id, kCart, sink);
  } else if (const auto* create = std::get_if<event::OrderCreate>(&event.data)) {
    MarkVisit(event, kHostOrder, sink);
    MarkOrder(event, *create, sink);
  }
}

// What the clock alone says: still inside after a minute is a stay, whether or not anything reported
// it, and in the end an impression is over.
void Attribution::Advance(int64_t ts, FeedbackSink* sink) {
  now_ts_ = std::max(now_ts_, ts);
  while (!due_.empty() && std::get<0>(*due_.begin()) <= now_ts_) {
    const auto [due_ts, example, what, who] = *due_.begin();
    due_.erase(due_.begin());
    Opens& opens = what == Due::kProductExpiry ? products_ : rooms_;
    const auto found = opens.find(who);
    if (found == opens.end() || found->second.example != example) continue;  // shown again since
    if (what != Due::kStay) {
      opens.erase(found);
    } else if (!found->second.left) {
      sink->Add(
          Positive(LiveRanker::kHosts, example, found->second.enter_ts + model::kStayMs, kStay));
    }
  }
}

void Attribution::ShowRoom(const store::LogRecord& record, const event::RoomImpression& shown,
                           const state::State& before, FeedbackSink* sink) {
  const event::Event& event = record.event;
  const state::Index room_index = before.Find(state::Kind::kRoom, event.tenant, event.room);
  if (room_index == state::kNone) return;  // a room nothing is known of is never a candidate
  const state::RoomSummary room = before.Summarize(room_index);
  if (room.host == state::kNone) return;
  Who who = RoomOf(event);
  const auto found = rooms_.find(who);
  if (found != rooms_.end()) {
    // Shown again before anything came of it: one exposure, not two negatives.
    if (found->second.enter_ts == 0 && event.ts - found->second.ts < kEnterWindowMs) return;
  }
  if (!sink->Accepts(LiveRanker::kHosts)) {
    ++counts_.skipped;
    return;
  }
  const std::string request_id = shown.request_id.value_or("");
  std::shared_ptr<const model::Batch> features = sink->Served(LiveRanker::kHosts, event);
  if (features != nullptr) {
    ++counts_.served;
  } else {
    const model::Viewer viewer =
        model::ReadViewer(before, before.Find(state::Kind::kUser, event.tenant, event.actor->id));
    auto own = std::make_shared<model::Batch>();
    own->Clear(model::HostSchema());
    model::AddHostRequest(before, viewer, event.ts, own.get());
    model::AddHostCandidate(before, viewer, before.ReadHost(room.host), room, event.ts, own.get());
    features = std::move(own);
  }
  Show(record, LiveRanker::kHosts, request_id, std::move(features), std::move(who), sink);
}

void Attribution::ShowProduct(const store::LogRecord& record, const event::ProductImpression& shown,
                              const state::State& before, FeedbackSink* sink) {
  const event::Event& event = record.event;
  const state::Index index = before.Find(state::Kind::kProduct, event.tenant, shown.product_id);
  const state::Index room_index = before.Find(state::Kind::kRoom, event.tenant, event.room);
  if (index == state::kNone || room_index == state::kNone) return;
  Who who = Join(event.tenant, event.actor->id, shown.product_id);
  const auto found = products_.find(who);
  if (found != products_.end() && event.ts - found->second.ts < kClickWindowMs) return;
  if (!sink->Accepts(LiveRanker::kProducts)) {
    ++counts_.skipped;
    return;
  }
  std::shared_ptr<const model::Batch> features = sink->Served(LiveRanker::kProducts, event);
  if (features != nullptr) {
    ++counts_.served;
  } else {
    const model::Viewer viewer =
        model::ReadViewer(before, before.Find(state::Kind::kUser, event.tenant, event.actor->id));
    const state::RoomView room = before.ReadRoom(room_index);
    auto own = std::make_shared<model::Batch>();
    own->Clear(model::ProductSchema());
    model::AddProductRequest(before, viewer, room, event.ts, own.get());
    model::AddProductCandidate(before, viewer, before.ReadProduct(index), room, event.ts,
                               own.get());
    features = std::move(own);
  }
  Show(record, LiveRanker::kProducts, "", std::move(features), std::move(who), sink);
}

void Attribution::Show(const store::LogRecord& record, LiveRanker ranker, std::string request_id,
                       std::shared_ptr<const model::Batch> features, Who who, FeedbackSink* sink) {
  const event::Event& event = record.event;
  const bool host = ranker == LiveRanker::kHosts;
  (host ? rooms_ : products_)[who] = {.example = record.sequence, .ts = event.ts};
  due_.emplace(event.ts + kForgetMs + 1, record.sequence,
               host ? Due::kRoomExpiry : Due::kProductExpiry, std::move(who));
  ++counts_.shown;
  Feedback feedback{
      .kind = Feedback::Kind::kShown, .ranker = ranker, .example = record.sequence, .ts = event.ts};
  feedback.viewer = HashBytes(event.actor->id, HashBytes(event.tenant));
  feedback.source = HashBytes(event.src.adapter, HashBytes(event.src.platform));
  feedback.request_id = std::move(request_id);
  feedback.features = std::move(features);
  sink->Add(std::move(feedback));
}

void Attribution::Enter(const event::Event& event, FeedbackSink* sink) {
  Who who = RoomOf(event);
  const auto found = rooms_.find(who);
  if (found == rooms_.end()) return;
  Open& open = found->second;
  const int64_t age_ms = event.ts - open.ts;
  // A second entry under the same impression is not its doing.
  if (age_ms < 0 || age_ms > kEnterWindowMs || open.enter_ts != 0) return;
  open.enter_ts = event.ts;
  // An entry that is reported late has its leave reported late.
  due_.emplace(now_ts_ + model::kStayMs, open.example, Due::kStay, std::move(who));
  sink->Add(Positive(LiveRanker::kHosts, open.example, event.ts, kEnter));
}

void Attribution::Leave(const event::Event& event, FeedbackSink* sink) {
  const auto found = rooms_.find(RoomOf(event));
  if (found == rooms_.end()) return;
  Open& open = found->second;
  // Someone shown the room from inside it ends another visit than the one it may lead to.
  if (open.enter_ts == 0 || open.left || event.ts < open.enter_ts) return;
  open.left = true;
  // Payment may follow the visit; the rest may not.
  sink->Add({.kind = Feedback::Kind::kClosed,
             .ranker = LiveRanker::kHosts,
             .example = open.example,
             .ts = event.ts,
             .tasks = uint64_t{1} << kStay | uint64_t{1} << kEngage});
}

void Attribution::MarkVisit(const event::Event& event, HostTask task, FeedbackSink* sink) {
  const auto found = rooms_.find(RoomOf(event));
  if (found == rooms_.end()) return;
  const Open& open = found->second;
  const int64_t age_ms = event.ts - open.ts;
  const bool over = open.left && task == kEngage;
  const bool late = age_ms > kOrderWindowMs && task != kStay;
  if (age_ms < 0 || open.enter_ts == 0 || over || late) return;
  sink->Add(Positive(LiveRanker::kHosts, open.example, event.ts, task));
}

void Attribution::MarkProduct(const event::Event& event, const std::string& product,
                              ProductTask task, FeedbackSink* sink) {
  const auto found = products_.find(Join(event.tenant, event.actor->id, product));
  if (found == products_.end()) return;
  const int64_t age_ms = event.ts - found->second.ts;
  if (age_ms < 0 || age_ms > kProductWindowsMs[task]) return;
  sink->Add(Positive(LiveRanker::kProducts, found->second.example, event.ts, task));
}

// One order and one amount a product, whatever the number of its lines.
void Attribution::MarkOrder(const event::Event& event, const event::OrderCreate& order,
                            FeedbackSink* sink) {
  std::map<std::string, int64_t> cents;
  for (const event::OrderLine& line : order.lines) cents[line.product_id] += line.amount_cents;
  for (const auto& [product, amount] : cents) {
    const auto found = products_.find(Join(event.tenant, event.actor->id, product));
    if (found == products_.end()) continue;
    const int64_t age_ms = event.ts - found->second.ts;
    if (age_ms < 0 || age_ms > kOrderWindowMs) continue;
    Feedback feedback =
        Positive(LiveRanker::kProducts, found->second.example, event.ts, kProductOrder);
    if (amount > 0) {  // a gift with the order says nothing of what orders are worth
      feedback.tasks |= uint64_t{1} << kProductValue;
      feedback.worth = static_cast<float>(amount);
    }
    sink->Add(std::move(feedback));
  }
}

}  // namespace heed::train
