// Health, readiness, metrics, the API's description and the landing page.
#include <string>
#include <utility>
#include <vector>

#include "server/api.h"
#include "server/json.h"
#include "server/problem.h"

namespace heed::server {
namespace {

Response Text(std::string body, std::string content_type) {
  Response response;
  response.content_type = std::move(content_type);
  response.body = std::move(body);
  return response;
}

// Alive: the process answers. Nothing of the engine is asked, or a slow disk would have the process
// restarted, which helps no disk.
Response Alive(const Api&, const Request&) {
  return Text("{\"status\":\"ok\"}", "application/json");
}

// Ready: events can be recorded and requests answered.
Response Ready(const Api& api, const Request& request) {
  if (api.draining.load()) {
    return Refuse(request, Status(Code::kUnavailable, "the server is stopping"));
  }
  const Status health = api.engine.Health();
  if (!health.ok()) return Refuse(request, Status(Code::kUnavailable, health.ToString()));
  std::string body = "{\"status\":\"ready\",\"sequence\":";
  AppendNumber(body, api.engine.Stats().last_sequence);
  return Text(body + "}", "application/json");
}

Response Scrape(const Api& api, const Request&) {
  return Text(api.metrics.Text(), "text/plain; version=0.0.4; charset=utf-8");
}

Response OpenApi(const Api&, const Request&) { return Text(kOpenApi, "application/json"); }

Response Landing(const Api&, const Request&) {
  return Text(kLandingPage, "text/html; charset=utf-8");
}

}  // namespace

void AddStatusRoutes(Api& api, std::vector<Route>* routes) {
  struct Entry {
    const char* pattern;
    const char* scope;
    Response (*function)(const Api&, const Request&);
  };
  // Metrics name tenants' volumes, so they need a key where keys exist; the others tell nothing.
  for (const Entry& entry : {Entry{"/healthz", "", Alive}, Entry{"/readyz", "", Ready},
                             Entry{"/metrics", "metrics", Scrape},
                             Entry{"/openapi.json", "", OpenApi}, Entry{"/", "", Landing}}) {
    Route route;
    route.method = Method::kGet;
    route.pattern = entry.pattern;
    route.scope = entry.scope;
    const auto function = entry.function;
    route.handler = [&api, function](const std::shared_ptr<const Request>& request,
                                     const Reply& reply) { reply.Send(function(api, *request)); };
    routes->push_back(std::move(route));
  }
}

}  // namespace heed::server
