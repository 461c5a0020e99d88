// heed demo: a simulated evening from events to explained rankings, all over HTTP.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "heed/engine.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "cli/command.h"
#include "cli/demo_run.h"
#include "cli/progress.h"
#include "event/event.h"
#include "server/config.h"
#include "server/server.h"
#include "sim/world.h"

namespace heed::cli {
namespace {

struct Options {
  bool once = false;
  std::string directory;  // empty: a temporary one, removed at the end
  uint64_t seed = 1;
  size_t users = 3000;
  size_t hosts = 200;
  double hours = 3;
  int port = -1;  // -1: 7600, or any free one with --once
};

// A folder that goes away with its owner.
class Workspace {
 public:
  explicit Workspace(const std::string& wanted) : temporary_(wanted.empty()), path_(wanted) {
    if (temporary_) {
      path_ = (std::filesystem::temp_directory_path() /
               fmt::format("heed-demo-{:x}", Clock::System().steady_us()))
                  .string();
    }
  }
  ~Workspace() {
    std::error_code ignored;
    if (temporary_) std::filesystem::remove_all(path_, ignored);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  const std::string& path() const { return path_; }

 private:
  bool temporary_;
  std::string path_;
};

struct Ingested {
  uint64_t acknowledged = 0;
  double seconds = 0;
  std::vector<sim::Truth> truths;  // of rooms shown, in time order
};

Result<Ingested> Ingest(server::HttpClient& client, sim::World& world, int64_t until_ts) {
  EventPoster poster(client);
  Ingested result;
  const int64_t start_ts = world.config().start_ts;
  const int64_t started_us = Clock::System().steady_us();
  Progress progress("ingest", "events");
  sim::Batch batch;
  // A simulated minute at a time; the whole is known in time, not in events.
  for (int64_t ts = start_ts; ts < until_ts && !StopRequested();) {
    ts = std::min(until_ts, ts + sim::kMinuteMs);
    batch.Clear();
    world.Advance(ts, batch);
    HEED_RETURN_IF_ERROR(poster.Post(batch.events));
    for (const sim::Truth& truth : batch.truths) {
      if (truth.product == sim::kNobody) result.truths.push_back(truth);
    }
    const double share =
        static_cast<double>(ts - start_ts) / static_cast<double>(until_ts - start_ts);
    progress.Update(poster.acknowledged(),
                    static_cast<uint64_t>(static_cast<double>(poster.acknowledged()) / share));
  }
  progress.Finish();
  result.acknowledged = poster.acknowledged();
  result.seconds = static_cast<double>(Clock::System().steady_us() - started_us) * 1e-6;
  return result;
}

// AUC of the truth itself over the last tenth of the shown rooms: no ranker can do better.
double BestPossibleAuc(const std::vector<sim::Truth>& truths) {
  std::vector<double> scores;
  std::vector<bool> happened;
  for (size_t i = truths.size() - truths.size() / 10; i < truths.size(); ++i) {
    scores.push_back(truths[i].probability);
    happened.push_back(truths[i].happened);
  }
  return sim::Auc(scores, happened);
}

void PrintWhatToTry(const sim::World& world, uint16_t port, const std::string& directory) {
  const std::vector<uint32_t> live = world.LiveHosts();
  const std::string url = fmt::format("http://127.0.0.1:{}", port);
  const std::string& tenant = world.config().tenant;
  const std::string& user = world.population().users[1].id;
  std::printf(
      "\nThe room is live and events keep coming. Try:\n\n"
      "  # hosts for a viewer, with the attention weight of every event of their history\n"
      "  curl -s %s/v1/recommend/hosts -H 'Content-Type: application/json' \\\n"
      "    -d '{\"tenant\":\"%s\",\"user\":\"%s\",\"limit\":3,\"explain\":true}'\n\n",
      url.c_str(), tenant.c_str(), user.c_str());
  if (!live.empty()) {
    std::printf(
        "  # products for the same viewer inside a room\n"
        "  curl -s %s/v1/recommend/products -H 'Content-Type: application/json' \\\n"
        "    -d '{\"tenant\":\"%s\",\"user\":\"%s\",\"room\":\"%s\"}'\n\n",
        url.c_str(), tenant.c_str(), user.c_str(), world.population().hosts[live[0]].room.c_str());
  }
  std::printf("  %s/metrics        %s/openapi.json\n\nData in %s. Ctrl-C ends.\n", url.c_str(),
              url.c_str(), directory.c_str());
  std::fflush(stdout);
}

Status KeepEventsFlowing(server::HttpClient& client, sim::World& world) {
  EventPoster poster(client);
  sim::Batch batch;
  while (!StopRequested()) {
    batch.Clear();
    world.Advance(Clock::System().now_ms(), batch);
    HEED_RETURN_IF_ERROR(poster.Post(batch.events));
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  return {};
}

// Opened anew, as after a restart: how many events are there.
Result<uint64_t> CountStored(const EngineOptions& options) {
  HEED_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, Engine::Open(options));
  uint64_t events = 0;
  HEED_RETURN_IF_ERROR(engine->ReadEvents(1, [&](uint64_t, const event::Event&) -> Status {
    ++events;
    return {};
  }));
  return events;
}

struct Outcome {
  uint64_t acknowledged = 0;
  TrainReport trained;
  double auc = 0;
  Latency recommend, event_to_rank;
};

Result<Outcome> RunOnce(Engine& engine, uint16_t port, sim::World& world, uint64_t seed) {
  Outcome outcome;
  HEED_ASSIGN_OR_RETURN(server::HttpClient client, server::HttpClient::Connect("127.0.0.1", port));
  HEED_RETURN_IF_ERROR(PostCatalog(client, world));
  HEED_ASSIGN_OR_RETURN(const Ingested ingested, Ingest(client, world, Clock::System().now_ms()));
  outcome.acknowledged = ingested.acknowledged;
  if (StopRequested()) return outcome;
  std::fprintf(stderr, "%llu events acknowledged over HTTP, %.0f a second, each durable\n",
               static_cast<unsigned long long>(ingested.acknowledged),
               static_cast<double>(ingested.acknowledged) / ingested.seconds);
  HEED_ASSIGN_OR_RETURN(outcome.trained, TrainWithProgress(engine));
  for (const TrainedModel& model : outcome.trained.models) PrintQuality(model, stderr);
  outcome.auc = outcome.trained.models[0].quality[0].auc;
  std::fprintf(stderr, "entering a shown room: AUC %.3f here, %.3f for the world's own truth\n",
               outcome.auc, BestPossibleAuc(ingested.truths));
  HEED_ASSIGN_OR_RETURN(outcome.recommend, MeasureRecommend(client, world, 500, seed));
  HEED_ASSIGN_OR_RETURN(outcome.event_to_rank,
                        MeasureEventToRank(client, world, 200, seed, &outcome.acknowledged));
  std::fprintf(stderr,
               "recommend over HTTP p50 %.2f ms, p99 %.2f ms; event to ranking p99 %.2f ms\n",
               outcome.recommend.p50, outcome.recommend.p99, outcome.event_to_rank.p99);
  return outcome;
}

int Demo(const Options& options) {
  WatchForStop();
  Config config;
  const Workspace workspace(options.directory);
  config.engine.directory = workspace.path();
  config.server.port = options.port >= 0 ? options.port : (options.once ? 0 : 7600);
  config.log.level = "warn";
  if (const Status log = ConfigureLog(config.log.level, config.log.format); !log.ok()) {
    return Fail(log);
  }
  Result<std::unique_ptr<Engine>> engine = Engine::Open(config.engine);
  if (!engine.ok()) return Fail(engine.status());
  Result<std::unique_ptr<server::Server>> server = server::Server::Start(*engine.value(), config);
  if (!server.ok()) return Fail(server.status());

  sim::WorldConfig world_config;
  world_config.seed = options.seed;
  world_config.users = options.users;
  world_config.hosts = options.hosts;
  world_config.endless_evening = true;
  world_config.duration_ms = 0;
  world_config.start_ts = Clock::System().now_ms() -
                          static_cast<int64_t>(options.hours * static_cast<double>(sim::kHourMs));
  sim::World world(world_config);
  std::fprintf(stderr, "A simulated evening: %zu viewers, %zu hosts, %.1f hours (seed %llu)\n",
               options.users, options.hosts, options.hours,
               static_cast<unsigned long long>(options.seed));
  const Result<Outcome> outcome =
      RunOnce(*engine.value(), server.value()->port(), world, options.seed);
  if (!outcome.ok()) return Fail(outcome.status());
  if (StopRequested()) return kStopped;

  if (!options.once) {
    PrintWhatToTry(world, server.value()->port(), workspace.path());
    Result<server::HttpClient> client =
        server::HttpClient::Connect("127.0.0.1", server.value()->port());
    if (!client.ok()) return Fail(client.status());
    const Status flowed = KeepEventsFlowing(client.value(), world);
    return flowed.ok() ? 0 : Fail(flowed);
  }
  server.value().reset();
  engine.value().reset();
  const Result<uint64_t> stored = CountStored(config.engine);
  if (!stored.ok()) return Fail(stored.status());
  const int64_t lost =
      static_cast<int64_t>(outcome.value().acknowledged) - static_cast<int64_t>(stored.value());
  uint64_t samples = 0;
  for (const TrainedModel& model : outcome.value().trained.models) samples += model.samples;
  fmt::print(
      "{{\"events\":{},\"samples\":{},\"auc\":{:.4f},\"recommend_p50_ms\":{:.3f},"
      "\"recommend_p99_ms\":{:.3f},\"event_to_rank_p99_ms\":{:.3f},\"acked_lost\":{}}}\n",
      outcome.value().acknowledged, samples, outcome.value().auc, outcome.value().recommend.p50,
      outcome.value().recommend.p99, outcome.value().event_to_rank.p99, lost);
  return lost == 0 ? 0 : kFailed;
}

}  // namespace

void AddDemo(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "demo", "A simulated evening: ingest over HTTP, train, rank, explain, then stay live");
  command->footer("Examples:\n  heed demo\n  heed demo --once | tail -1");
  command->add_flag("--once", options->once,
                    "One full cycle, then a JSON line with what was measured");
  command->add_option("--data", options->directory,
                      "Keep the data here; default: a temporary folder");
  command->add_option("--seed", options->seed, "Of the simulated world")->capture_default_str();
  command->add_option("--users", options->users, "Simulated viewers")->capture_default_str();
  command->add_option("--hosts", options->hosts, "Simulated hosts")->capture_default_str();
  command->add_option("--hours", options->hours, "How long the evening has been going on")
      ->check(CLI::Range(0.1, 24.0))
      ->capture_default_str();
  command->add_option("--port", options->port, "Default 7600, or any free one with --once");
  command->callback([options, exit_code] { *exit_code = Demo(*options); });
}

}  // namespace heed::cli
