// POST /v1/recommend/{hosts,products} and GET /v1/decisions/{id}.
#include <algorithm>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "server/api.h"
#include "server/json.h"
#include "server/problem.h"

namespace heed::server {
namespace {

constexpr int64_t kMaxLimit = 500;
constexpr int64_t kMaxDeadlineMs = 600'000;

Result<RecommendRequest> ReadRequest(const Api& api, const Request& request, Target target) {
  HEED_ASSIGN_OR_RETURN(const boost::json::value body, ParseJson(request.body));
  ObjectReader reader(body);
  RecommendRequest out;
  const std::string tenant = reader.Text("tenant", /*required=*/false);
  out.user = reader.Text("user", /*required=*/true);
  if (target == Target::kProducts) out.room = reader.Text("room", /*required=*/true);
  // One over the limit is read, so that the engine's refusal can say how many are allowed.
  out.candidates = reader.Texts("candidates", api.config.max_body_bytes);
  out.limit = static_cast<size_t>(reader.Integer("limit", 10, 1, kMaxLimit));
  out.explain = reader.Flag("explain", false);
  const int64_t deadline_ms =
      reader.Integer("deadline_ms", api.config.recommend_deadline_ms, 1, kMaxDeadlineMs);
  HEED_RETURN_IF_ERROR(reader.Finish());
  if (deadline_ms > 0) out.deadline_us = request.started_us + deadline_ms * 1000;
  HEED_ASSIGN_OR_RETURN(out.tenant, TenantFor(request.principal, tenant, "/tenant"));
  return out;
}

void AppendEvidence(std::string& out, const SequenceEvidence& evidence) {
  out += "{\"sequence\":";
  AppendJsonString(out, evidence.sequence);
  out += ",\"null_weight\":";
  AppendNumber(out, evidence.null_weight);
  out += ",\"events\":[";
  for (size_t i = 0; i < evidence.events.size(); ++i) {
    const HistoryEvidence& event = evidence.events[i];
    out += i > 0 ? ",{\"id\":" : "{\"id\":";
    AppendJsonString(out, event.id);
    out += ",\"ts\":";
    AppendNumber(out, event.ts);
    out += ",\"weight\":";
    AppendNumber(out, event.weight);
    out += ",\"leave_one_out\":";
    AppendNumber(out, event.leave_one_out);
    out += '}';
  }
  out += "]}";
}

void AppendItem(std::string& out, const RankedItem& item, bool explain) {
  out += "{\"id\":";
  AppendJsonString(out, item.id);
  if (!item.room.empty()) {
    out += ",\"room\":";
    AppendJsonString(out, item.room);
  }
  out += ",\"score\":";
  AppendNumber(out, item.score);
  out += ",\"propensity\":";
  AppendNumber(out, item.propensity);
  out += ",\"source\":";
  AppendJsonString(out, item.source);
  if (explain) {
    out += ",\"tasks\":{";
    for (size_t t = 0; t < item.tasks.size(); ++t) {
      if (t > 0) out += ',';
      AppendJsonString(out, item.tasks[t].task);
      out += ':';
      AppendNumber(out, item.tasks[t].probability);
    }
    out += "},\"attention\":[";
    for (size_t s = 0; s < item.attention.size(); ++s) {
      if (s > 0) out += ',';
      AppendEvidence(out, item.attention[s]);
    }
    out += ']';
  }
  out += '}';
}

std::string ResponseJson(const RecommendResponse& response, bool explain) {
  std::string out = "{\"decision_id\":";
  AppendJsonString(out, response.decision_id);
  out += ",\"model_version\":";
  AppendJsonString(out, response.model_version);
  out += ",\"state_sequence\":";
  AppendNumber(out, response.state_sequence);
  out += ",\"ts\":";
  AppendNumber(out, response.ts);
  out += ",\"items\":[";
  for (size_t i = 0; i < response.items.size(); ++i) {
    if (i > 0) out += ',';
    AppendItem(out, response.items[i], explain);
  }
  out += "],\"filtered\":[";
  for (size_t i = 0; i < response.filtered.size(); ++i) {
    out += i > 0 ? ",{\"id\":" : "{\"id\":";
    AppendJsonString(out, response.filtered[i].id);
    out += ",\"reason\":";
    AppendJsonString(out, response.filtered[i].reason);
    out += '}';
  }
  out += "]}";
  return out;
}

double Seconds(int64_t us) { return static_cast<double>(us) * 1e-6; }

void ObserveStages(const Api& api, const StageTimes& stages) {
  api.state_stage.Observe(Seconds(stages.state_us));
  api.score_stage.Observe(Seconds(stages.score_us));
  api.choose_stage.Observe(Seconds(stages.choose_us));
  api.log_stage.Observe(Seconds(stages.log_us));
}

void HandleRecommend(Api& api, Target target, const TakeRequest& take) {
  struct Asked {
    QueuedRequest queued;
    RecommendRequest wanted;
    int64_t started_us = 0;
  };
  std::deque<Asked> asked;  // the engine holds pointers into it
  const auto next = [&]() -> const RecommendRequest* {
    while (std::optional<QueuedRequest> queued = take()) {
      const int64_t parsing_us = Clock::System().steady_us();
      Result<RecommendRequest> wanted = ReadRequest(api, *queued->request, target);
      const int64_t now_us = Clock::System().steady_us();
      api.parse_stage.Observe(Seconds(now_us - parsing_us));
      if (wanted.ok()) {
        asked.push_back({std::move(*queued), std::move(wanted).value(), now_us});
        return &asked.back().wanted;
      }
      queued->reply.Send(Refuse(*queued->request, wanted.status()));
    }
    return nullptr;
  };
  const auto done = [&](const RecommendRequest& wanted, Result<RecommendResponse> response) {
    const Asked& one = *std::find_if(asked.begin(), asked.end(),
                                     [&](const Asked& each) { return &each.wanted == &wanted; });
    const int64_t now_us = Clock::System().steady_us();
    api.recommend_seconds.Observe(Seconds(now_us - one.started_us));
    if (!response.ok())
      return one.queued.reply.Send(Refuse(*one.queued.request, response.status()));
    ObserveStages(api, response.value().stages);
    Response out;
    out.body = ResponseJson(response.value(), wanted.explain);
    out.ready_us = now_us;
    one.queued.reply.Send(std::move(out));
  };
  api.engine.RecommendTogether(target, next, done);
}

void HandleDecision(Api& api, const Request& request, const Reply& reply) {
  const Result<std::string> tenant = TenantFor(request);
  if (!tenant.ok()) return reply.Send(Refuse(request, tenant.status()));
  Result<std::string> decision = api.engine.GetDecision(tenant.value(), request.params[0]);
  if (!decision.ok()) return reply.Send(Refuse(request, decision.status()));
  Response out;
  out.body = std::move(decision).value();
  reply.Send(std::move(out));
}

}  // namespace

void AddRecommendRoutes(Api& api, std::vector<Route>* routes) {
  for (const Target target : {Target::kHosts, Target::kProducts}) {
    Route route;
    route.method = Method::kPost;
    route.pattern = target == Target::kHosts ? "/v1/recommend/hosts" : "/v1/recommend/products";
    route.scope = "recommend";
    route.body = Body::kJson;
    route.lane = Lane::kRank;
    route.queue_handler = [&api, target](const TakeRequest& take) {
      HandleRecommend(api, target, take);
    };
    routes->push_back(std::move(route));
  }
  Route route;
  route.method = Method::kGet;
  route.pattern = "/v1/decisions/{id}";
  route.scope = "recommend";
  route.query = {"tenant"};
  route.lane = Lane::kDisk;
  route.handler = [&api](const std::shared_ptr<const Request>& request, const Reply& reply) {
    HandleDecision(api, *request, reply);
  };
  routes->push_back(std::move(route));
}

}  // namespace heed::server
