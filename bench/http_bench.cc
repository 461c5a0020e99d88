// The engine behind HTTP on loopback: durable ingest, rankings, and how soon an acknowledged event is
// in its viewer's next ranking. Server and clients share the machine, as in the stated targets.
//
// ./run bench http
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "event/json.h"
#include "server/http_client.h"
#include "server/server.h"
#include "sim/world.h"

namespace heed {
namespace {

constexpr int64_t kMaxEvents = 300'000;

template <typename T>
T OrDie(Result<T> result) {
  if (!result.ok()) {
    fmt::print(stderr, "{}\n", result.status().ToString());
    std::abort();
  }
  return std::move(result).value();
}

// An engine and its server on a fresh directory, gone at the end.
class Running {
 public:
  Running() {
    static std::atomic<int> number{0};
    config_.engine.directory =
        (std::filesystem::temp_directory_path() /
         fmt::format("heed-bench-{:x}-{}", Clock::System().steady_us(), ++number))
            .string();
    config_.server.port = 0;
    const Status log = ConfigureLog("warn", "text");
    if (!log.ok()) std::abort();
    engine_ = OrDie(Engine::Open(config_.engine));
    server_ = OrDie(server::Server::Start(*engine_, config_));
  }
  ~Running() {
    server_.reset();
    engine_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(config_.engine.directory, ignored);
  }
  server::HttpClient Connect() const {
    return OrDie(server::HttpClient::Connect("127.0.0.1", server_->port()));
  }
  Engine& engine() { return *engine_; }

