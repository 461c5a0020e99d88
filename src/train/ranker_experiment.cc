#include "train/ranker_experiment.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "train/evaluate.h"

namespace heed::train {
namespace {

class RankerRecipe final : public Experiment {
 public:
  explicit RankerRecipe(Recipe recipe)
      : Experiment(recipe.name, recipe.folder), recipe_(std::move(recipe)) {}

  bool resumes() const override { return true; }

  Result<TrainSummary> Train(const ExperimentRun& run,
                             const std::string& model_path) const override {
    HEED_ASSIGN_OR_RETURN(const std::unique_ptr<Dataset> data,
                          Dataset::Load(recipe_.dataset, run.folder));
    HEED_ASSIGN_OR_RETURN(const TrainResult trained, Fit(*data, run));
    HEED_RETURN_IF_ERROR(trained.ranker->Save(model_path));
    return TrainSummary{trained.steps, trained.best_epochs, trained.best_metric, trained.stopped};
  }

  Result<ExperimentResult> Reproduce(const ExperimentRun& run) const override {
    const auto start = std::chrono::steady_clock::now();
    if (recipe_.baselines.empty()) {
      return InvalidArgument("recipe '" + name() + "' has no [[baseline]]: nothing to reproduce");
    }
    HEED_ASSIGN_OR_RETURN(const std::unique_ptr<Dataset> data,
                          Dataset::Load(recipe_.dataset, run.folder));
    HEED_ASSIGN_OR_RETURN(const TrainResult trained, Fit(*data, run));
    ExperimentResult result;
    result.name = name();
    result.seed = Seed(run);
    result.stopped = trained.stopped;
    std::vector<EvaluationReport> reports;  // one for each setting asked about
    for (const Baseline& baseline : recipe_.baselines) {
      HEED_ASSIGN_OR_RETURN(const Setting setting, ParseSetting(baseline.setting));
      auto report = std::find_if(reports.begin(), reports.end(),
                                 [&](const auto& one) { return one.setting == setting; });
      if (report == reports.end()) {
        EvaluateOptions judge;
        judge.setting = setting;
        HEED_ASSIGN_OR_RETURN(EvaluationReport made, Evaluate(*trained.ranker, *data, judge));
        reports.push_back(std::move(made));
        report = reports.end() - 1;
      }
      result.figures.push_back({baseline.task + " " + baseline.metric + ", " + baseline.setting,
                                ValueOf(*report, baseline), baseline.value});
    }
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
  }

 private:
  uint64_t Seed(const ExperimentRun& run) const {
    return run.seed != 0 ? run.seed : recipe_.train.seed;
  }

  Result<TrainResult> Fit(const Dataset& data, const ExperimentRun& run) const {
    TrainOptions options = recipe_.train;
    options.seed = Seed(run);
    return heed::train::Train(data, recipe_.ranker, options, run.progress, run.stop,
                              run.checkpoint);
  }

  static double ValueOf(const EvaluationReport& report, const Baseline& baseline) {
    for (const TaskReport& task : report.tasks) {
      if (task.task != baseline.task) continue;
      return baseline.metric == "auc" ? task.metrics.auc : task.metrics.gauc;
    }
    return std::nan("");
  }

  Recipe recipe_;
};

}  // namespace

std::unique_ptr<Experiment> RankerExperiment(Recipe recipe) {
  return std::make_unique<RankerRecipe>(std::move(recipe));
}

Result<std::unique_ptr<Experiment>> ParseRankerExperiment(const RecipeText& recipe) {
  HEED_ASSIGN_OR_RETURN(Recipe parsed, ParseRecipe(recipe));
  return RankerExperiment(std::move(parsed));
}

}  // namespace heed::train
