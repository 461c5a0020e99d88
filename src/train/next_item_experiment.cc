#include "train/next_item_experiment.h"

#include <chrono>
#include <cmath>

#include "train/sequence_trainer.h"

namespace heed::train {
namespace {

using Config = model::NextItemConfig;

struct NextItemRecipe {
  SequenceSpec data;
  SequenceJudging judging;
  Config model;
  SequenceTraining training;
  std::vector<Figure> baselines;
  std::vector<RankingMetric> metrics;  // of the baselines
};

class NextItemExperiment final : public Experiment {
 public:
  NextItemExperiment(const std::string& name, const std::string& folder, NextItemRecipe recipe)
      : Experiment(name, folder), recipe_(std::move(recipe)) {}

  Result<TrainSummary> Train(const ExperimentRun& run,
                             const std::string& model_path) const override {
    HEED_ASSIGN_OR_RETURN(const SequenceData data, ReadSequences(recipe_.data, run.folder));
    HEED_ASSIGN_OR_RETURN(const SequenceResult trained, Fit(data, run));
    HEED_RETURN_IF_ERROR(trained.model->Save(model_path));
    return TrainSummary{trained.steps, trained.best_epochs, trained.best_metric, trained.stopped};
  }

  Result<ExperimentResult> Reproduce(const ExperimentRun& run) const override {
    const auto start = std::chrono::steady_clock::now();
    if (recipe_.baselines.empty()) {
      return InvalidArgument("recipe '" + name() + "' has no [[baseline]]: nothing to reproduce");
    }
    HEED_ASSIGN_OR_RETURN(const SequenceData data, ReadSequences(recipe_.data, run.folder));
    HEED_ASSIGN_OR_RETURN(const SequenceResult trained, Fit(data, run));
    HEED_ASSIGN_OR_RETURN(const std::vector<uint32_t> ranks,
                          Ranks(*trained.model, data, data.test,
                                NegativesOf(data, data.test, recipe_.judging, true)));
    ExperimentResult result;
    result.name = name();
    result.seed = Seed(run);
    result.stopped = trained.stopped;
    for (size_t b = 0; b < recipe_.baselines.size(); ++b) {
      result.figures.push_back({recipe_.baselines[b].metric, Measure(ranks, recipe_.metrics[b]),
                                recipe_.baselines[b].published});
    }
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
  }

 private:
  uint64_t Seed(const ExperimentRun& run) const {
    return run.seed != 0 ? run.seed : recipe_.training.seed;
  }

  Result<SequenceResult> Fit(const SequenceData& data, const ExperimentRun& run) const {
    SequenceTraining training = recipe_.training;
    training.seed = Seed(run);
    return TrainSequences(data, recipe_.model, training, recipe_.judging, run.progress, run.stop);
  }

