// heed train: a ranker from a described data set, or the live rankers from an engine's own log.
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <string>

#include "heed/engine.h"

#include "cli/command.h"
#include "cli/progress.h"
#include "train/experiment.h"

namespace heed::cli {
namespace {

struct Options {
  std::string recipe;
  std::string directory = "data";
  std::string out = "model.heed";
  uint64_t seed = 0;  // 0: the recipe's
  std::string checkpoint;
  bool resume = false;
};

int TrainRecipe(const Options& options) {
  WatchForStop();
  const auto experiment = train::LoadExperiment(options.recipe);
  if (!experiment.ok()) return Fail(experiment.status());
  if (!options.checkpoint.empty() && !experiment.value()->resumes()) {
    return Fail(InvalidArgument(options.recipe + ": a training of this kind keeps no checkpoints"));
  }
  const Result<std::string> folder = train::DataFolder(*experiment.value(), options.directory);
  if (!folder.ok()) return Fail(folder.status());
  Progress progress("train", "steps");
  const Result<train::TrainSummary> trained = experiment.value()->Train(
      {.folder = folder.value(),
       .seed = options.seed,
       .progress = [&](const train::TrainProgress& now) { Show(now, &progress); },
       .stop = StopFlag(),
       .checkpoint = {.path = options.checkpoint, .resume = options.resume}},
      options.out);
  progress.Finish();
  if (!trained.ok()) return Fail(trained.status());
  std::printf("{\"model\":\"%s\",\"steps\":%llu,\"epochs\":%.3f,\"valid\":%.5f,\"stopped\":%s}\n",
              options.out.c_str(), static_cast<unsigned long long>(trained.value().steps),
              trained.value().epochs, trained.value().valid,
              trained.value().stopped ? "true" : "false");
  return trained.value().stopped ? kStopped : 0;
}

int TrainLog(const Options& options) {
  WatchForStop();
  EngineOptions engine_options;
  engine_options.directory = options.directory;
  if (options.seed != 0) engine_options.seed = options.seed;
  const Result<std::unique_ptr<Engine>> engine = Engine::Open(engine_options);
  if (!engine.ok()) return Fail(engine.status());
  const Result<TrainReport> report = TrainWithProgress(*engine.value());
  if (!report.ok()) {
    return report.status().code() == Code::kDeadlineExceeded ? kStopped : Fail(report.status());
  }
  for (const TrainedModel& model : report.value().models) PrintQuality(model, stdout);
  return 0;
}

}  // namespace

void Show(const train::TrainProgress& now, Progress* progress) {
  progress->Update(
      now.step, now.steps,
      fmt::format("{}  loss {:.4f}  {:.0f} rows/s", now.phase, now.loss, now.rows_per_s));
}

void PrintQuality(const TrainedModel& model, std::FILE* out) {
  fmt::print(out, "{}  {} examples; on the last tenth, which was held out:\n", model.version,
             model.samples);
  for (const TaskQuality& task : model.quality) {
    const bool value = std::isnan(task.log_loss);
    if (task.rows == 0) {
      fmt::print(out, "  {:<8} not known: what was shown there is too fresh to tell\n", task.task);
    } else if (value && task.positives == 0) {
      fmt::print(out, "  {:<8} not known: nothing of what was shown there is paid for yet\n",
                 task.task);
    } else if (value) {
      fmt::print(out, "  {:<8} revenue at 1 % {:.3f}  PCOC {:.2f}  ({} of {} impressions)\n",
                 task.task, task.revenue_capture, task.pcoc, task.positives, task.rows);
    } else {
      fmt::print(out, "  {:<8} AUC {:.3f}  log loss {:.4f}  PCOC {:.2f}  ({} of {} impressions)\n",
                 task.task, task.auc, task.log_loss, task.pcoc, task.positives, task.rows);
    }
  }
}

Result<TrainReport> TrainWithProgress(Engine& engine) {
  std::unique_ptr<Progress> progress;
  std::string phase;
  return engine.Train([&](const TrainProgress& now) {
    if (now.phase != phase) {
      phase = now.phase;
      progress = std::make_unique<Progress>(phase, phase == "examples" ? "events" : "steps");
    }
    progress->Update(now.done, now.total, now.loss > 0 ? fmt::format("loss {:.4f}", now.loss) : "");
    return !StopRequested();
  });
}

void AddTrain(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "train",
      "Train the live rankers from an engine's log, or a ranker from a described data set");
  command->footer(
      "Examples:\n  heed train --data data                       the live rankers, from the log\n"
      "  heed train --config examples/recipes/kuairand.toml --data KuaiRand-Pure --out model.heed\n"
      "Ctrl-C keeps the best model so far and, with --checkpoint, all it takes to go on: the same "
      "command\n"
      "with --resume ends in the same model, byte for byte, as if nothing had happened. A running "
      "server trains itself: POST /v1/train.");
  command->add_option("--config", options->recipe, "A recipe (docs/datasets.md); absent: the log");
  command
      ->add_option("--data", options->directory, "The engine's directory, or the data set's folder")
      ->capture_default_str();
  command->add_option("--out", options->out, "With --config: where the model goes")
      ->capture_default_str();
  command->add_option("--seed", options->seed, "0: the default");
  CLI::Option* checkpoint =
      command
          ->add_option(
              "--checkpoint", options->checkpoint,
              "With --config: where the training keeps its state, every ten minutes and at Ctrl-C")
          ->needs("--config");
  command->add_flag("--resume", options->resume, "Go on from the checkpoint")->needs(checkpoint);
  command->callback([options, exit_code] {
    *exit_code = options->recipe.empty() ? TrainLog(*options) : TrainRecipe(*options);
  });
}

}  // namespace heed::cli
