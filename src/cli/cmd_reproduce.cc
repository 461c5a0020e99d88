// heed reproduce: a published setting, trained from the raw files and measured.
#include <fmt/format.h>

#include <cstdio>
#include <string>

#include "cli/command.h"
#include "cli/progress.h"
#include "train/reproduce.h"

namespace heed::cli {
namespace {

struct Options {
  std::string name;
  std::string directory;
  uint64_t seed = 1;
  bool json = false;
};

int Reproduce(const Options& options) {
  WatchForStop();
  Progress progress("train", "steps");
  const Result<train::ReproduceResult> result = train::Reproduce(
      options.name, options.directory, options.seed,
      [&](const train::TrainProgress& now) {
        progress.Update(
            now.step, now.steps,
            fmt::format("{}  loss {:.4f}  {:.0f} rows/s", now.phase, now.loss, now.rows_per_s));
      },
      StopFlag());
  progress.Finish();
  if (!result.ok()) return Fail(result.status());
  if (result.value().stopped) return kStopped;
  if (!options.json) {
    std::printf("%-12s %-12s %-6s %10s %10s\n", "setting", "task", "metric", "here", "baseline");
    for (const train::ReproducedFigure& figure : result.value().figures) {
      std::printf("%-12s %-12s %-6s %10.4f %10.4f\n", figure.baseline.setting.c_str(),
                  figure.baseline.task.c_str(), figure.baseline.metric.c_str(), figure.value,
                  figure.baseline.value);
    }
  }
  std::printf("%s\n", train::ToJson(result.value()).c_str());
  return 0;
}

}  // namespace

void AddReproduce(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("reproduce", "Train and measure a published setting from the raw files");
  std::string names;
  for (const std::string& name : train::BuiltinRecipes()) names += " " + name;
  command->footer("Settings:" + names +
                  "\nExample:\n  heed reproduce kuairand --data KuaiRand-Pure --seed 1 --json\n"
                  "The last line is one JSON object; docs/results.md holds such results.");
  command->add_option("name", options->name, "Which setting")
      ->required()
      ->check(CLI::IsMember(train::BuiltinRecipes()));
  command->add_option("--data", options->directory, "Folder with the data set's files")->required();
  command->add_option("--seed", options->seed, "Of first weights and row order")
      ->capture_default_str();
  command->add_flag("--json", options->json, "Only the JSON line");
  command->callback([options, exit_code] { *exit_code = Reproduce(*options); });
}

}  // namespace heed::cli