  NextItemRecipe recipe_;
};

SequenceSpec ReadData(const TomlTable& table) {
  SequenceSpec spec;
  spec.format =
      static_cast<SequenceSpec::Format>(table.Choice("format", {"pairs", "lists", "sessions"}, 0));
  spec.path = table.RequiredString("file");
  const bool sessions = spec.format == SequenceSpec::Format::kSessions;
  if (sessions) {
    spec.test_path = table.RequiredString("test_file");
    spec.valid_share = table.Number("valid_share", spec.valid_share, 0, 0.9);
  } else {
    spec.negatives_path = table.String("negatives_file", "");
    spec.min_length = table.Count("min_length", spec.min_length, 3);
  }
  spec.attributes_path = table.String("attributes_file", "");
  return spec;
}

SequenceJudging ReadJudging(const TomlTable& table) {
  SequenceJudging judging;
  judging.negatives = table.Count("negatives", judging.negatives);
  judging.negatives_seed = table.Count64("negatives_seed", judging.negatives_seed);
  judging.valid_cases = table.Count("valid_cases", judging.valid_cases);
  return judging;
}

Config ReadModel(const TomlTable& table) {
  Config config;
  const auto number = [&](const char* key, float otherwise, double low, double high) {
    return static_cast<float>(table.Number(key, otherwise, low, high));
  };
  config.width = table.Count("width", config.width, 1, 4096);
  config.layers = table.Count("layers", config.layers, 0, 64);
  config.heads = table.Count("heads", config.heads, 1, 64);
  config.hidden = table.Count("hidden", config.width, 1, 65536);
  config.pre_norm = table.Flag("pre_norm", config.pre_norm);
  config.max_length = table.Count("max_length", config.max_length, 1, 65536);
  config.places = static_cast<Config::Places>(table.Choice(
      "places", {"none", "from_end", "from_start"}, static_cast<size_t>(config.places)));
  config.relative_positions = table.Count("relative_positions", 0, 0, 65536);
  config.null_slot = table.Flag("null_slot", config.null_slot);
  config.attributes = table.Flag("attributes", config.attributes);
  config.scale_input = table.Flag("scale_input", config.scale_input);
  config.cosine = table.Flag("cosine", config.cosine);
  config.temperature = number("temperature", config.temperature, 1e-4, 1e4);
  config.dropout = number("dropout", config.dropout, 0, 0.95);
  config.attention_dropout = number("attention_dropout", config.dropout, 0, 0.95);
  config.init_deviation = number("init_deviation", config.init_deviation, 0, 10);
  if (config.width % config.heads != 0) {
    table.Fail("heads", "'width' must be a multiple of 'heads'");
  }
  return config;
}

SequenceTraining ReadTraining(const TomlTable& table) {
  SequenceTraining training;
  const auto number = [&](const char* key, float otherwise, double low, double high) {
    return static_cast<float>(table.Number(key, otherwise, low, high));
  };
  model::NextItemTraining& step = training.step;
  step.loss = static_cast<model::NextItemTraining::Loss>(
      table.Choice("loss", {"softmax", "sampled_softmax", "binary"}, 0));
  step.negatives = table.Count("negatives", step.negatives, 1);
  step.popularity_power = table.Number("popularity_power", step.popularity_power, 0, 4);
  step.log_q = table.Flag("log_q", step.log_q);
  step.move_all = table.Flag("move_all", step.move_all);
  step.rate = number("rate", step.rate, 0, 10);
  step.beta1 = number("beta1", step.beta1, 0, 0.99999);
  step.beta2 = number("beta2", step.beta2, 0, 0.999999);
  step.epsilon = number("epsilon", step.epsilon, 1e-20, 1);
  step.l2 = number("l2", step.l2, 0, 10);
  step.weight_decay = number("weight_decay", step.weight_decay, 0, 10);
  step.clip_norm = number("clip_norm", step.clip_norm, 0, 1e6);
  training.batch_size = table.Count("batch_size", training.batch_size, 1, 1u << 20);
  training.epochs = table.Count("epochs", training.epochs, 1, 100000);
  training.patience = table.Count("patience", training.patience, 1);
  training.evaluate_every = table.Count("evaluate_every", training.evaluate_every, 1);
  training.seed = table.Count64("seed", training.seed);
  training.windows =
      static_cast<SequenceTraining::Windows>(table.Choice("windows", {"newest", "all"}, 0));
  training.schedule = static_cast<TrainOptions::Schedule>(
      table.Choice("schedule", {"constant", "linear", "cosine"}, 0));
  training.warmup = table.Number("warmup", training.warmup, 0, 1);
  const Result<RankingMetric> metric = RankingMetric::Parse(table.String("stop_metric", "HR@10"));
  if (metric.ok()) training.stop_metric = metric.value();
  if (!metric.ok()) table.Fail("stop_metric", metric.status().message());
  training.refit = table.Flag("refit", training.refit);
  return training;
}

}  // namespace

Result<std::unique_ptr<Experiment>> ParseNextItemExperiment(const RecipeText& file) {
  HEED_ASSIGN_OR_RETURN(const TomlTable root, TomlTable::Parse(file.text, file.file_name));
  NextItemRecipe recipe;
  root.Choice("kind", {"next_item"}, 0);
  const std::string name = root.RequiredString("name"), folder = root.String("folder", "");
  recipe.data = ReadData(root.Table("data"));
  recipe.judging = ReadJudging(root.Table("judge"));
  recipe.model = ReadModel(root.Table("next_item"));
  recipe.training = ReadTraining(root.Table("train"));
  if (recipe.model.attributes && recipe.data.attributes_path.empty()) {
    root.Table("next_item").Fail("attributes", "'attributes' needs [data] attributes_file");
  }
  for (const TomlTable& table : root.Tables("baseline")) {
    const std::string text = table.RequiredString("metric");
    const Result<RankingMetric> metric = RankingMetric::Parse(text);
    if (!metric.ok()) table.Fail("metric", metric.status().message());
    recipe.metrics.push_back(metric.ok() ? metric.value() : RankingMetric());
    recipe.baselines.push_back({text, 0, table.Number("value", std::nan(""), 0, 1)});
  }
  HEED_RETURN_IF_ERROR(root.Finish());
  return std::unique_ptr<Experiment>(new NextItemExperiment(name, folder, std::move(recipe)));
}

}  // namespace heed::train
