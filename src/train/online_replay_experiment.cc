#include "train/online_replay_experiment.h"

#include <chrono>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "train/evaluate.h"
#include "train/online_recipe.h"
#include "train/recipe.h"

namespace heed::train {
namespace {

constexpr uint32_t kResamples = 400;

struct OnlineReplay {
  double delay_s = 600;        // after so long a row's labels are known
  double learn_every_s = 30;   // the clock of the learner
  Split split = Split::kTest;  // kValid: without the refit, to choose settings by
  OnlineOptions online;
};

class OnlineReplayRecipe final : public Experiment {
 public:
  OnlineReplayRecipe(RecipeHead head, Recipe base, OnlineReplay replay)
      : Experiment(head.name, head.folder),
        head_(std::move(head)),
        base_(std::move(base)),
        replay_(std::move(replay)) {
    if (replay_.split == Split::kValid) base_.train.refit = false;
  }

  Result<TrainSummary> Train(const ExperimentRun& run,
                             const std::string& model_path) const override {
    HEED_ASSIGN_OR_RETURN(const std::unique_ptr<Dataset> data,
                          Dataset::Load(base_.dataset, run.folder));
    HEED_ASSIGN_OR_RETURN(const TrainResult trained, Fit(*data, run));
    HEED_RETURN_IF_ERROR(trained.ranker->Save(model_path));
    return TrainSummary{trained.steps, trained.best_epochs, trained.best_metric, trained.stopped};
  }

  Result<ExperimentResult> Reproduce(const ExperimentRun& run) const override {
    const auto start = std::chrono::steady_clock::now();
    HEED_ASSIGN_OR_RETURN(const std::unique_ptr<Dataset> data,
                          Dataset::Load(base_.dataset, run.folder));
    HEED_ASSIGN_OR_RETURN(const TrainResult trained, Fit(*data, run));
    ExperimentResult result{.name = name(), .figures = head_.baselines, .seed = Seed(run)};
    result.stopped = trained.stopped;
    HEED_ASSIGN_OR_RETURN(
        const std::vector<Predictions> frozen,
        Predict(*trained.ranker, *data, View{}, data->samples_of(replay_.split), 1));
    HEED_ASSIGN_OR_RETURN(const std::vector<Predictions> online,
                          Replay(*trained.ranker, *data, run));
    for (Figure& figure : result.figures) {
      figure.value = ValueOf(figure.metric, frozen, online, Seed(run));
    }
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
  }

  // "TASK auc, frozen", "…, online", "TASK auc gain", "… gain, low", "… gain, high" (95 %, over users),
  // "TASK log loss, frozen", "…, online", "TASK pcoc, …".
  static std::vector<std::string> Metrics(const model::Schema& schema) {
    std::vector<std::string> names;
    for (const model::TaskSpec& task : schema.tasks) {
      for (const char* metric : {" auc", " log loss", " pcoc"}) {
        names.push_back(task.name + metric + ", frozen");
        names.push_back(task.name + metric + ", online");
      }
      for (const char* part : {"", ", low", ", high"}) {
        names.push_back(task.name + " auc gain" + part);
      }
    }
    return names;
  }

 private:
  uint64_t Seed(const ExperimentRun& run) const {
    return run.seed != 0 ? run.seed : base_.train.seed;
  }

  Result<TrainResult> Fit(const Dataset& data, const ExperimentRun& run) const {
    TrainOptions options = base_.train;
    options.seed = Seed(run);
    return heed::train::Train(data, base_.ranker, options, run.progress, run.stop);
  }

