// /v1/rooms/{id}/attention: what of a room's broadcast bears on its viewers, second by second.
#include <algorithm>
#include <boost/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/moment_desk.h"
#include "server/api.h"
#include "server/json.h"
#include "server/problem.h"

namespace heed::server {
namespace {

namespace json = boost::json;

constexpr size_t kPage = 60, kMaxPage = 1'000;
constexpr size_t kLastMs = 100'000'000'000'000;

using model::kMomentOutcomeNames;
using model::MomentReading;
using model::MomentView;

template <typename Numbers>
json::object ByOutcome(const Numbers& numbers) {
  json::object out;
  for (size_t k = 0; k < kMomentOutcomeNames.size(); ++k) out[kMomentOutcomeNames[k]] = numbers[k];
  return out;
}

json::object ViewJson(const std::vector<model::MomentModality>& modalities,
                      const MomentReading& reading, MomentView view) {
  const auto v = static_cast<size_t>(view);
  json::object weights = {{"nothing", reading.nothing[v]}}, contributions;
  for (size_t m = 0; m < modalities.size(); ++m) {
    weights[modalities[m].name] = reading.modalities[m].weight[v];
    contributions[modalities[m].name] = ByOutcome(reading.modalities[m].contribution[v]);
  }
  return {{"weights", std::move(weights)},
          {"contributions", std::move(contributions)},
          {"rates", ByOutcome(reading.rates[v])},
          {"lift", ByOutcome(reading.lift[v])}};
}

json::object ReadingJson(const std::vector<model::MomentModality>& modalities, int64_t ts,
                         const MomentReading& reading) {
  json::object next = ViewJson(modalities, reading, MomentView::kNext), without;
  next["stay"] = reading.stay;
  for (size_t m = 0; m < modalities.size(); ++m) {
    json::object change = ByOutcome(reading.modalities[m].without);
    change["highlight"] = reading.modalities[m].highlight_without;
    without[modalities[m].name] = std::move(change);
  }
  return {{"ts", ts},
          {"second", reading.second},
          {"now", ViewJson(modalities, reading, MomentView::kNow)},
          {"next", std::move(next)},
          {"highlight", reading.highlight},
          {"without", std::move(without)}};
}

json::object LagsJson(const model::MomentAttention& model) {
  json::object lags;
  for (size_t m = 0; m < model.config().modalities.size(); ++m) {
    json::object views;
    for (const auto& [name, view] :
         {std::pair{"now", MomentView::kNow}, {"next", MomentView::kNext}}) {
      const model::MomentAttention::Lag lag = model.lag(view, m);
      views[name] = {{"lag_s", lag.lag_s}, {"decay", lag.decay}, {"rise", lag.rise}};
    }
    lags[model.config().modalities[m].name] = std::move(views);
  }
  return lags;
}

Result<Response> ReadAttention(Api& api, const Request& request) {
  HEED_ASSIGN_OR_RETURN(const std::string tenant, TenantFor(request));
  HEED_ASSIGN_OR_RETURN(const size_t limit, QueryNumber(request, "limit", kPage, 1, kMaxPage));
  HEED_ASSIGN_OR_RETURN(const size_t since, QueryNumber(request, "since", 0, 0, kLastMs));
  const engine::MomentDesk& desk = *api.engine.moments();
  const engine::MomentReader* reader = desk.reader();
  if (reader == nullptr) {
    return Status(
        Code::kConflict,
        "no model reads broadcasts: broadcast.model names none (heed train with the recipe "
        "moment-attention makes one)");
  }
  const model::MomentAttentionConfig& config = reader->model->config();
  json::array items;
  auto next_since = static_cast<int64_t>(since);
  HEED_RETURN_IF_ERROR(desk.Look(tenant, request.params[0], [&](const engine::RoomMoments& room) {
    const bool from = request.Query("since") != nullptr;
    for (const engine::KeptMoment& kept :
         room.Page(from ? std::optional(next_since) : std::nullopt, limit)) {
      next_since = kept.ts;
      if (kept.reading) items.push_back(ReadingJson(config.modalities, kept.ts, *kept.reading));
    }
  }));
  Response response;
  response.body = json::serialize(json::object{{"room", request.params[0]},
                                               {"model", reader->name},
                                               {"look_back_s", config.look_back_s},
                                               {"horizon_s", config.horizon_s},
                                               {"lags", LagsJson(*reader->model)},
                                               {"attention", std::move(items)},
                                               {"next_since", next_since}});
  return response;
}

}  // namespace

void AddAttentionRoute(Api& api, std::vector<Route>* routes) {
  Route route;
  route.method = Method::kGet;
  route.pattern = "/v1/rooms/{id}/attention";
  route.scope = "rooms:read";
  route.lane = Lane::kDisk;  // a thousand readings are milliseconds: not the connection's
  route.query = {"tenant", "since", "limit"};
  route.handler = Answering([&api](const Request& request) { return ReadAttention(api, request); });
  routes->push_back(std::move(route));
}

}  // namespace heed::server
