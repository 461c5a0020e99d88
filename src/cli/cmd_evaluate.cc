// heed evaluate: a trained ranker on a split of a described data set.
#include <cstdio>
#include <map>
#include <string>

#include "cli/command.h"
#include "train/dataset.h"
#include "train/evaluate.h"
#include "train/recipe.h"

namespace heed::cli {
namespace {

struct Options {
  std::string recipe, directory, model;
  std::string split = "test", setting = "online", segment;
  uint32_t bootstrap = 200;
  std::vector<uint32_t> ranking = {5, 10};
};

void Print(const char* name, double value, const train::Interval* interval) {
  std::printf("  %-20s %8.4f", name, value);
  if (interval != nullptr) std::printf("  [%.4f, %.4f]", interval->low, interval->high);
  std::printf("\n");
}

int Evaluate(const Options& options) {
  const Result<train::Recipe> recipe = train::LoadRecipe(options.recipe);
  if (!recipe.ok()) return Fail(recipe.status());
  const Result<train::Setting> setting = train::ParseSetting(options.setting);
  if (!setting.ok()) return Fail(setting.status());
  const Result<std::unique_ptr<model::Ranker>> ranker = model::Ranker::Load(options.model);
  if (!ranker.ok()) return Fail(ranker.status());
  const Result<std::unique_ptr<train::Dataset>> data =
      train::Dataset::Load(recipe.value().dataset, options.directory);
  if (!data.ok()) return Fail(data.status());
  train::EvaluateOptions wanted;
  wanted.split = options.split == "valid" ? train::Split::kValid : train::Split::kTest;
  wanted.setting = setting.value();
  wanted.bootstrap = options.bootstrap;
  wanted.ranking = options.ranking;
  wanted.segment_by = options.segment;
  const Result<train::EvaluationReport> report =
      train::Evaluate(*ranker.value(), *data.value(), wanted);
  if (!report.ok()) return Fail(report.status());
  std::printf("%s, %s rows, %s: %llu rows; intervals hold 95 %%, by user\n",
              report.value().dataset.c_str(), options.split.c_str(), options.setting.c_str(),
              static_cast<unsigned long long>(report.value().rows));
  for (const train::TaskReport& task : report.value().tasks) {
    const train::MetricIntervals* in = task.intervals ? &*task.intervals : nullptr;
    std::printf("%s\n", task.task.c_str());
    if (task.value) {
      Print("revenue at 1 %", task.value->revenue_capture, nullptr);
      Print("PCOC", task.value->pcoc, nullptr);
      continue;
    }
    Print("AUC", task.metrics.auc, in ? &in->auc : nullptr);
    Print("GAUC", task.metrics.gauc, in ? &in->gauc : nullptr);
    Print("log loss", task.metrics.log_loss, in ? &in->log_loss : nullptr);
    Print("normalised entropy", task.metrics.normalized_entropy,
          in ? &in->normalized_entropy : nullptr);
    Print("PCOC", task.metrics.pcoc, in ? &in->pcoc : nullptr);
    Print("ECE", task.metrics.ece, in ? &in->ece : nullptr);
    for (const train::RankingAt& at : task.ranking) {
      std::printf("  HR@%-2u %.4f  NDCG@%-2u %.4f  (%u users)\n", at.k, at.metrics.hit_rate, at.k,
                  at.metrics.ndcg, at.metrics.groups);
    }
    for (const train::SegmentReport& segment : task.segments) {
      std::printf("  %-24s %9.0f rows  AUC %.4f  PCOC %.3f\n", segment.name.c_str(),
                  segment.metrics.rows, segment.metrics.auc, segment.metrics.pcoc);
    }
  }
  return 0;
}

}  // namespace

void AddEvaluate(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("evaluate", "Measure a trained ranker on a data set");
  command->footer(
      "Example:\n  heed evaluate --config examples/recipes/kuairand.toml --data KuaiRand-Pure "
      "--model model.heed --setting frozen");
  command->add_option("--config", options->recipe, "The recipe it was trained by")->required();
  command->add_option("--data", options->directory, "Folder with the data set's files")->required();
  command->add_option("--model", options->model, "A .heed file")->required();
  command->add_option("--split", options->split, "valid or test")
      ->check(CLI::IsMember({"valid", "test"}))
      ->capture_default_str();
  command->add_option("--setting", options->setting, "online, day_lagged or frozen")
      ->capture_default_str();
  command->add_option("--segments", options->segment, "Also by the values of this column");
  command->add_option("--bootstrap", options->bootstrap, "Resamples for the intervals; 0: none")
      ->capture_default_str();
  command->add_option("--at", options->ranking, "k of HR@k and NDCG@k")->capture_default_str();
  command->callback([options, exit_code] { *exit_code = Evaluate(*options); });
}

}  // namespace heed::cli
