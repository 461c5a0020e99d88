// heed inspect: what is on disk, in words or as JSON.
#include <cstdio>
#include <string>

#include "heed/engine.h"

#include "cli/command.h"
#include "cli/inspect_drift.h"
#include "event/event.h"
#include "event/json.h"
#include "model/ranker.h"

namespace heed::cli {
namespace {

Result<std::unique_ptr<Engine>> OpenEngine(const std::string& directory) {
  EngineOptions options;
  options.directory = directory;
  return Engine::Open(options);
}

int InspectEvents(const std::string& directory, uint64_t from) {
  Result<std::unique_ptr<Engine>> engine = OpenEngine(directory);
  if (!engine.ok()) return Fail(engine.status());
  const Status read =
      engine.value()->ReadEvents(from, [](uint64_t sequence, const event::Event& event) -> Status {
        std::printf("{\"sequence\":%llu,\"event\":%s}\n", static_cast<unsigned long long>(sequence),
                    event::ToJson(event).c_str());
        return std::ferror(stdout) != 0 ? IoError("standard output") : Status();
      });
  return read.ok() ? 0 : Fail(read);
}

int InspectStats(const std::string& directory) {
  Result<std::unique_ptr<Engine>> engine = OpenEngine(directory);
  if (!engine.ok()) return Fail(engine.status());
  const EngineStats stats = engine.value()->Stats();
  const auto print = [](const char* name, uint64_t value, const char* end = ",") {
    std::printf("\"%s\":%llu%s", name, static_cast<unsigned long long>(value), end);
  };
  std::printf("{");
  print("events", stats.last_sequence);
  print("users", stats.users);
  print("hosts", stats.hosts);
  print("rooms", stats.rooms);
  print("products", stats.products);
  print("live_rooms", stats.live_rooms, "}\n");
  return 0;
}

int InspectModel(const std::string& path) {
  const Result<std::unique_ptr<model::Ranker>> ranker = model::Ranker::Load(path);
  if (!ranker.ok()) return Fail(ranker.status());
  const model::RankerConfig& config = ranker.value()->config();
  std::printf("parameters  %llu\n",
              static_cast<unsigned long long>(ranker.value()->parameter_count()));
  std::printf("attention   %u heads, %u wide; embeddings %u wide\n", config.attention_heads,
              config.attention_width, config.embedding_width);
  if (config.projection > 0) std::printf("projection  %u wide\n", config.projection);
  const char* const blocks[] = {"mlp", "cross", "autoint", "afm"};
  for (const model::BlockConfig& block : config.Blocks()) {
    std::printf("block       %s%s", blocks[static_cast<size_t>(block.kind)],
                block.gate ? ", gated" : "");
    if (block.kind == model::BlockKind::kMlp) {
      for (const uint32_t width : block.hidden) std::printf(" %u", width);
    }
    std::printf("\n");
  }
  const char* const pools[] = {"dot", "din", "din_sum"};
  for (size_t s = 0; s < config.schema.sequences.size(); ++s) {
    std::printf("pool        %-18s %s\n", config.schema.sequences[s].name.c_str(),
                pools[static_cast<size_t>(config.PoolOf(s).kind)]);
  }
  const char* const heads[] = {"shared", "mmoe", "ple"};
  std::printf("head        %s\n", heads[static_cast<size_t>(config.head.kind)]);
  for (const model::LinkConfig& link : config.links) {
    std::printf("link        %s given %s\n", link.task.c_str(), link.given.c_str());
  }
  for (const model::FieldSpec& field : config.schema.fields) {
    std::printf("field       %-18s table %-12s %s\n", field.name.c_str(), field.table.c_str(),
                field.side == model::Side::kRequest ? "request" : "candidate");
  }
  for (const model::NumericSpec& numeric : config.schema.numerics) {
    std::printf("numeric     %-18s %18s %s\n", numeric.name.c_str(), "",
                numeric.side == model::Side::kRequest ? "request" : "candidate");
  }
  for (const model::SequenceSpec& sequence : config.schema.sequences) {
    std::printf("sequence    %-18s at most %u:", sequence.name.c_str(), sequence.max_length);
    for (const std::string& table : sequence.tables) std::printf(" %s", table.c_str());
    std::printf("  asked by");
    for (const std::string& field : sequence.query_fields) std::printf(" %s", field.c_str());
    std::printf("\n");
  }
  for (const model::TaskSpec& task : config.schema.tasks) {
    std::printf("task        %-18s worth %g", task.name.c_str(), static_cast<double>(task.value));
    if (task.kind == model::TaskKind::kValue) {
      std::printf(", a value%s%s, Huber delta %g", task.given.empty() ? "" : " given ",
                  task.given.c_str(), static_cast<double>(task.huber_delta));
    }
    std::printf("\n");
  }
  return 0;
}

}  // namespace

void AddInspect(CLI::App& app, int* exit_code) {
  struct Options {
    std::string directory = "data";
    DriftOptions model;
    uint64_t from = 1;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("inspect", "Show what is on disk");
  command->require_subcommand(1);
  command->footer(
      "Examples:\n  heed inspect events --data data | head\n"
      "  heed inspect model data/models/hosts-000001.heed\n"
      "  heed inspect model model.heed --config examples/recipes/kuairand.toml --data "
      "KuaiRand-Pure\n"
      "  heed inspect model hosts --port 8080 --json");
  CLI::App* events = command->add_subcommand("events", "The event log, one JSON object a line");
  events->add_option("--data", options->directory, "The engine's directory")->capture_default_str();
  events->add_option("--from", options->from, "First sequence")->capture_default_str();
  events->callback(
      [options, exit_code] { *exit_code = InspectEvents(options->directory, options->from); });
  CLI::App* stats = command->add_subcommand("stats", "Counts, as one JSON object");
  stats->add_option("--data", options->directory, "The engine's directory")->capture_default_str();
  stats->callback([options, exit_code] { *exit_code = InspectStats(options->directory); });
  CLI::App* model =
      command->add_subcommand("model",
                              "What a model file reads and predicts; with a data set, or of a "
                              "server that learns, also how well its heads are "
                              "calibrated and how far its inputs are from those it was trained on");
  DriftOptions& drift = options->model;
  model->add_option("model", drift.model, "A .heed file; with --port, hosts or products")
      ->required();
  CLI::Option* recipe = model->add_option("--config", drift.recipe, "The recipe it was trained by");
  CLI::Option* data =
      model->add_option("--data", drift.directory, "Folder with the data set's files");
  recipe->needs(data);
  data->needs(recipe);
  model->add_option("--split", drift.split, "valid or test")
      ->check(CLI::IsMember({"valid", "test"}))
      ->capture_default_str();
  model->add_option("--host", drift.host, "Where the server listens")->capture_default_str();
  CLI::Option* port = model->add_option("--port", drift.port, "Its port")->excludes(recipe);
  model->add_option("--key", drift.key, "An API key with the scope models")->envname("HEED_KEY");
  model->add_flag("--json", drift.json, "Calibration and drift as one JSON object");
  model->callback([options, exit_code, recipe, port] {
    const DriftOptions& wanted = options->model;
    *exit_code = port->count() > 0     ? InspectDriftOfServer(wanted)
                 : recipe->count() > 0 ? InspectDriftOfFile(wanted)
                                       : InspectModel(wanted.model);
  });
}

}  // namespace heed::cli
