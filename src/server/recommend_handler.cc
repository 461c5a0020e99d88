// POST /v1/recommend/{hosts,products} and GET /v1/decisions/{id}.
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

Result<RecommendRequest> ReadRequest(const Api& api, const Request& request, bool products) {
  HEED_ASSIGN_OR_RETURN(const boost::json::value body, ParseJson(request.body));
  ObjectReader reader(body);
  RecommendRequest out;
  const std::string tenant = reader.Text("tenant", /*required=*/false);
  out.user = reader.Text("user", /*required=*/true);
  if (products) out.room = reader.Text("room", /*required=*/true);
  // One over the limit is read, so that the engine's refusal can say how many are allowed.
  out.candidates = reader.Texts("candidates", api.config.max_body_bytes);
  out.limit = static_cast<size_t>(reader.Integer("limit", 10, 1, kMaxLimit));
  out.explain = reader.Flag("explain", false);
  HEED_RETURN_IF_ERROR(reader.Finish());
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

void HandleRecommend(Api& api, bool products, const Request& request, const Reply& reply) {
  const Result<RecommendRequest> wanted = ReadRequest(api, request, products);
  if (!wanted.ok()) return reply.Send(Refuse(request, wanted.status()));
  const int64_t started_us = Clock::System().steady_us();
  const Result<RecommendResponse> response = products ? api.engine.RecommendProducts(wanted.value())
                                                      : api.engine.RecommendHosts(wanted.value());
  api.recommend_seconds.Observe(static_cast<double>(Clock::System().steady_us() - started_us) *
                                1e-6);
  if (!response.ok()) return reply.Send(Refuse(request, response.status()));
  Response out;
  out.body = ResponseJson(response.value(), wanted.value().explain);
  reply.Send(std::move(out));
}

void HandleDecision(Api& api, const Request& request, const Reply& reply) {
  const std::string* named = request.Query("tenant");
  const Result<std::string> tenant =
      TenantFor(request.principal, named != nullptr ? *named : "", "?tenant");
  if (!tenant.ok()) return reply.Send(Refuse(request, tenant.status()));
  Result<std::string> decision = api.engine.GetDecision(tenant.value(), request.params[0]);
  if (!decision.ok()) return reply.Send(Refuse(request, decision.status()));
  Response out;
  out.body = std::move(decision).value();
  reply.Send(std::move(out));
}

}  // namespace

void AddRecommendRoutes(Api& api, std::vector<Route>* routes) {
  for (const bool products : {false, true}) {
    Route route;
    route.method = Method::kPost;
    route.pattern = products ? "/v1/recommend/products" : "/v1/recommend/hosts";
    route.scope = "recommend";
    route.body = Body::kJson;
    route.handler = [&api, products](const std::shared_ptr<const Request>& request,
                                     const Reply& reply) {
      HandleRecommend(api, products, *request, reply);
    };
    routes->push_back(std::move(route));
  }
  Route route;
  route.method = Method::kGet;
  route.pattern = "/v1/decisions/{id}";
  route.scope = "recommend";
  route.query = {"tenant"};
  route.blocking = true;
  route.handler = [&api](const std::shared_ptr<const Request>& request, const Reply& reply) {
    HandleDecision(api, *request, reply);
  };
  routes->push_back(std::move(route));
}

}  // namespace heed::server
