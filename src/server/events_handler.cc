// POST /v1/events: the way in. Answers once everything accepted is durable and part of state.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "event/event.h"
#include "event/json.h"
#include "server/api.h"
#include "server/json.h"
#include "server/problem.h"

namespace heed::server {
namespace {

// What became of one event of the body, by position.
struct Outcome {
  enum class Kind : uint8_t { kStored, kDuplicate, kRefused } kind = Kind::kRefused;
  uint64_t sequence = 0;
  const Status* refusal = nullptr;
};

struct Ingest {
  std::shared_ptr<const Request> request;
  std::vector<size_t> positions;          // in the body, of the events given to the engine
  std::vector<event::Rejected> rejected;  // before the engine saw them
  int64_t started_us = 0;
};

std::vector<Outcome> Merge(const Ingest& ingest, const RecordResult& recorded) {
  std::vector<Outcome> outcomes(ingest.positions.size() + ingest.rejected.size());
  for (const event::Rejected& rejected : ingest.rejected) {
    outcomes[rejected.index].refusal = &rejected.status;
  }
  for (const RefusedEvent& refused : recorded.refused) {
    outcomes[ingest.positions[refused.index]].refusal = &refused.status;
  }
  for (size_t i = 0; i < recorded.events.size(); ++i) {
    if (!recorded.events[i]) continue;
    Outcome& outcome = outcomes[ingest.positions[i]];
    outcome.kind =
        recorded.events[i]->duplicate ? Outcome::Kind::kDuplicate : Outcome::Kind::kStored;
    outcome.sequence = recorded.events[i]->sequence;
  }
  return outcomes;
}

// {"stored":1,"duplicates":0,"refused":0,"results":[{"status":"stored","sequence":7},…]}
// results[i] is the i-th event of the body.
Response Answer(const Api& api, const Ingest& ingest, const RecordResult& recorded) {
  const std::vector<Outcome> outcomes = Merge(ingest, recorded);
  size_t stored = 0, duplicates = 0, refused = 0;
  std::string results;
  results.reserve(outcomes.size() * 40 + 2);
  results += '[';
  for (size_t i = 0; i < outcomes.size(); ++i) {
    const Outcome& outcome = outcomes[i];
    if (i > 0) results += ',';
    if (outcome.refusal != nullptr) {
      ++refused;
      results += R"({"status":"refused","problem":)";
      AppendProblem(results, *outcome.refusal);
      results += '}';
      continue;
    }
    const bool is_new = outcome.kind == Outcome::Kind::kStored;
    ++(is_new ? stored : duplicates);
    results +=
        is_new ? R"({"status":"stored","sequence":)" : R"({"status":"duplicate","sequence":)";
    AppendNumber(results, outcome.sequence);
    results += '}';
  }
  results += ']';
  api.events_stored.Add(stored);
  api.events_duplicate.Add(duplicates);
  api.events_refused.Add(refused);
  api.record_seconds.Observe(static_cast<double>(Clock::System().steady_us() - ingest.started_us) *
                             1e-6);
  if (refused == outcomes.size()) {
    // Nothing was taken: the request as a whole is refused, with the first reason and all of them.
    const auto first = std::find_if(outcomes.begin(), outcomes.end(),
                                    [](const Outcome& o) { return o.refusal != nullptr; });
    const bool single = outcomes.size() == 1;
    return Refuse(*ingest.request,
                  single ? *first->refusal : first->refusal->Within("event 0", "/0"),
                  single ? std::string() : "\"results\":" + results);
  }
  Response response;
  response.body.reserve(results.size() + 64);
  response.body += "{\"stored\":";
  AppendNumber(response.body, stored);
  response.body += ",\"duplicates\":";
  AppendNumber(response.body, duplicates);
  response.body += ",\"refused\":";
  AppendNumber(response.body, refused);
  response.body += ",\"results\":";
  response.body += results;
  response.body += '}';
  return response;
}

void HandleEvents(Api& api, const std::shared_ptr<const Request>& request, const Reply& reply) {
  // The parser's buffers are kept by the connection threads that use them.
  thread_local event::JsonReader reader;
  auto ingest = std::make_shared<Ingest>();
  ingest->request = request;
  ingest->started_us = Clock::System().steady_us();
  Result<event::ReadResult> read =
      reader.ReadBody(request->body, static_cast<size_t>(api.config.max_events_per_request));
  if (!read.ok()) return reply.Send(Refuse(*request, read.status()));
  event::ReadResult& body = read.value();
  if (body.events.empty() && body.rejected.empty()) {
    return reply.Send(Refuse(*request, InvalidArgument("the body holds no event")));
  }
  ingest->rejected = std::move(body.rejected);
  std::vector<event::Event> events;
  const std::string& tenant = request->principal.tenant;
  if (tenant.empty()) {
    events = std::move(body.events);
    ingest->positions = std::move(body.positions);
  } else {
    for (size_t i = 0; i < body.events.size(); ++i) {
      Result<std::string> allowed = TenantFor(request->principal, body.events[i].tenant, "/tenant");
      if (!allowed.ok()) {
        ingest->rejected.push_back({body.positions[i], body.events[i].id, allowed.status()});
        continue;
      }
      events.push_back(std::move(body.events[i]));
      ingest->positions.push_back(body.positions[i]);
    }
  }
  const size_t count = events.size();
  const Status queued =
      api.engine.RecordAsync(std::move(events), [&api, ingest, reply](Result<RecordResult> result) {
        // On the committer's thread: only hand over, the connection's thread writes the JSON.
        auto shared = std::make_shared<Result<RecordResult>>(std::move(result));
        reply.SendFrom([&api, ingest, shared] {
          return shared->ok() ? Answer(api, *ingest, shared->value())
                              : Refuse(*ingest->request, shared->status());
        });
      });
  if (!queued.ok()) {
    api.events_shed.Add(count);
    reply.Send(Refuse(*request, queued));
  }
}

}  // namespace

void AddEventRoutes(Api& api, std::vector<Route>* routes) {
  Route route;
  route.method = Method::kPost;
  route.pattern = "/v1/events";
  route.scope = "events:write";
  route.body = Body::kJsonOrLines;
  route.handler = [&api](const std::shared_ptr<const Request>& request, const Reply& reply) {
    HandleEvents(api, request, reply);
  };
  routes->push_back(std::move(route));
}

}  // namespace heed::server
