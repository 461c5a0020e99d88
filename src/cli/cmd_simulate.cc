// heed simulate: a simulated evening as NDJSON.
#include <cstdio>
#include <optional>
#include <string>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "event/json.h"
#include "sim/world.h"

namespace heed::cli {
namespace {

struct Options {
  sim::WorldConfig world;
  uint64_t events = 0;
  bool ends_now = false;
  double hours = 6;
};

int Simulate(Options options) {
  WatchForStop();
  options.world.duration_ms =
      static_cast<int64_t>(options.hours * static_cast<double>(sim::kHourMs));
  if (options.ends_now) {
    options.world.endless_evening = true;
    options.world.start_ts = Clock::System().now_ms() - options.world.duration_ms;
  }
  sim::World world(options.world);
  uint64_t written = 0;
  Progress progress("simulate", "events");
  while (!StopRequested() && (options.events == 0 || written < options.events)) {
    const std::optional<event::Event> event = world.Next();
    if (!event) break;
    const std::string line = event::ToJson(*event) + "\n";
    if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size()) {
      return Fail(IoError("standard output"));
    }
    if (++written % 1024 == 0) progress.Update(written, options.events);
  }
  return StopRequested() ? kStopped : 0;
}

}  // namespace

void AddSimulate(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("simulate", "Write a simulated evening of live rooms as NDJSON");
  command->footer(
      "Examples:\n  heed simulate --events 100000 > evening.ndjson\n"
      "  heed simulate --now --hours 1 | curl -sS --data-binary @- -H 'Content-Type: "
      "application/x-ndjson' "
      "http://127.0.0.1:7600/v1/events\n"
      "The same seed and sizes give the same events.");
  command->add_option("--events", options->events, "Stop after so many; 0: the whole evening");
  command->add_option("--hours", options->hours, "How long the evening lasts")
      ->check(CLI::Range(0.01, 1000.0))
      ->capture_default_str();
  command->add_option("--seed", options->world.seed, "Of everything random")->capture_default_str();
  command->add_option("--users", options->world.users, "Viewers")->capture_default_str();
  command->add_option("--hosts", options->world.hosts, "Hosts")->capture_default_str();
  command
      ->add_option("--opens", options->world.opens_per_evening,
                   "Mean times a viewer opens the app in six hours; more make longer histories")
      ->check(CLI::Range(0.01, 1000.0))
      ->capture_default_str();
  command->add_option("--tenant", options->world.tenant, "Tenant of the events")
      ->capture_default_str();
  command->add_flag("--now", options->ends_now,
                    "The last hours until now, always at the evening's peak");
  command->callback([options, exit_code] { *exit_code = Simulate(*options); });
}

}  // namespace heed::cli
