#include "engine/comment_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "engine/room_desk.h"
#include "engine/shelf.h"
#include "event/event.h"
#include "event/json.h"
#include "event/json_text.h"

namespace heed::engine {
namespace {

constexpr int64_t kNameEveryMs = 5'000;  // a shelf that is laid out is a hundred events at once
constexpr int64_t kLookEveryMs = 1'000;  // at idle rooms and changed packs

std::string KeyOf(std::string_view tenant, std::string_view room) {
  std::string key(tenant);
  key += '\0';
  key += room;
  return key;
}

std::string LintId(uint64_t sequence, const text::LintHit& hit) {
  const std::string what = hit.pack + '\n' + hit.version + '\n' + hit.rule + '\n' +
                           std::to_string(hit.begin) + '-' + std::to_string(hit.end);
  return fmt::format("lint-{}-{:016x}", sequence, HashBytes(what));
}

}  // namespace

std::optional<text::Interest> InterestOf(const event::Event& event) {
  if (std::holds_alternative<event::ProductClick>(event.data)) return text::Interest::kClicked;
  if (std::holds_alternative<event::CartAdd>(event.data)) return text::Interest::kCarted;
  if (std::holds_alternative<event::OrderCreate>(event.data) ||
      std::holds_alternative<event::OrderPay>(event.data)) {
    return text::Interest::kOrdered;
  }
  return std::nullopt;
}

CommentRoom::CommentRoom(const TextTools& tools, const TextOptions& options)
    : comments(tools.meaning(), tools.dictionary(),
               {.questions = {.max_questions = options.questions_per_room}, .stats = {}}) {}

CommentReader::CommentReader(const TextOptions& options, TextTools* tools,
                             const state::State& state, const decide::Catalog& catalog)
    : options_(options), tools_(tools), state_(state), catalog_(catalog) {}

CommentReader::~CommentReader() { Stop(); }

void CommentReader::Start(store::EventLog* log) {
  log_ = log;
  thread_ = std::thread([this] { Loop(); });
}

void CommentReader::Stop() {
  {
    const std::lock_guard lock(queue_mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

// ---- the committer's side ---------------------------------------------------------------------

Result<uint64_t> CommentReader::ReplayFrom(const store::EventLog& log) {
  const uint64_t last = log.last_sequence();
  int64_t newest_ts = 0;
  // Backwards in doubling steps: the log is by arrival and has no index of times.
  for (uint64_t back = 0; back < std::min(last, kMaxReplayed); back = 2 * back + 1) {
    int64_t ts = 0;
    const Status looked = log.Read(last - back, [&](const store::LogRecord& record) -> Status {
      ts = record.event.ts;
      return {Code::kDeadlineExceeded, "one is enough"};
    });
    if (looked.code() != Code::kDeadlineExceeded) return looked;
    newest_ts = std::max(newest_ts, ts);
    if (ts < newest_ts - kReplayedMs) return last - back;
  }
  return last - std::min(last, kMaxReplayed) + 1;
}

// False: the event says nothing about comments.
bool CommentReader::Read(const event::Event& event, Item* item) {
  using event::ActorKind;
  const ActorKind actor = event.actor ? event.actor->kind : ActorKind::kViewer;
  if (event.actor) item->viewer = HashBytes(event.actor->id);
  if (const auto* comment = std::get_if<event::CommentPost>(&event.data)) {
    item->kind = Kind::kComment;
    item->text = comment->text;
    if (actor == ActorKind::kHost) item->source = "host";
    if (actor == ActorKind::kOperator) item->source = "operator";
    return actor != ActorKind::kEngine && actor != ActorKind::kPlatform;
  }
  if (const auto* speech = std::get_if<event::HostSpeech>(&event.data)) {
    item->kind = Kind::kSpeech;
    item->source = "host";
    item->text = speech->text;
    item->dur_ms = speech->dur_ms;
    return true;
  }
  if (const auto interest = InterestOf(event)) {
    item->kind = Kind::kInterest;
    item->how = *interest;
    return event.actor.has_value() && actor == ActorKind::kViewer;
  }
  if (std::holds_alternative<event::ProductBind>(event.data)) {
    item->kind = Kind::kShelf;
    return true;
  }
  item->kind = Kind::kShown;
  if (const auto* shown = std::get_if<event::ProductExplainStart>(&event.data)) {
    item->text = shown->product_id;
    return true;
  }
  if (std::holds_alternative<event::ProductExplainEnd>(event.data)) return true;
  if (const auto* pin = std::get_if<event::ProductPin>(&event.data)) {
    if (pin->on) item->text = pin->product_id;
    return true;
  }
  if (std::holds_alternative<event::StreamStart>(event.data)) {
    item->kind = Kind::kStart;
    return true;
  }
  if (const auto* extension = std::get_if<event::Extension>(&event.data)) {
    if (extension->type != RoomDesk::kAnswered) return false;
    item->kind = Kind::kAnswered;
    item->text = event::TextOf({extension->data.text}, "text");
    const std::string id = event::TextOf({extension->data.text}, "question");
    std::from_chars(id.data(), id.data() + id.size(), item->question);
    return true;
  }
  return false;
}

void CommentReader::Heard(std::span<const store::LogRecord> records) {
  std::vector<Item> items;
  const int64_t clock_ms = Clock::System().now_ms();
  for (const store::LogRecord& record : records) {
    Item item;
    if (!Read(record.event, &item)) continue;
    item.sequence = record.sequence;
    item.arrived_us = log_ == nullptr ? 0 : Clock::System().steady_us();
    item.clock_ms = clock_ms;
    // A clock that runs ahead must not end windows early.
    item.ts = std::min(record.event.ts, clock_ms);
    item.tenant = record.event.tenant;
    item.room = record.event.room;
    item.session = record.event.session;
    items.push_back(std::move(item));
  }
  if (items.empty()) return;
  {
    const std::lock_guard lock(queue_mutex_);
    if (queue_.size() + items.size() > kMaxQueued) {
      skipped_ += items.size();
      return;
    }
    queue_.insert(queue_.end(), std::move_iterator(items.begin()), std::move_iterator(items.end()));
  }
  wake_.notify_one();
}

// ---- the reader's side ------------------------------------------------------------------------

void CommentReader::Loop() {
  std::vector<Item> items;
  int64_t looked_ms = 0;
  for (;;) {
    {
      std::unique_lock lock(queue_mutex_);
      wake_.wait_for(lock, std::chrono::milliseconds(kLookEveryMs),
                     [this] { return stopping_ || !queue_.empty(); });
      if (stopping_ && queue_.empty()) return;
      items.swap(queue_);
    }
    for (const Item& item : items) Handle(item);
    if (!items.empty()) {
      {
        const std::lock_guard lock(queue_mutex_);
        read_to_ = items.back().sequence;
      }
      read_.notify_all();
      items.clear();
    }
    const int64_t clock_ms = Clock::System().now_ms();
    if (clock_ms - looked_ms < kLookEveryMs) continue;
    looked_ms = clock_ms;
    tools_->RefreshPacks();
    DropIdle(clock_ms);
  }
}

std::shared_ptr<CommentRoom> CommentReader::RoomOf(const Item& item) {
  const std::string key = KeyOf(item.tenant, item.room);
  const std::lock_guard lock(rooms_mutex_);
  const auto found = rooms_.find(key);
  if (found != rooms_.end()) {
    std::shared_ptr<CommentRoom> room = found->second.room;  // outlives its lock
    const std::lock_guard room_lock(room->mutex);
    if (item.session == room->session) {
      found->second.heard_ms = item.clock_ms;
      return room;
    }
    // What belongs to another broadcast begins a new one when it is newer; an order is often late.
    const bool begins = item.kind == Kind::kStart || item.kind == Kind::kComment ||
                        item.kind == Kind::kSpeech || item.kind == Kind::kShown;
    if (!begins || item.ts < room->newest_ms) return nullptr;
    rooms_.erase(found);
  }
  while (rooms_.size() >= options_.max_rooms) {
    rooms_.erase(std::min_element(rooms_.begin(), rooms_.end(), [](const auto& a, const auto& b) {
      return a.second.heard_ms < b.second.heard_ms;
    }));
  }
  auto room = std::make_shared<CommentRoom>(*tools_, options_);
  room->tenant = item.tenant;
  room->room = item.room;
  room->session = item.session;
  const state::RoomView view =
      state_.ReadRoom(state_.Find(state::Kind::kRoom, item.tenant, item.room));
  const state::Index shown = view.explaining != state::kNone ? view.explaining : view.pinned;
  if (shown != state::kNone) {
    room->comments.ShowProduct(state_.Name(state::Kind::kProduct, shown));
  }
  rooms_[key] = {room, item.clock_ms};
  return room;
}

void CommentReader::Handle(const Item& item) {
  const std::shared_ptr<CommentRoom> room = RoomOf(item);
  if (room == nullptr) return;
  if (item.kind == Kind::kComment) {
    ReadComment(item, room.get());
  } else {
    const std::lock_guard lock(room->mutex);
    switch (item.kind) {
      case Kind::kSpeech: {
        const Result<bool> said = room->comments.HostSaid(
            {item.ts, item.ts + item.dur_ms, item.text, "", /*final=*/true});
        if (!said.ok()) {
          LogWarn("host.speech {} is left: {}", item.sequence, said.status().ToString());
        }
        break;
      }
      case Kind::kInterest: room->comments.WantsToBuy(item.viewer, item.ts, item.how); break;
      case Kind::kShelf: room->shelf_changed = true; break;
      case Kind::kShown: room->comments.ShowProduct(item.text); break;
      case Kind::kAnswered:
        static_cast<void>(room->comments.MarkAnswered(item.question, item.text, item.ts));
        break;
      case Kind::kStart:
      case Kind::kComment: break;
    }
  }
  {
    const std::lock_guard lock(room->mutex);
    if (item.ts >= room->newest_ms) {
      room->newest_ms = item.ts;
      room->behind_ms = item.clock_ms - item.ts;
    }
  }
  if (item.kind == Kind::kSpeech) ++segments_;
  if (item.kind == Kind::kComment || item.kind == Kind::kSpeech) Lint(item, room.get());
}

void CommentReader::ReadComment(const Item& item, CommentRoom* room) {
  const bool viewer = item.source == std::string_view("viewer");
  text::CommentAnalysis analysis;
  // Without the lock: it is the cost.
  if (viewer) analysis = tools_->analyzer().Analyze(item.text, /*with_reasons=*/false);
  {
    const std::lock_guard lock(room->mutex);
    if (room->shelf_changed && item.clock_ms - room->named_ms >= kNameEveryMs) NameProducts(room);
    if (viewer) {
      room->comments.Add({item.text, item.viewer, item.ts, item.sequence}, analysis);
    } else {
      room->comments.HostWrote(item.text, item.ts);
    }
  }
  ++comments_;
  if (item.arrived_us == 0) return;
  const int64_t took_us = Clock::System().steady_us() - item.arrived_us;
  const auto bucket =
      std::lower_bound(CommentStats::kLatencyBounds.begin(), CommentStats::kLatencyBounds.end(),
                       static_cast<double>(took_us) * 1e-6) -
      CommentStats::kLatencyBounds.begin();
  ++latency_[static_cast<size_t>(bucket)];
  latency_us_ += took_us;
}

void CommentReader::NameProducts(CommentRoom* room) {
  room->shelf_changed = false;
  room->named_ms = Clock::System().now_ms();
  std::vector<std::string> titles;
  for (const ShelfProduct& product : Shelf(state_, catalog_, room->tenant, room->room)) {
    titles.push_back(product.title);
  }
  room->comments.NameProducts(titles);
}

void CommentReader::Lint(const Item& item, CommentRoom* room) {
  const bool ours = item.source != std::string_view("viewer");
  const std::vector<text::LintHit> hits = tools_->Lint(item.text, item.ts, /*listen=*/ours);
  if (hits.empty()) return;
  hits_ += hits.size();
  std::vector<event::Event> events;
  const std::lock_guard lock(room->mutex);
  for (const text::LintHit& hit : hits) {
    room->hits.push_back({item.ts, item.sequence, item.source, item.text, hit});
    if (room->hits.size() > CommentRoom::kMaxHits) room->hits.pop_front();
    // Of what viewers write the shop is not the author: shown and counted, not kept for ever.
    if (!ours) continue;
    event::Event event;
    event.id = LintId(item.sequence, hit);  // read again at start, it is a duplicate
    event.ts = item.ts;
    event.tenant = item.tenant;
    event.room = item.room;
    event.session = item.session;
    event.src = {.platform = "heed", .adapter = "lint"};
    event::ComplianceHit data;
    data.rule = hit.rule;
    data.severity = hit.severity == "block" ? event::Severity::kBlock : event::Severity::kWarn;
    data.text = item.text.substr(hit.begin, hit.end - hit.begin);
    data.source = item.source == std::string_view("operator") ? event::HitSource::kOperator
                                                              : event::HitSource::kHost;
    data.pack_version = hit.version;
    data.extra.text = "{\"pack\":";
    event::AppendString(hit.pack, data.extra.text);
    data.extra.text += fmt::format(",\"sequence\":{},\"begin\":{},\"end\":{}}}", item.sequence,
                                   hit.begin, hit.end);
    event.data = std::move(data);
    events.push_back(std::move(event));
  }
  if (events.empty() || log_ == nullptr) return;
  const Status queued = log_->TryAppend(std::move(events), /*never_shed=*/false,
                                        [](const Result<std::vector<store::Appended>>& appended) {
                                          if (!appended.ok()) {
                                            LogError("a compliance hit is not kept: {}",
                                                     appended.status().ToString());
                                          }
                                        });
  if (!queued.ok()) LogError("a compliance hit is not kept: {}", queued.ToString());
}

void CommentReader::DropIdle(int64_t clock_ms) {
  const std::lock_guard lock(rooms_mutex_);
  std::erase_if(rooms_, [&](const auto& entry) {
    return entry.second.heard_ms < clock_ms - options_.room_idle_ms;
  });
}

// ---- what is asked of it ----------------------------------------------------------------------

bool CommentReader::WaitFor(uint64_t sequence, int64_t timeout_ms) const {
  std::unique_lock lock(queue_mutex_);
  return read_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                        [&] { return read_to_ >= sequence; });
}

std::shared_ptr<CommentRoom> CommentReader::Find(std::string_view tenant,
                                                 std::string_view room) const {
  const std::lock_guard lock(rooms_mutex_);
  const auto found = rooms_.find(KeyOf(tenant, room));
  return found == rooms_.end() ? nullptr : found->second.room;
}

CommentStats CommentReader::Stats() const {
  CommentStats stats;
  stats.comments = comments_;
  stats.segments = segments_;
  stats.hits = hits_;
  stats.skipped = skipped_;
  for (size_t i = 0; i < latency_.size(); ++i) stats.latency[i] = latency_[i];
  stats.latency_s = static_cast<double>(latency_us_.load()) * 1e-6;
  {
    const std::lock_guard lock(queue_mutex_);
    stats.queued = queue_.size();
  }
  const std::lock_guard lock(rooms_mutex_);
  stats.rooms = rooms_.size();
  return stats;
}

}  // namespace heed::engine
