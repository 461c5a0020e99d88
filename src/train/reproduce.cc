#include "train/reproduce.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>

namespace heed::train {
namespace {

std::string Describe(const Baseline& baseline) {
  return baseline.task + " " + baseline.metric + ", " + baseline.setting;
}

double ValueOf(const EvaluationReport& report, const Baseline& baseline) {
  for (const TaskReport& task : report.tasks) {
    if (task.task != baseline.task) continue;
    return baseline.metric == "auc" ? task.metrics.auc : task.metrics.gauc;
  }
  return std::nan("");
}

// JSON has no NaN.
std::string Json(double value) {
  return std::isfinite(value) ? fmt::format("{:.5f}", value) : "null";
}

}  // namespace

Result<ReproduceResult> Reproduce(const Recipe& recipe, const std::string& folder, uint64_t seed,
                                  const ProgressCallback& progress, const std::atomic<bool>* stop) {
  const auto start = std::chrono::steady_clock::now();
  if (!std::filesystem::is_directory(folder)) {
    return NotFound("the data folder '" + folder + "' does not exist");
  }
  if (recipe.baselines.empty()) {
    return InvalidArgument("recipe '" + recipe.name +
                           "' has no [[baseline]]: nothing to reproduce");
  }
  HEED_ASSIGN_OR_RETURN(const std::unique_ptr<Dataset> data, Dataset::Load(recipe.dataset, folder));
  TrainOptions options = recipe.train;
  options.seed = seed;
  ReproduceResult result;
  HEED_ASSIGN_OR_RETURN(result.training, Train(*data, recipe.ranker, options, progress, stop));
  result.name = recipe.name;
  result.seed = seed;
  result.stopped = result.training.stopped;
  for (const Baseline& baseline : recipe.baselines) {
    HEED_ASSIGN_OR_RETURN(const Setting setting, ParseSetting(baseline.setting));
    auto report = std::find_if(result.reports.begin(), result.reports.end(),
                               [&](const auto& one) { return one.setting == setting; });
    if (report == result.reports.end()) {
      EvaluateOptions judge;
      judge.setting = setting;
      HEED_ASSIGN_OR_RETURN(EvaluationReport made, Evaluate(*result.training.ranker, *data, judge));
      result.reports.push_back(std::move(made));
      report = result.reports.end() - 1;
    }
    result.figures.push_back({baseline, ValueOf(*report, baseline)});
  }
  result.metric = Describe(recipe.baselines[0]);
  result.value = result.figures[0].value;
  result.published = recipe.baselines[0].value;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

Result<ReproduceResult> Reproduce(const std::string& name, const std::string& folder, uint64_t seed,
                                  const ProgressCallback& progress, const std::atomic<bool>* stop) {
  HEED_ASSIGN_OR_RETURN(const Recipe recipe, BuiltinRecipe(name));
  return Reproduce(recipe, folder, seed, progress, stop);
}

std::string ToJson(const ReproduceResult& result) {
  std::string others;
  for (size_t i = 1; i < result.figures.size(); ++i) {
    const ReproducedFigure& figure = result.figures[i];
    others +=
        fmt::format(R"({}{{"metric":"{}","value":{},"published":{}}})", i > 1 ? "," : "",
                    Describe(figure.baseline), Json(figure.value), Json(figure.baseline.value));
  }
  return fmt::format(
      R"({{"name":"{}","metric":"{}","value":{},"published":{},"seed":{},"seconds":{:.1f},)"
      R"("stopped":{},"others":[{}]}})",
      result.name, result.metric, Json(result.value), Json(result.published), result.seed,
      result.seconds, result.stopped, others);
}

}  // namespace heed::train
