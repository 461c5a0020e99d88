// heed import: events from NDJSON files into an engine's directory, without a server.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "heed/engine.h"

#include "cli/command.h"
#include "cli/progress.h"
#include "event/json.h"

namespace heed::cli {
namespace {

constexpr size_t kGroup = 5'000;

struct Options {
  std::string directory = "data";
  std::vector<std::string> files;
};

struct Totals {
  uint64_t stored = 0, duplicates = 0, refused = 0;
};

void Refuse(const std::string& name, size_t line, const Status& status, Totals* totals) {
  // The first few in full, the rest counted: a wrong file should not scroll away what is wrong.
  if (++totals->refused <= 20) {
    std::fprintf(stderr, "%s:%zu: %s\n", name.c_str(), line, status.ToString().c_str());
  }
}

Status Flush(Engine& engine, const std::string& name, std::vector<event::Event>* events,
             std::vector<size_t>* lines, Totals* totals) {
  if (events->empty()) return {};
  HEED_ASSIGN_OR_RETURN(const RecordResult result, engine.Record(std::move(*events)));
  for (const RefusedEvent& refused : result.refused) {
    Refuse(name, (*lines)[refused.index], refused.status, totals);
  }
  for (const auto& recorded : result.events) {
    if (recorded) ++(recorded->duplicate ? totals->duplicates : totals->stored);
  }
  events->clear();
  lines->clear();
  return {};
}

Status ImportStream(Engine& engine, std::istream& in, const std::string& name, Progress* progress,
                    Totals* totals) {
  event::JsonReader reader;
  std::vector<event::Event> events;
  std::vector<size_t> lines;
  std::string line;
  size_t number = 0;
  while (!StopRequested() && std::getline(in, line)) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    Result<event::Event> event = reader.ReadOne(line);
    if (!event.ok()) {
      Refuse(name, number, event.status(), totals);
      continue;
    }
    events.push_back(std::move(event).value());
    lines.push_back(number);
    if (events.size() == kGroup) {
      HEED_RETURN_IF_ERROR(Flush(engine, name, &events, &lines, totals));
      progress->Update(totals->stored + totals->duplicates, 0);
    }
  }
  HEED_RETURN_IF_ERROR(Flush(engine, name, &events, &lines, totals));
  progress->Update(totals->stored + totals->duplicates, 0);
  return in.bad() ? IoError(name + ": cannot be read further") : Status();
}

int Import(const Options& options) {
  WatchForStop();
  EngineOptions engine_options;
  engine_options.directory = options.directory;
  const Result<std::unique_ptr<Engine>> engine = Engine::Open(engine_options);
  if (!engine.ok()) return Fail(engine.status());
  Totals totals;
  Progress progress("import", "events");
  for (const std::string& name : options.files) {
    std::ifstream file;
    if (name != "-") {
      file.open(name);
      if (!file) return Fail(NotFound(name + ": cannot be opened"));
    }
    const Status done =
        ImportStream(*engine.value(), name == "-" ? std::cin : file, name, &progress, &totals);
    if (!done.ok()) return Fail(done);
  }
  progress.Finish();
  fmt::print("{{\"stored\":{},\"duplicates\":{},\"refused\":{}}}\n", totals.stored,
             totals.duplicates, totals.refused);
  if (StopRequested()) return kStopped;
  return totals.refused == 0 ? 0 : kFailed;
}

}  // namespace

void AddImport(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("import", "Read NDJSON events into an engine's directory");
  command->footer(
      "Examples:\n  heed import --data data evening.ndjson\n"
      "  heed simulate --now | heed import --data data -\n"
      "The same file again changes nothing: events are kept once by tenant and id.");
  command->add_option("--data", options->directory, "The engine's directory")
      ->capture_default_str();
  command->add_option("files", options->files, "NDJSON files; - is standard input")->required();
  command->callback([options, exit_code] { *exit_code = Import(*options); });
}

}  // namespace heed::cli
