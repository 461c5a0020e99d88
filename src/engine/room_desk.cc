#include "engine/room_desk.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/hash.h"
#include "event/event.h"
#include "event/json_text.h"
#include "text/normalize.h"
#include "text/product_names.h"

namespace heed::engine {
namespace {

constexpr size_t kMaxSaid = 20;           // segments shown
constexpr int64_t kReadWithinMs = 2'000;  // then an answer to a write comes before it can be seen

event::Event NewEvent(std::string id, int64_t ts, const std::string& tenant,
                      const std::string& room, std::string session) {
  event::Event event;
  event.id = std::move(id);
  event.ts = ts;
  event.tenant = tenant;
  event.room = room;
  event.session = std::move(session);
  event.src = {.platform = "heed", .adapter = "desk"};
  return event;
}

}  // namespace

RoomCommentView ViewOf(text::RoomComments* comments, int64_t now_ms, size_t words) {
  RoomCommentView out;
  out.ts = now_ms;
  out.now = comments->Now(now_ms, words);
  out.bursts = {comments->bursts().begin(), comments->bursts().end()};
  out.lag = comments->lag();
  const auto& said = comments->transcript().segments();
  const size_t kept = std::min(said.size(), kMaxSaid);
  out.said = {said.end() - static_cast<ptrdiff_t>(kept), said.end()};
  out.saying = comments->transcript().partial();
  return out;
}

RoomDesk::RoomDesk(const EngineOptions& options, std::unique_ptr<TextTools> tools,
                   const state::State& state, const decide::Catalog& catalog)
    : max_future_ms_(options.max_future_ms),
      tools_(std::move(tools)),
      state_(state),
      catalog_(catalog),
      reader_(options.text, tools_.get(), state, catalog) {}

Result<std::unique_ptr<RoomDesk>> RoomDesk::Open(const EngineOptions& options,
                                                 const state::State& state,
                                                 const decide::Catalog& catalog) {
  HEED_ASSIGN_OR_RETURN(std::unique_ptr<TextTools> tools, TextTools::Load(options.text));
  return std::unique_ptr<RoomDesk>(new RoomDesk(options, std::move(tools), state, catalog));
}

void RoomDesk::Start(store::EventLog* log) {
  log_ = log;
  reader_.Start(log);
}

JudgedText RoomDesk::Judge(const std::string& text,
                           std::span<const text::LintEvidence> evidence) const {
  return {tools_->analyzer().Analyze(text),
          tools_->Lint(text, Clock::System().now_ms(), /*listen=*/true, evidence)};
}

Status RoomDesk::KnowsRoom(std::string_view tenant, std::string_view room) const {
  if (state_.Find(state::Kind::kRoom, tenant, room) != state::kNone) return {};
  return NotFound("no event has named room '" + std::string(room) + "'");
}

std::optional<QuestionProduct> RoomDesk::ProductOf(const text::QuestionCluster& cluster,
                                                   const std::vector<ShelfProduct>& shelf,
                                                   std::optional<size_t> named,
                                                   std::string_view tenant) const {
  QuestionProduct product;
  if (named) {
    product.facts = shelf[*named];
    product.named = true;
  } else {
    if (cluster.product.empty()) return std::nullopt;
    const auto shown = std::find_if(shelf.begin(), shelf.end(), [&](const ShelfProduct& each) {
      return each.id == cluster.product;
    });
    product.facts = shown == shelf.end() ? ShelfProduct{.id = cluster.product} : *shown;
  }
  const Result<std::string> document =
      catalog_.Get(CatalogKind::kProducts, tenant, product.facts.id);
  if (document.ok()) product.document = document.value();
  return product;
}

Result<RoomQuestions> RoomDesk::Questions(std::string_view tenant, std::string_view room,
                                          size_t limit) const {
  RoomQuestions out;
  const std::shared_ptr<CommentRoom> known = reader_.Find(tenant, room);
  if (known == nullptr) {
    HEED_RETURN_IF_ERROR(KnowsRoom(tenant, room));
    return out;
  }
  std::vector<text::QuestionCluster> clusters;
  {
    const std::lock_guard lock(known->mutex);
    out.session = known->session;
    out.ts = known->NowMs(Clock::System().now_ms());
    clusters = known->comments.Questions(out.ts);
  }
  if (clusters.size() > limit) clusters.resize(limit);
  const std::vector<ShelfProduct> shelf = Shelf(state_, catalog_, tenant, room);
  std::vector<std::string> titles;
  titles.reserve(shelf.size());
  for (const ShelfProduct& product : shelf) titles.push_back(product.title);
  const text::ProductNames names(tools_->word_lists(), titles);
  for (text::QuestionCluster& cluster : clusters) {
    std::optional<QuestionProduct> product =
        ProductOf(cluster, shelf, names.Named(cluster.text), tenant);
    out.questions.push_back({std::move(cluster), std::move(product)});
  }
  return out;
}

Result<RoomCommentView> RoomDesk::Comments(std::string_view tenant, std::string_view room,
                                           size_t words) const {
  RoomCommentView out;
  const std::shared_ptr<CommentRoom> known = reader_.Find(tenant, room);
  if (known == nullptr) {
    HEED_RETURN_IF_ERROR(KnowsRoom(tenant, room));
    return out;
  }
  const std::lock_guard lock(known->mutex);
  out = ViewOf(&known->comments, known->NowMs(Clock::System().now_ms()), words);
  out.session = known->session;
  out.hits = {known->hits.rbegin(), known->hits.rend()};
  return out;
}

Status RoomDesk::MarkAnswered(const std::string& tenant, const std::string& room, uint64_t question,
                              const std::string& by) {
  HEED_ASSIGN_OR_RETURN(const RoomQuestions asked, Questions(tenant, room, ~size_t{0}));
  const auto found =
      std::find_if(asked.questions.begin(), asked.questions.end(),
                   [&](const RoomQuestion& each) { return each.cluster.id == question; });
  if (found == asked.questions.end()) {
    return NotFound(
        fmt::format("no question {} in room '{}'; those asked within ten minutes are "
                    "kept",
                    question, room));
  }
  event::Event event =
      NewEvent(fmt::format("answered-{:016x}-{}-{}", HashBytes(room), question, asked.ts), asked.ts,
               tenant, room, asked.session);
  event.actor =
      event::Actor{.id = by.empty() ? "operator" : by, .kind = event::ActorKind::kOperator};
  std::string data = fmt::format("{{\"question\":\"{}\",\"text\":", question);
  event::AppendString(text::ValidUtf8(found->cluster.text), data);
  event.data = event::Extension{kAnswered, {data + "}"}};
  std::vector<event::Event> events;
  events.push_back(std::move(event));
  HEED_ASSIGN_OR_RETURN(const std::vector<store::Appended> appended,
                        log_->Append(std::move(events)));
  reader_.WaitFor(appended[0].sequence, kReadWithinMs);
  return {};
}

Result<TranscriptAnswer> RoomDesk::AddTranscript(const TranscriptPost& post) {
  const state::RoomView view =
      state_.ReadRoom(state_.Find(state::Kind::kRoom, post.tenant, post.room));
  const std::string session = post.session.empty() ? view.session : post.session;
  if (session.empty()) {
    return InvalidArgument("is required: room '" + post.room + "' has no broadcast yet",
                           "/session");
  }
  if (!post.started_ts && (view.start_ts == 0 || view.session != session)) {
    return InvalidArgument("is required: the start of session '" + session + "' is not known",
                           "/started_ts");
  }
  const int64_t zero_ts = post.started_ts ? *post.started_ts : view.start_ts;
  const int64_t latest_ts = Clock::System().now_ms() + max_future_ms_;
  TranscriptAnswer answer;
  std::vector<event::Event> events;
  std::vector<text::TranscriptSegment> partial;
  for (size_t i = 0; i < post.segments.size(); ++i) {
    const std::string at = "/segments/" + std::to_string(i);
    text::TranscriptSegment segment = post.segments[i];
    if (const Status valid = text::ValidateSegment(segment); !valid.ok()) {
      return valid.Within("", at);
    }
    if (segment.text.empty()) return InvalidArgument("must not be empty", at + "/text");
    segment.begin_ms += zero_ts;
    segment.end_ms += zero_ts;
    if (segment.begin_ms < 0) return InvalidArgument("is before 1970", at + "/begin_ms");
    if (segment.end_ms > latest_ts) {
      return InvalidArgument(fmt::format("is {} s ahead of this server's clock",
                                         (segment.end_ms - latest_ts + max_future_ms_) / 1000),
                             at + "/end_ms");
    }
    segment.text = text::ValidUtf8(segment.text);
    if (!segment.final) {
      partial.push_back(std::move(segment));
      continue;
    }
    const std::string what = fmt::format("{}\n{}\n{}\n{}\n{}", post.room, session, segment.begin_ms,
                                         segment.end_ms, segment.text);
    event::Event event = NewEvent(fmt::format("speech-{:016x}", HashBytes(what)), segment.begin_ms,
                                  post.tenant, post.room, session);
    if (!segment.speaker.empty()) {
      // Who speaks in a host's broadcast speaks for it.
      event.actor = event::Actor{.id = fmt::format("{:016x}", HashBytes(segment.speaker)),
                                 .kind = event::ActorKind::kHost};
    }
    event.data = event::HostSpeech{.text = std::move(segment.text),
                                   .dur_ms = segment.end_ms - segment.begin_ms};
    events.push_back(std::move(event));
  }
  uint64_t last = 0;
  if (!events.empty()) {
    HEED_ASSIGN_OR_RETURN(const std::vector<store::Appended> appended,
                          log_->Append(std::move(events)));
    for (const store::Appended& each : appended) {
      ++(each.duplicate ? answer.duplicates : answer.stored);
      if (!each.duplicate) last = std::max(last, each.sequence);
    }
  }
  if (last > 0) reader_.WaitFor(last, kReadWithinMs);
  // What may still change is no event: nothing of it is kept but the last words, as long as they are that.
  if (const std::shared_ptr<CommentRoom> room = reader_.Find(post.tenant, post.room)) {
    const std::lock_guard lock(room->mutex);
    for (text::TranscriptSegment& segment : partial) {
      if (room->session != session) continue;
      HEED_RETURN_IF_ERROR(room->comments.HostSaid(std::move(segment)).status());
      ++answer.partial;
    }
  }
  return answer;
}

}  // namespace heed::engine
