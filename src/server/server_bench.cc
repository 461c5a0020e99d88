// Durable ingest and recommendation over HTTP, client included, on loopback.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "heed/engine.h"

#include "base/clock.h"
#include "base/log.h"
#include "event/event.h"
#include "event/json.h"
#include "server/http_client.h"
#include "server/server.h"

namespace heed::server {
namespace {

constexpr int kHosts = 50, kUsers = 5'000;

event::Event Make(uint64_t number, std::string room, std::string user, event::Data data) {
  event::Event event;
  event.id = "bench-" + std::to_string(number);
  event.ts = Clock::System().now_ms();
  event.tenant = "default";
  event.session = room + "-s";
  event.room = std::move(room);
  event.src = {.platform = "bench", .adapter = "bench"};
  event.actor = event::Actor{.id = std::move(user), .kind = event::ActorKind::kViewer};
  event.data = std::move(data);
  return event;
}

// The mix of an evening in short: enters, leaves with their watch time, likes, product clicks.
event::Event Viewing(uint64_t number) {
  const uint64_t user = number * 2'654'435'761u % kUsers, room = number * 40'503u % kHosts;
  const std::string r = "r" + std::to_string(room), u = "u" + std::to_string(user);
  switch (number % 4) {
    case 0: return Make(number, r, u, event::ViewerEnter{.channel = "feed"});
    case 1: return Make(number, r, u, event::ViewerLeave{.watch_ms = 30'000});
    case 2: return Make(number, r, u, event::Like{.count = 3});
    default:
      return Make(number, r, u,
                  event::ProductClick{.product_id = "p" + std::to_string(room),
                                      .surface = event::Surface::kCard});
  }
}

// A server over an engine in a directory of its own, with kHosts rooms live.
class World {
 public:
  World() {
    spdlog::set_level(spdlog::level::warn);
    // Under the working directory: /tmp may be memory, where a sync costs nothing.
    std::string pattern = (std::filesystem::current_path() / "heed_bench_XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    Config config;
    config.engine.directory = directory_;
    config.server.port = 0;
    engine_ = Engine::Open(config.engine).value();
    std::vector<event::Event> events;
    for (int i = 0; i < kHosts; ++i) {
      const std::string n = std::to_string(i);
      events.push_back(
          Make(next++, "r" + n, "h" + n, event::StreamStart{.title = "t", .host_id = "h" + n}));
      events.push_back(Make(next++, "r" + n, "h" + n,
                            event::ProductBind{.product_id = "p" + n, .stock = 5, .on = true}));
    }
    if (!engine_->Record(std::move(events)).ok()) std::abort();
    server_ = Server::Start(*engine_, config).value();
  }
  ~World() {
    server_.reset();
    engine_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  HttpClient Connect() const { return HttpClient::Connect("127.0.0.1", server_->port()).value(); }
  Engine& engine() { return *engine_; }

  std::atomic<uint64_t> next{0};

 private:
  std::string directory_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Server> server_;
};

// range(0): events a request, range(1): connections. Bodies are made before the clock starts; one
// iteration sends 400 requests. Every answer must say that all of its events were stored.
void BM_IngestOverHttp(benchmark::State& state) {
  const auto batch = static_cast<uint64_t>(state.range(0));
  const auto connections = static_cast<size_t>(state.range(1));
  constexpr size_t kRequests = 400;
  World world;
  const std::string expected = "{\"stored\":" + std::to_string(batch) + ",";
  for (auto unused [[maybe_unused]] : state) {
    state.PauseTiming();
    std::vector<std::string> bodies(kRequests);
    for (std::string& body : bodies)
      for (uint64_t i = 0; i < batch; ++i) body += event::ToJson(Viewing(world.next++)) + "\n";
    state.ResumeTiming();
    std::atomic<size_t> taken = 0, failed = 0;
    std::vector<std::thread> clients;
    for (size_t c = 0; c < connections; ++c) {
      clients.emplace_back([&] {
        HttpClient client = world.Connect();
        for (size_t i = 0; (i = taken++) < kRequests;) {
          const auto answer = client.Request("POST", "/v1/events", bodies[i],
                                             {{"Content-Type", "application/x-ndjson"}});
          if (!answer.ok() || !answer.value().body.starts_with(expected)) ++failed;
        }
      });
    }
    for (std::thread& client : clients) client.join();
    if (failed > 0) state.SkipWithError("not every event was stored");
  }
  state.counters["events/s"] = benchmark::Counter(
      static_cast<double>(state.iterations() * kRequests * batch), benchmark::Counter::kIsRate);
}
BENCHMARK(BM_IngestOverHttp)
    ->ArgNames({"batch", "connections"})
    ->Args({1, 8})
    ->Args({100, 2})
    ->Args({100, 8})
    ->Args({1000, 4})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// One connection, one request after the other: the latency a caller sees.
void BM_RecommendOverHttp(benchmark::State& state) {
  World world;
  std::vector<event::Event> events;
  for (int i = 0; i < 20'000; ++i) events.push_back(Viewing(world.next++));
  if (!world.engine().Record(std::move(events)).ok()) std::abort();
  HttpClient client = world.Connect();
  uint64_t user = 0;
  for (auto unused [[maybe_unused]] : state) {
    const auto answer = client.Request("POST", "/v1/recommend/hosts",
                                       "{\"user\":\"u" + std::to_string(user++ % kUsers) + "\"}");
    if (!answer.ok() || answer.value().status != 200) state.SkipWithError("no recommendation");
  }
}
BENCHMARK(BM_RecommendOverHttp)->UseRealTime()->Unit(benchmark::kMicrosecond);

// The cost of HTTP itself.
void BM_Healthz(benchmark::State& state) {
  World world;
  HttpClient client = world.Connect();
  for (auto unused [[maybe_unused]] : state) {
    const auto answer = client.Request("GET", "/healthz", "");
    if (!answer.ok()) state.SkipWithError("no answer");
  }
}
BENCHMARK(BM_Healthz)->UseRealTime()->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace heed::server