 private:
  Config config_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<server::Server> server_;
};

sim::WorldConfig Evening() {
  sim::WorldConfig config;
  config.users = 3'000;
  config.hosts = 200;
  config.endless_evening = true;
  config.duration_ms = 0;
  config.start_ts = Clock::System().now_ms() - 6 * sim::kHourMs;
  config.tenant = "default";
  return config;
}

// `events` as request bodies of `batch` lines.
std::vector<std::string> Bodies(const std::vector<event::Event>& events, size_t batch) {
  std::vector<std::string> bodies;
  for (size_t first = 0; first < events.size(); first += batch) {
    std::string body;
    for (size_t i = first; i < std::min(events.size(), first + batch); ++i) {
      body += event::ToJson(events[i]) + "\n";
    }
    bodies.push_back(std::move(body));
  }
  return bodies;
}

// Args: connections, events a request. Every answer is waited for, so every event counted is durable
// and in state.
void BenchIngest(benchmark::State& state) {
  const auto connections = static_cast<size_t>(state.range(0));
  sim::World world(Evening());
  sim::Batch made;
  // Small batches pay for a sync each; fewer of them say as much.
  world.Produce(static_cast<size_t>(std::min(kMaxEvents, state.range(1) * 20'000)), made);
  const std::vector<std::string> bodies = Bodies(made.events, static_cast<size_t>(state.range(1)));
  int64_t events = 0;
  std::vector<double> acknowledged_ms;
  for ([[maybe_unused]] auto unused : state) {
    Running running;
    std::vector<std::vector<double>> latencies(connections);
    std::atomic<size_t> next{0};
    std::atomic<bool> failed{false};
    const int64_t started_us = Clock::System().steady_us();
    std::vector<std::thread> clients;
    for (size_t c = 0; c < connections; ++c) {
      clients.emplace_back([&, c] {
        server::HttpClient client = running.Connect();
        for (size_t i = next++; i < bodies.size(); i = next++) {
          const int64_t sent_us = Clock::System().steady_us();
          const auto answer = client.Request("POST", "/v1/events", bodies[i],
                                             {{"Content-Type", "application/x-ndjson"}});
          if (!answer.ok() || answer.value().status != 200) failed = true;
          latencies[c].push_back(static_cast<double>(Clock::System().steady_us() - sent_us) / 1000);
        }
      });
    }
    for (std::thread& client : clients) client.join();
    state.SetIterationTime(static_cast<double>(Clock::System().steady_us() - started_us) * 1e-6);
    if (failed || running.engine().Stats().last_sequence != made.events.size()) {
      state.SkipWithError("not every event was stored");
      return;
    }
    events += static_cast<int64_t>(made.events.size());
    for (const auto& each : latencies) {
      acknowledged_ms.insert(acknowledged_ms.end(), each.begin(), each.end());
    }
  }
  std::sort(acknowledged_ms.begin(), acknowledged_ms.end());
  state.SetItemsProcessed(events);
  state.counters["p50_ms"] = acknowledged_ms[acknowledged_ms.size() / 2];
  state.counters["p99_ms"] = acknowledged_ms[acknowledged_ms.size() * 99 / 100];
}
BENCHMARK(BenchIngest)
    ->ArgNames({"connections", "batch"})
    ->Args({16, 100})
    ->Args({4, 1000})
    ->Args({16, 1})
    ->UseManualTime()
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

std::string Recommend(const std::string& user) {
  return "{\"user\":\"" + user + "\",\"limit\":10}";
}

// One evening, trained on, then asked. Shared by the two latency benchmarks.
struct Trained {
  Trained() : world(Evening()) {
    sim::Batch batch;
    world.Advance(Clock::System().now_ms(), batch);
    server::HttpClient client = running.Connect();
    for (const std::string& body : Bodies(batch.events, 1000)) {
      const auto answer =
          client.Request("POST", "/v1/events", body, {{"Content-Type", "application/x-ndjson"}});
      ok = ok && answer.ok() && answer.value().status == 200;
    }
    ok = ok && running.engine().Train({}).ok();
  }
  Running running;
  sim::World world;
  bool ok = true;
};

void ReportLatency(benchmark::State& state, std::vector<double>& milliseconds) {
  std::sort(milliseconds.begin(), milliseconds.end());
  state.counters["p50_ms"] = milliseconds[milliseconds.size() / 2];
  state.counters["p99_ms"] = milliseconds[milliseconds.size() * 99 / 100];
}

constexpr int kAsked = 2'000;

// All live rooms as candidates, one request after the other.
void BenchRecommendHosts(benchmark::State& state) {
  static Trained trained;
  server::HttpClient client = trained.running.Connect();
  Random random(1);
  std::vector<double> milliseconds;
  for ([[maybe_unused]] auto unused : state) {
    const auto& users = trained.world.population().users;
    const int64_t started_us = Clock::System().steady_us();
    const auto answer = client.Request("POST", "/v1/recommend/hosts",
                                       Recommend(users[random.Below(users.size())].id),
                                       {{"Content-Type", "application/json"}});
    milliseconds.push_back(static_cast<double>(Clock::System().steady_us() - started_us) / 1000);
    if (!trained.ok || !answer.ok() || answer.value().status != 200) {
      state.SkipWithError("a recommendation failed");
      return;
    }
  }
  ReportLatency(state, milliseconds);
  state.counters["candidates"] = static_cast<double>(trained.world.LiveHosts().size());
}
BENCHMARK(BenchRecommendHosts)->Iterations(kAsked)->Unit(benchmark::kMillisecond);

// From the acknowledgement of a viewer.enter to the answer of that viewer's next ranking, whose
// state_sequence must cover it.
void BenchEventToRank(benchmark::State& state) {
  static Trained trained;
  server::HttpClient client = trained.running.Connect();
  const auto& users = trained.world.population().users;
  const std::vector<uint32_t> live = trained.world.LiveHosts();
  Random random(2);
  static int number = 0;
  std::vector<double> milliseconds;
  for ([[maybe_unused]] auto unused : state) {
    const std::string& user = users[random.Below(users.size())].id;
    event::Event event;
    event.id = fmt::format("bench-{}", ++number);
    event.ts = Clock::System().now_ms();
    event.tenant = "default";
    event.room = trained.world.population().hosts[live[random.Below(live.size())]].room;
    event.session = event.room + "-s";
    event.src.platform = "bench";
    event.src.adapter = "bench";
    event.actor = event::Actor{.id = user, .kind = event::ActorKind::kViewer};
    event.data = event::ViewerEnter{.channel = "feed"};
    const auto stored = client.Request("POST", "/v1/events", event::ToJson(event),
                                       {{"Content-Type", "application/json"}});
    const int64_t started_us = Clock::System().steady_us();
    const auto ranking = client.Request("POST", "/v1/recommend/hosts", Recommend(user),
                                        {{"Content-Type", "application/json"}});
    milliseconds.push_back(static_cast<double>(Clock::System().steady_us() - started_us) / 1000);
    const std::string sequence =
        fmt::format("\"state_sequence\":{},", trained.running.engine().Stats().last_sequence);
    if (!stored.ok() || stored.value().status != 200 || !ranking.ok() ||
        ranking.value().body.find(sequence) == std::string::npos) {
      state.SkipWithError("a ranking did not know the event before it");
      return;
    }
  }
  ReportLatency(state, milliseconds);
}
BENCHMARK(BenchEventToRank)->Iterations(kAsked)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace heed