  // Each row's prediction by the weights of that moment.
  Result<std::vector<Predictions>> Replay(const model::Ranker& trained, const Dataset& data,
                                          const ExperimentRun& run) const {
    HEED_ASSIGN_OR_RETURN(const std::unique_ptr<OnlineTrainer> trainer,
                          OnlineTrainer::Create(trained.Copy(), replay_.online));
    const std::vector<uint32_t>& samples = data.samples_of(replay_.split);
    const size_t T = data.schema().tasks.size();
    std::vector<Predictions> out(T);
    const auto delay_ms = static_cast<int64_t>(replay_.delay_s * 1e3);
    const auto every_ms = static_cast<int64_t>(replay_.learn_every_s * 1e3);
    size_t told = 0;  // samples whose labels have been told
    int64_t next_ms = 0;
    model::Scores scores;
    model::Batch row;
    for (size_t i = 0; i < samples.size(); ++i) {
      if (run.stop != nullptr && *run.stop) return Status(Code::kDeadlineExceeded, "stopped");
      const uint32_t sample = samples[i];
      const int64_t now_ms = data.time_ms(sample);
      for (; told < i && data.time_ms(samples[told]) + delay_ms <= now_ms; ++told) {
        Feedback outcome{.kind = Feedback::Kind::kPositive, .example = uint64_t{told} + 1};
        outcome.ts = data.time_ms(samples[told]) + delay_ms;
        for (size_t task = 0; task < T; ++task) {
          if (data.label(samples[told], task) > 0.5f) outcome.tasks |= uint64_t{1} << task;
        }
        if (outcome.tasks != 0) HEED_RETURN_IF_ERROR(trainer->Add(outcome));
      }
      if (now_ms >= next_ms) {
        // Everything that is due: the learner of a live engine keeps up.
        trainer->Learn(now_ms, UINT32_MAX);
        next_ms = now_ms + every_ms;
      }
      data.FillBatch(View{}, {&sample, 1}, &row);
      auto features = std::make_shared<model::Batch>(row);
      features->labels.clear();
      HEED_RETURN_IF_ERROR(trainer->live().Forward(*features, false, &scores));
      for (size_t task = 0; task < T; ++task) {
        out[task].scores.push_back(scores.logits[task]);
        out[task].probabilities.push_back(scores.probabilities[task]);
        out[task].labels.push_back(row.labels[task]);
        out[task].groups.push_back(data.group(sample));
      }
      Feedback shown{.kind = Feedback::Kind::kShown, .example = uint64_t{i} + 1, .ts = now_ms};
      shown.viewer = uint64_t{data.group(sample)} + 1;
      shown.features = std::move(features);
      HEED_RETURN_IF_ERROR(trainer->Add(shown));
    }
    const OnlineStats stats = trainer->stats();
    if (stats.alarm != Alarm::kNone) {
      return Status(Code::kUnavailable, "learning stopped: " + std::string(AlarmName(stats.alarm)));
    }
    return out;
  }

  double ValueOf(const std::string& metric, const std::vector<Predictions>& frozen,
                 const std::vector<Predictions>& online, uint64_t seed) const {
    for (size_t task = 0; task < frozen.size(); ++task) {
      const std::string& name = base_.ranker.schema.tasks[task].name;
      if (metric.rfind(name + " ", 0) != 0) continue;
      const std::string what = metric.substr(name.size() + 1);
      const bool of_online = what.ends_with(", online");
      if (what.rfind("auc gain", 0) == 0) {
        if (what == "auc gain") {
          return Auc(online[task].scores, online[task].labels) -
                 Auc(frozen[task].scores, frozen[task].labels);
        }
        const Interval interval = BootstrapAucGain(frozen[task], online[task], kResamples, seed);
        return what.ends_with("low") ? interval.low : interval.high;
      }
      const MetricSet metrics = Measure(of_online ? online[task] : frozen[task]);
      if (what.rfind("auc", 0) == 0) return metrics.auc;
      return what.rfind("pcoc", 0) == 0 ? metrics.pcoc : metrics.log_loss;
    }
    return std::nan("");
  }

  RecipeHead head_;
  Recipe base_;
  OnlineReplay replay_;
};

}  // namespace

Result<std::unique_ptr<Experiment>> ParseOnlineReplayExperiment(const RecipeText& file) {
  HEED_ASSIGN_OR_RETURN(const TomlTable root, TomlTable::Parse(file.text, file.file_name));
  root.Choice("kind", {"online_replay"}, 0);
  const std::string base_file = root.RequiredString("recipe");
  HEED_RETURN_IF_ERROR(root.error());
  auto base_text = file.read(base_file);
  if (!base_text.ok()) return base_text.status().Within(root.Where("recipe"));
  HEED_ASSIGN_OR_RETURN(Recipe base, ParseRecipe({base_text.value(), base_file, file.read}));
  RecipeHead head = ReadRecipeHead(root, OnlineReplayRecipe::Metrics(base.ranker.schema));
  OnlineReplay replay;
  const TomlTable table = root.Table("online");
  replay.delay_s = table.Number("delay_s", replay.delay_s, 0, 1e9);
  replay.learn_every_s = table.Number("learn_every_s", replay.learn_every_s, 0, 1e9);
  replay.split = table.Choice("split", {"test", "valid"}, 0) == 0 ? Split::kTest : Split::kValid;
  replay.online = ReadOnline(table, base.ranker.schema.tasks.size());
  HEED_RETURN_IF_ERROR(root.Finish());
  return std::unique_ptr<Experiment>(
      std::make_unique<OnlineReplayRecipe>(std::move(head), std::move(base), std::move(replay)));
}

}  // namespace heed::train
