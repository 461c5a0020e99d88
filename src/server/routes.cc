#include "server/api.h"

namespace heed::server {

Api::Api(Engine& engine_in, const ServerConfig& config_in, Metrics& metrics_in)
    : engine(engine_in), config(config_in), metrics(metrics_in) {
  const char* const events = "heed_events_total";
  const char* const help = "Events received, by what became of them";
  events_stored = metrics.AddCounter(events, help, {{"result", "stored"}});
  events_duplicate = metrics.AddCounter(events, help, {{"result", "duplicate"}});
  events_refused = metrics.AddCounter(events, help, {{"result", "refused"}});
  events_shed = metrics.AddCounter(events, help, {{"result", "shed"}});
  record_seconds =
      metrics.AddHistogram("heed_record_seconds", "From a read body to its durable acknowledgement",
                           Metrics::LatencyBuckets());
  recommend_seconds = metrics.AddHistogram("heed_recommend_seconds", "One decision, without HTTP",
                                           Metrics::LatencyBuckets());
  const Gauge sequence =
      metrics.AddGauge("heed_log_sequence", "Sequence of the last durable event");
  const Gauge state = metrics.AddGauge("heed_state_sequence", "Sequence that state has reached");
  const Gauge queued =
      metrics.AddGauge("heed_events_queued", "Events waiting for the log's committer");
  const Gauge live = metrics.AddGauge("heed_live_rooms", "Rooms live now");
  const Gauge users = metrics.AddGauge("heed_users", "Viewers known to state");
  metrics.BeforeScrape([this, sequence, state, queued, live, users] {
    const EngineStats stats = engine.Stats();
    sequence.Set(static_cast<double>(stats.last_sequence));
    state.Set(static_cast<double>(stats.state_sequence));
    queued.Set(static_cast<double>(stats.queued_events));
    live.Set(static_cast<double>(stats.live_rooms));
    users.Set(static_cast<double>(stats.users));
  });
}

std::vector<Route> MakeRoutes(Api& api) {
  std::vector<Route> routes;
  AddEventRoutes(api, &routes);
  AddRecommendRoutes(api, &routes);
  AddCatalogRoutes(api, &routes);
  AddModelRoutes(api, &routes);
  AddStatusRoutes(api, &routes);
  return routes;
}

Result<std::string> TenantFor(const Principal& principal, const std::string& wanted,
                              const char* field) {
  if (principal.tenant.empty()) return wanted.empty() ? std::string("default") : wanted;
  if (!wanted.empty() && wanted != principal.tenant) {
    return Status(Code::kPermissionDenied,
                  "this key may only touch tenant '" + principal.tenant + "'", field);
  }
  return principal.tenant;
}

}  // namespace heed::server
