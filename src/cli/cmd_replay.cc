// heed replay: rebuilds state from the whole log and compares it with what the engine recovers from
// snapshot and tail.
#include <cstdio>
#include <string>

#include "heed/engine.h"

#include "cli/command.h"
#include "cli/progress.h"
#include "event/event.h"
#include "state/state.h"

namespace heed::cli {
namespace {

int Replay(const std::string& directory, bool verify) {
  EngineOptions options;
  options.directory = directory;
  Result<std::unique_ptr<Engine>> engine = Engine::Open(options);
  if (!engine.ok()) return Fail(engine.status());
  const uint64_t total = engine.value()->Stats().last_sequence;
  state::State replayed;
  uint64_t events = 0;
  Progress progress("replay", "events");
  const Status read =
      engine.value()->ReadEvents(1, [&](uint64_t sequence, const event::Event& event) -> Status {
        if (sequence != ++events) {
          return Corruption("expected event " + std::to_string(events) + ", found " +
                            std::to_string(sequence));
        }
        replayed.Apply(sequence, event);
        if (events % 1024 == 0) progress.Update(events, total);
        return {};
      });
  if (!read.ok()) return Fail(read);
  progress.Finish();
  const std::string from_log = replayed.Serialize();
  const bool equal = !verify || from_log == engine.value()->SerializeState();
  std::printf("{\"events\":%llu,\"state_bytes\":%zu", static_cast<unsigned long long>(events),
              from_log.size());
  if (verify) std::printf(",\"equal\":%s", equal ? "true" : "false");
  std::printf("}\n");
  if (!equal) return Fail(Corruption("recovered state is not the replayed one"));
  return 0;
}

}  // namespace

void AddReplay(CLI::App& app, int* exit_code) {
  struct Options {
    std::string directory = "data";
    bool verify = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("replay", "Rebuild state from the event log");
  command->footer(
      "Example:\n  heed replay --data data --verify\n"
      "The server must not be running on the directory.");
  command->add_option("--data", options->directory, "The engine's directory")
      ->capture_default_str();
  command->add_flag("--verify", options->verify,
                    "Compare, byte for byte, with the state recovered from snapshot and tail");
  command->callback(
      [options, exit_code] { *exit_code = Replay(options->directory, options->verify); });
}

}  // namespace heed::cli
