// The routes of Heed's HTTP API, over an Engine. docs/api.md and openapi.json describe them.
#pragma once

#include <atomic>
#include <vector>

#include "heed/engine.h"

#include "base/metrics.h"
#include "server/config.h"
#include "server/router.h"

namespace heed::server {

// What handlers share. Made once; safe from any thread.
struct Api {
  Api(Engine& engine_in, const ServerConfig& config_in, Metrics& metrics_in);

  Engine& engine;
  const ServerConfig& config;
  Metrics& metrics;
  Counter events_stored, events_duplicate, events_refused, events_shed;
  Histogram record_seconds, recommend_seconds;
  Histogram parse_stage, state_stage, score_stage, choose_stage, log_stage;
  std::atomic<bool> draining{false};  // /readyz says no while the server stops
};

// The whole table. `api` outlives the handlers.
std::vector<Route> MakeRoutes(Api& api);

// One resource a file.
void AddEventRoutes(Api& api, std::vector<Route>* routes);      // /v1/events
void AddRecommendRoutes(Api& api, std::vector<Route>* routes);  // /v1/recommend/*, /v1/decisions/*
void AddCatalogRoutes(Api& api, std::vector<Route>* routes);    // /v1/catalog/*
void AddRoomRoutes(Api& api, std::vector<Route>* routes);       // /v1/rooms/*
void AddAttentionRoute(Api& api, std::vector<Route>* routes);   // …/attention
void AddMomentRoutes(Api& api, std::vector<Route>* routes);     // …/moments, …/embeddings
void AddTextRoutes(Api& api, std::vector<Route>* routes);       // /v1/text/*
void AddModelRoutes(Api& api, std::vector<Route>* routes);      // /v1/models, /v1/train
void AddStatusRoutes(Api& api, std::vector<Route>* routes);     // health, metrics, documents

// heed_learning_*, heed_labels_*, heed_progressive_*.
void AddLearningMetrics(Engine& engine, Metrics& metrics);

// heed_comments_*, heed_comment_*, heed_lint_hits_total: of an engine that reads texts.
void AddCommentMetrics(Engine& engine, Metrics& metrics);

// The tenant a request is about: what it names (`wanted`, may be empty), else the key's, else
// "default". kPermissionDenied, naming `field`, when the key is bound to another.
Result<std::string> TenantFor(const Principal& principal, const std::string& wanted,
                              const char* field);

// By the query parameter, where there is one.
Result<std::string> TenantFor(const Request& request);
// A whole number from `low` to `high`; `otherwise` when absent. kInvalidArgument naming "?name".
Result<size_t> QueryNumber(const Request& request, const char* name, size_t otherwise, size_t low,
                           size_t high);
// What the engine knows of texts and rooms; kUnavailable when it reads none.
Result<engine::RoomDesk*> DeskOf(const Api& api);

// Where the time of recommendations goes: one histogram, heed_recommend_stage_seconds, by stage.
Histogram AddStage(Metrics& metrics, const char* stage);

// Embedded at build time.
extern const char* const kOpenApi;
extern const char* const kLandingPage;

}  // namespace heed::server
