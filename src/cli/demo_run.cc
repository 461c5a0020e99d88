#include "cli/demo_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/random.h"
#include "event/json.h"
#include "sim/catalog.h"

namespace heed::cli {
namespace {

namespace json = boost::json;
constexpr size_t kEventsPerRequest = 500;

Result<json::value> Call(server::HttpClient& client, std::string_view method,
                         const std::string& target, const std::string& body,
                         const std::string& content_type = "application/json") {
  HEED_ASSIGN_OR_RETURN(const server::ClientResponse response,
                        client.Request(method, target, body, {{"Content-Type", content_type}}));
  json::error_code error;
  json::value value = json::parse(response.body, error);
  if (response.status >= 300 || error) {
    return Status(Code::kInternal, fmt::format("{} {} answered {}: {}", method, target,
                                               response.status, response.body.substr(0, 300)));
  }
  return value;
}

double MillisecondsSince(int64_t started_us) {
  return static_cast<double>(Clock::System().steady_us() - started_us) / 1000.0;
}

std::string RecommendBody(const sim::World& world, std::string_view user, bool explain) {
  return json::serialize(json::object{
      {"tenant", world.config().tenant}, {"user", user}, {"limit", 10}, {"explain", explain}});
}

}  // namespace

Status EventPoster::Post(const std::vector<event::Event>& events) {
  for (size_t first = 0; first < events.size(); first += kEventsPerRequest) {
    std::string body;
    const size_t end = std::min(events.size(), first + kEventsPerRequest);
    for (size_t i = first; i < end; ++i) body += event::ToJson(events[i]) + "\n";
    HEED_ASSIGN_OR_RETURN(const json::value answer,
                          Call(client_, "POST", "/v1/events", body, "application/x-ndjson"));
    const json::object& counts = answer.as_object();
    if (counts.at("refused").to_number<uint64_t>() != 0) {
      return {Code::kInternal,
              "the server refused a simulated event: " + json::serialize(answer).substr(0, 500)};
    }
    acknowledged_ += counts.at("stored").to_number<uint64_t>();
  }
  return {};
}

Status PostCatalog(server::HttpClient& client, const sim::World& world) {
  const auto post = [&](const char* kind,
                        const std::vector<sim::CatalogDocument>& documents) -> Status {
    for (size_t first = 0; first < documents.size(); first += 1000) {
      std::string body;
      const size_t end = std::min(documents.size(), first + 1000);
      for (size_t i = first; i < end; ++i) body += documents[i].json + "\n";
      const Result<json::value> answer =
          Call(client, "POST", fmt::format("/v1/catalog/{}?tenant={}", kind, world.config().tenant),
               body, "application/x-ndjson");
      HEED_RETURN_IF_ERROR(answer.status());
    }
    return {};
  };
  HEED_RETURN_IF_ERROR(post("hosts", sim::HostDocuments(world.population())));
  HEED_RETURN_IF_ERROR(post("rooms", sim::RoomDocuments(world.population())));
  return post("products", sim::ProductDocuments(world.population()));
}

Latency Percentiles(std::vector<double> milliseconds) {
  if (milliseconds.empty()) return {};
  std::sort(milliseconds.begin(), milliseconds.end());
  const auto at = [&](double share) {
    const auto last = static_cast<double>(milliseconds.size() - 1);
    return milliseconds[static_cast<size_t>(std::lround(share * last))];
  };
  return {at(0.50), at(0.99), milliseconds.size()};
}

Result<Latency> MeasureRecommend(server::HttpClient& client, const sim::World& world, size_t count,
                                 uint64_t seed) {
  Random random(seed);
  const auto& users = world.population().users;
  std::vector<double> milliseconds;
  for (size_t i = 0; i < count; ++i) {
    const std::string body =
        RecommendBody(world, users[random.Below(users.size())].id, /*explain=*/false);
    const int64_t started_us = Clock::System().steady_us();
    HEED_RETURN_IF_ERROR(Call(client, "POST", "/v1/recommend/hosts", body).status());
    milliseconds.push_back(MillisecondsSince(started_us));
  }
  return Percentiles(std::move(milliseconds));
}

Result<Latency> MeasureEventToRank(server::HttpClient& client, const sim::World& world,
                                   size_t count, uint64_t seed, uint64_t* acknowledged) {
  Random random(seed);
  const auto& users = world.population().users;
  const std::vector<uint32_t> live = world.LiveHosts();
  if (live.empty()) return Status(Code::kInternal, "no simulated host is live");
  std::vector<double> milliseconds;
  for (size_t i = 0; i < count; ++i) {
    const std::string& user = users[random.Below(users.size())].id;
    const auto& host = world.population().hosts[live[random.Below(live.size())]];
    event::Event event;
    event.id = fmt::format("demo-enter-{}-{}", seed, i);
    event.ts = Clock::System().now_ms();
    event.tenant = world.config().tenant;
    event.room = host.room;
    event.session = host.room + "-demo";
    event.src.platform = "demo";
    event.src.adapter = "demo";
    event.actor = event::Actor{.id = user, .kind = event::ActorKind::kViewer};
    event.data = event::ViewerEnter{.channel = "feed"};
    HEED_ASSIGN_OR_RETURN(const json::value stored,
                          Call(client, "POST", "/v1/events", event::ToJson(event)));
    const auto sequence = stored.at("results").at(0).at("sequence").to_number<uint64_t>();
    ++*acknowledged;
    const int64_t started_us = Clock::System().steady_us();
    HEED_ASSIGN_OR_RETURN(const json::value ranking, Call(client, "POST", "/v1/recommend/hosts",
                                                          RecommendBody(world, user, false)));
    milliseconds.push_back(MillisecondsSince(started_us));
    if (ranking.at("state_sequence").to_number<uint64_t>() < sequence) {
      return Status(Code::kInternal, "a ranking after the acknowledgement did not know the event");
    }
    // Not timed: the explanation must name the visit just made, as the newest.
    HEED_ASSIGN_OR_RETURN(const json::value explained, Call(client, "POST", "/v1/recommend/hosts",
                                                            RecommendBody(world, user, true)));
    const json::value& newest =
        explained.at("items").at(0).at("attention").at(0).at("events").at(0);
    if (newest.at("id").as_string() != host.id) {
      return Status(Code::kInternal, "the explanation does not show the visit to " + host.id +
                                         " but " + json::serialize(newest));
    }
  }
  return Percentiles(std::move(milliseconds));
}

}  // namespace heed::cli
