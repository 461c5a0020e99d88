// heed serve: the engine behind HTTP, until Ctrl-C or SIGTERM.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>

#include "heed/engine.h"

#include "base/log.h"
#include "cli/command.h"
#include "server/config.h"
#include "server/server.h"

namespace heed::cli {
namespace {

struct Options {
  std::string config;
  std::string directory;
  std::string address;
  int port = -1;
};

int Serve(const Options& options) {
  WatchForStop();
  std::string path = options.config;
  if (path.empty() && std::filesystem::exists("heed.toml")) path = "heed.toml";
  Result<Config> loaded = LoadConfig(path, CurrentEnvironment());
  if (!loaded.ok()) return Fail(loaded.status());
  Config& config = loaded.value();
  if (!options.directory.empty()) config.engine.directory = options.directory;
  if (!options.address.empty()) config.server.address = options.address;
  if (options.port >= 0) config.server.port = options.port;
  if (const Status log = ConfigureLog(config.log.level, config.log.format); !log.ok()) {
    return Fail(log);
  }
  const Result<std::unique_ptr<Engine>> engine = Engine::Open(config.engine);
  if (!engine.ok()) return Fail(engine.status());
  const Result<std::unique_ptr<server::Server>> server =
      server::Server::Start(*engine.value(), config);
  if (!server.ok()) return Fail(server.status());
  std::printf("heed listens on %s\n", server.value()->url().c_str());
  std::fflush(stdout);
  while (!StopRequested()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  std::fprintf(stderr, "stopping: requests in flight are finished, then state is written\n");
  return 0;
}

}  // namespace

void AddServe(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("serve", "Run the engine behind HTTP");
  command->footer(
      "Example:\n  heed serve --data data --port 7600\n"
      "Settings: heed.toml in the working directory or --config; HEED_SECTION_KEY in the "
      "environment\n"
      "wins over it, and the options here over both.");
  command->add_option("--config", options->config, "Settings; default heed.toml where it exists");
  command->add_option("--data", options->directory, "Where everything durable lives");
  command->add_option("--address", options->address,
                      "Listen here; other than loopback needs a key");
  command->add_option("--port", options->port, "0 takes any free port")
      ->check(CLI::Range(0, 65535));
  command->callback([options, exit_code] { *exit_code = Serve(*options); });
}

}  // namespace heed::cli
