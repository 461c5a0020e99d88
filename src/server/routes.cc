#include <charconv>

#include "server/api.h"

namespace heed::server {
namespace {

struct CacheGauges {
  std::string model, rows;
  Gauge hits, misses, entries, bytes;
};

std::vector<CacheGauges> AddCaches(Metrics& metrics) {
  std::vector<CacheGauges> all;
  for (const char* model : {"hosts", "products"}) {
    for (const char* rows : {"items", "tokens"}) {
      const auto add = [&](const char* name, const char* help) {
        return metrics.AddGauge(name, help, {{"model", model}, {"rows", rows}});
      };
      all.push_back({model, rows,
                     add("heed_row_cache_hits", "Rows found since the model was loaded"),
                     add("heed_row_cache_misses", "Rows computed since the model was loaded"),
                     add("heed_row_cache_entries", "Rows kept now"),
                     add("heed_row_cache_bytes", "Memory of the rows and their index")});
    }
  }
  return all;
}

}  // namespace

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
  parse_stage = AddStage(metrics, "parse");
  state_stage = AddStage(metrics, "state");
  score_stage = AddStage(metrics, "score");
  choose_stage = AddStage(metrics, "choose");
  log_stage = AddStage(metrics, "log");
  AddLearningMetrics(engine, metrics);
  AddCommentMetrics(engine, metrics);
  const Gauge sequence =
      metrics.AddGauge("heed_log_sequence", "Sequence of the last durable event");
  const Gauge state = metrics.AddGauge("heed_state_sequence", "Sequence that state has reached");
  const Gauge queued =
      metrics.AddGauge("heed_events_queued", "Events waiting for the log's committer");
  const Gauge live = metrics.AddGauge("heed_live_rooms", "Rooms live now");
  const Gauge users = metrics.AddGauge("heed_users", "Viewers known to state");
  metrics.BeforeScrape([this, sequence, state, queued, live, users, caches = AddCaches(metrics)] {
    const EngineStats stats = engine.Stats();
    sequence.Set(static_cast<double>(stats.last_sequence));
    state.Set(static_cast<double>(stats.state_sequence));
    queued.Set(static_cast<double>(stats.queued_events));
    live.Set(static_cast<double>(stats.live_rooms));
    users.Set(static_cast<double>(stats.users));
    for (const CacheGauges& gauges : caches) {
      // One that does not serve compiled has none: zeros.
      RowCacheStats now;
      for (const RowCacheStats& cache : stats.row_caches) {
        if (cache.model == gauges.model && cache.rows == gauges.rows) now = cache;
      }
      gauges.hits.Set(static_cast<double>(now.hits));
      gauges.misses.Set(static_cast<double>(now.misses));
      gauges.entries.Set(static_cast<double>(now.entries));
      gauges.bytes.Set(static_cast<double>(now.bytes));
    }
  });
}

Histogram AddStage(Metrics& metrics, const char* stage) {
  // From 10 µs: some stages are that short.
  static const std::vector<double> buckets = {0.00001, 0.000025, 0.00005, 0.0001, 0.00025,
                                              0.0005,  0.001,    0.0025,  0.005,  0.01,
                                              0.025,   0.05,     0.1,     0.25,   1};
  return metrics.AddHistogram("heed_recommend_stage_seconds",
                              "Where the time of recommendations goes", buckets,
                              {{"stage", stage}});
}

std::vector<Route> MakeRoutes(Api& api) {
  std::vector<Route> routes;
  AddEventRoutes(api, &routes);
  AddRecommendRoutes(api, &routes);
  AddCatalogRoutes(api, &routes);
  AddRoomRoutes(api, &routes);
  AddAttentionRoute(api, &routes);
  AddMomentRoutes(api, &routes);
  AddTextRoutes(api, &routes);
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

Result<std::string> TenantFor(const Request& request) {
  const std::string* named = request.Query("tenant");
  return TenantFor(request.principal, named != nullptr ? *named : "", "?tenant");
}

Result<size_t> QueryNumber(const Request& request, const char* name, size_t otherwise, size_t low,
                           size_t high) {
  const std::string* text = request.Query(name);
  if (text == nullptr) return otherwise;
  size_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size() || number < low || number > high) {
    return InvalidArgument(
        "must be a whole number from " + std::to_string(low) + " to " + std::to_string(high),
        std::string("?") + name);
  }
  return number;
}

Result<engine::RoomDesk*> DeskOf(const Api& api) {
  if (engine::RoomDesk* desk = api.engine.desk()) return desk;
  return Status(Code::kUnavailable, "this server reads no texts: text.on is false");
}

}  // namespace heed::server
