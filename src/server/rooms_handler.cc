// /v1/rooms/{id}: what the room asks, how its comments are, what is said in it.
#include <boost/json.hpp>
#include <charconv>
#include <string>
#include <utility>
#include <vector>

#include "engine/room_desk.h"
#include "server/api.h"
#include "server/json.h"
#include "server/problem.h"
#include "server/text_json.h"

namespace heed::server {
namespace {

namespace json = boost::json;

constexpr size_t kQuestions = 50, kMaxQuestions = 500;
constexpr size_t kWords = 20, kMaxWords = 100;
constexpr size_t kMaxSegments = 1'000;
constexpr size_t kMaxSegmentBytes = 10'000;
constexpr int64_t kFarthestMs = int64_t{100} * 366 * 86'400'000;

Response JsonResponse(const json::value& value) {
  Response response;
  response.body = json::serialize(value);
  return response;
}

Result<Response> Questions(Api& api, const Request& request) {
  HEED_ASSIGN_OR_RETURN(const engine::RoomDesk* const desk, DeskOf(api));
  HEED_ASSIGN_OR_RETURN(const std::string tenant, TenantFor(request));
  HEED_ASSIGN_OR_RETURN(const size_t limit,
                        QueryNumber(request, "limit", kQuestions, 1, kMaxQuestions));
  HEED_ASSIGN_OR_RETURN(const engine::RoomQuestions asked,
                        desk->Questions(tenant, request.params[0], limit));
  json::object out = QuestionsJson(asked);
  out["room"] = request.params[0];
  return JsonResponse(out);
}

Result<Response> Answered(Api& api, const Request& request) {
  HEED_ASSIGN_OR_RETURN(engine::RoomDesk* const desk, DeskOf(api));
  HEED_ASSIGN_OR_RETURN(const std::string tenant, TenantFor(request));
  std::string by;
  if (!request.body.empty()) {
    HEED_ASSIGN_OR_RETURN(const json::value body, ParseJson(request.body));
    ObjectReader reader(body);
    by = reader.Text("by", false);
    HEED_RETURN_IF_ERROR(reader.Finish());
    if (by.size() > 128) return InvalidArgument("by is longer than 128 bytes", "/by");
  }
  const std::string& text = request.params[1];
  uint64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) {
    return NotFound("no question '" + text + "'");
  }
  HEED_RETURN_IF_ERROR(desk->MarkAnswered(tenant, request.params[0], id, by));
  return Questions(api, request);
}

Result<Response> Comments(Api& api, const Request& request) {
  HEED_ASSIGN_OR_RETURN(const engine::RoomDesk* const desk, DeskOf(api));
  HEED_ASSIGN_OR_RETURN(const std::string tenant, TenantFor(request));
  HEED_ASSIGN_OR_RETURN(const size_t words, QueryNumber(request, "words", kWords, 0, kMaxWords));
  HEED_ASSIGN_OR_RETURN(const engine::RoomCommentView view,
                        desk->Comments(tenant, request.params[0], words));
  json::object out = CommentsJson(view);
  out["room"] = request.params[0];
  return JsonResponse(out);
}

Result<text::TranscriptSegment> ReadSegment(const json::value& value) {
  ObjectReader reader(value);
  text::TranscriptSegment segment;
  const bool begins = value.is_object() && value.get_object().contains("begin_ms");
  const bool ends = value.is_object() && value.get_object().contains("end_ms");
  segment.begin_ms = reader.Integer("begin_ms", 0, -kFarthestMs, kFarthestMs);
  segment.end_ms = reader.Integer("end_ms", 0, -kFarthestMs, kFarthestMs);
  segment.text = reader.LongText("text", true, kMaxSegmentBytes);
  segment.speaker = reader.LongText("speaker", false, 256);
  segment.final = reader.Flag("final", true);
  HEED_RETURN_IF_ERROR(reader.Finish());
  if (!begins) return InvalidArgument("begin_ms is required", "/begin_ms");
  if (!ends) return InvalidArgument("end_ms is required", "/end_ms");
  return segment;
}

Result<Response> Transcripts(Api& api, const Request& request) {
  HEED_ASSIGN_OR_RETURN(engine::RoomDesk* const desk, DeskOf(api));
  engine::TranscriptPost post;
  HEED_ASSIGN_OR_RETURN(post.tenant, TenantFor(request));
  post.room = request.params[0];
  HEED_ASSIGN_OR_RETURN(const json::value body, ParseJson(request.body));
  ObjectReader reader(body);
  post.session = reader.Text("session", false);
  if (post.session.size() > 128) {
    return InvalidArgument("session is longer than 128 bytes", "/session");
  }
  const int64_t started_ts = reader.Integer("started_ts", 0, 100'000'000'000, 100'000'000'000'000);
  if (started_ts != 0) post.started_ts = started_ts;
  const json::array* segments = reader.Array("segments", kMaxSegments);
  HEED_RETURN_IF_ERROR(reader.Finish());
  if (segments == nullptr || segments->empty()) {
    return InvalidArgument("segments is required, with at least one", "/segments");
  }
  for (size_t i = 0; i < segments->size(); ++i) {
    Result<text::TranscriptSegment> segment = ReadSegment((*segments)[i]);
    if (!segment.ok()) return segment.status().Within("", "/segments/" + std::to_string(i));
    post.segments.push_back(std::move(segment).value());
  }
  HEED_ASSIGN_OR_RETURN(const engine::TranscriptAnswer answer, desk->AddTranscript(post));
  return JsonResponse(json::object{
      {"stored", answer.stored}, {"duplicates", answer.duplicates}, {"partial", answer.partial}});
}

}  // namespace

void AddRoomRoutes(Api& api, std::vector<Route>* routes) {
  struct Entry {
    Method method;
    const char* pattern;
    const char* scope;
    Body body;
    std::vector<std::string> query;
    Result<Response> (*function)(Api&, const Request&);
  };
  const Entry entries[] = {
      {Method::kGet,
       "/v1/rooms/{id}/questions",
       "rooms:read",
       Body::kNone,
       {"tenant", "limit"},
       Questions},
      {Method::kPost,
       "/v1/rooms/{id}/questions/{question}/answered",
       "rooms:write",
       Body::kJson,
       {"tenant"},
       Answered},
      {Method::kGet,
       "/v1/rooms/{id}/comments",
       "rooms:read",
       Body::kNone,
       {"tenant", "words"},
       Comments},
      {Method::kPost,
       "/v1/rooms/{id}/transcripts",
       "rooms:write",
       Body::kJson,
       {"tenant"},
       Transcripts},
  };
  for (const Entry& entry : entries) {
    Route route;
    route.method = entry.method;
    route.pattern = entry.pattern;
    route.scope = entry.scope;
    route.body = entry.body;
    route.query = entry.query;
    route.lane = Lane::kDisk;
    const auto function = entry.function;
    route.handler =
        Answering([&api, function](const Request& request) { return function(api, request); });
    routes->push_back(std::move(route));
  }
}

}  // namespace heed::server
