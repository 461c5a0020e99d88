#include "train/text_experiment.h"

#include <chrono>
#include <cmath>

#include "train/text_trainer.h"

namespace heed::train {
namespace {

// Mean accuracy with every fold as the test fold once, weighted by its rows.
constexpr const char* kAllFolds = "accuracy, all folds";

struct TextRecipe {
  RecipeHead head;
  TextSpec data;
  text::ClassifierConfig classifier;
  TextTrainOptions train;
};

text::ClassifierConfig ReadClassifier(const TomlTable& table) {
  text::ClassifierConfig config;
  const auto number = [&](const char* key, float otherwise, double low, double high) {
    return static_cast<float>(table.Number(key, static_cast<double>(otherwise), low, high));
  };
  config.ngrams = table.Count("ngrams", config.ngrams, 1, text::kLongestNgram);
  config.max_characters = table.Count("max_characters", config.max_characters, 1, 1 << 20);
  config.admit_after = table.Count("admit_after", config.admit_after, 1, 1 << 20);
  config.width = table.Count("width", config.width, 1, 1024);
  config.heads = table.Count("heads", config.heads, 1, 64);
  config.members = table.Count("members", config.members, 1, 64);
  config.temperature = number("temperature", config.temperature, 1e-3, 1e3);
  config.power = number("power", config.power, 0, 1);
  config.wide_scale = number("wide_scale", config.wide_scale, 0, 1000);
  config.linear_share = number("linear_share", config.linear_share, 0, 0.95);
  config.linear_cost = number("linear_cost", config.linear_cost, 1e-6, 1e6);
  config.ngram_dropout = number("ngram_dropout", config.ngram_dropout, 0, 0.95);
  config.dropout = number("dropout", config.dropout, 0, 0.95);
  config.init_deviation = number("init_deviation", config.init_deviation, 0, 10);
  return config;
}

TextTrainOptions ReadTrain(const TomlTable& table, size_t classes) {
  TextTrainOptions options;
  options.batch_size = table.Count("batch_size", options.batch_size, 1, 1u << 20);
  options.epochs = table.Count("epochs", options.epochs, 1, 10000);
  options.patience = table.Count("patience", options.patience, 1);
  options.stop_metric = static_cast<TextTrainOptions::StopMetric>(
      table.Choice("stop_metric", {"none", "accuracy", "macro_f1", "log_loss"}, 0));
  options.refit = table.Flag("refit", options.refit);
  options.seed = table.Count64("seed", options.seed);
  const auto number = [&](const char* key, float otherwise, double low, double high) {
    return static_cast<float>(table.Number(key, static_cast<double>(otherwise), low, high));
  };
  options.update.table_rate = number("table_rate", options.update.table_rate, 0, 10);
  options.update.dense_rate = number("dense_rate", options.update.dense_rate, 0, 10);
  options.update.l2 = number("l2", options.update.l2, 0, 10);
  options.update.smoothing = number("smoothing", options.update.smoothing, 0, 0.9);
  for (const double weight : table.Numbers("class_weights")) {
    if (!(weight >= 0)) table.Fail("class_weights", "a class weight is not negative");
    options.class_weights.push_back(static_cast<float>(weight));
  }
  if (!options.class_weights.empty() && options.class_weights.size() != classes) {
    table.Fail("class_weights", "as many class weights as labels");
  }
  return options;
}

class TextExperiment final : public Experiment {
 public:
  explicit TextExperiment(TextRecipe recipe)
      : Experiment(recipe.head.name, recipe.head.folder), recipe_(std::move(recipe)) {}

  Result<TrainSummary> Train(const ExperimentRun& run,
                             const std::string& model_path) const override {
    HEED_ASSIGN_OR_RETURN(const TextRows rows, ReadTexts(recipe_.data, run.folder));
    const Parts parts = Split(rows, recipe_.data.test_fold, recipe_.data.valid_fold);
    HEED_ASSIGN_OR_RETURN(const TextTrainResult trained, Fit(rows, parts, true, run));
    HEED_RETURN_IF_ERROR(trained.classifier->Save(model_path));
    return TrainSummary{trained.steps, trained.best_epochs, trained.best_valid, trained.stopped};
  }

  Result<ExperimentResult> Reproduce(const ExperimentRun& run) const override {
    const auto start = std::chrono::steady_clock::now();
    if (recipe_.head.baselines.empty()) {
      return InvalidArgument("recipe '" + name() + "' has no [[baseline]]: nothing to reproduce");
    }
    HEED_ASSIGN_OR_RETURN(const TextRows rows, ReadTexts(recipe_.data, run.folder));
    ExperimentResult result;
    result.name = name();
    result.seed = Seed(run);
    result.figures = recipe_.head.baselines;
    const Parts parts = Split(rows, recipe_.data.test_fold, recipe_.data.valid_fold);
    if (parts.test.empty()) return InvalidArgument("there is no text to judge on");
    HEED_ASSIGN_OR_RETURN(const TextTrainResult trained, Fit(rows, parts, true, run));
    result.stopped = trained.stopped;
    const TextMetrics metrics = Judge(*trained.classifier, rows, parts.test);
    for (Figure& figure : result.figures) {
      if (figure.metric == "accuracy") figure.value = metrics.accuracy;
      if (figure.metric == "macro_f1") figure.value = metrics.macro_f1;
      if (figure.metric == "auc") figure.value = metrics.auc;
      if (figure.metric == "log_loss") figure.value = metrics.log_loss;
      if (figure.metric == kAllFolds && !result.stopped) {
        HEED_ASSIGN_OR_RETURN(
            figure.value, AllFolds(rows, metrics.accuracy * metrics.rows, run, &result.stopped));
      }
    }
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
  }

 private:
  struct Parts {
    std::vector<uint32_t> train, valid, test;
  };

  uint64_t Seed(const ExperimentRun& run) const {
    return run.seed != 0 ? run.seed : recipe_.train.seed;
  }

  Parts Split(const TextRows& rows, uint32_t test, uint32_t valid) const {
    Parts parts;
    const bool hashed = recipe_.data.by == TextSpec::SplitBy::kHash;
    for (uint32_t i = 0; i < rows.size(); ++i) {
      const uint32_t fold = rows.folds[i];
      const bool is_test = fold == (hashed ? test : 0), is_valid = fold == (hashed ? valid : 1);
      (is_test ? parts.test : is_valid ? parts.valid : parts.train).push_back(i);
    }
    return parts;
  }

  Result<TextTrainResult> Fit(const TextRows& rows, const Parts& parts, bool calibrate,
                              const ExperimentRun& run) const {
    TextTrainOptions options = recipe_.train;
    options.seed = Seed(run);
    text::ClassifierConfig config = recipe_.classifier;
    for (const TextLabel& label : recipe_.data.labels) config.labels.push_back(label.name);
    return TrainTexts(rows, parts.train, parts.valid, config, options, calibrate, run.progress,
                      run.stop);
  }

  TextMetrics Judge(const text::Classifier& classifier, const TextRows& rows,
                    const std::vector<uint32_t>& which) const {
    std::vector<uint32_t> labels;
    labels.reserve(which.size());
    for (const uint32_t i : which) labels.push_back(rows.labels[i]);
    return MeasureTexts(PredictTexts(classifier, rows, which), labels, recipe_.data.labels.size());
  }

  // `right`: of the recipe's own test fold, which has been judged already.
  Result<double> AllFolds(const TextRows& rows, double right, const ExperimentRun& run,
                          bool* stopped) const {
    const uint32_t folds = recipe_.data.folds;
    for (uint32_t k = 0; k < folds && !*stopped; ++k) {
      if (k == recipe_.data.test_fold) continue;
      const Parts parts = Split(rows, k, (k + 1) % folds);
      if (parts.test.empty()) continue;
      HEED_ASSIGN_OR_RETURN(const TextTrainResult trained, Fit(rows, parts, false, run));
      *stopped = trained.stopped;
      const TextMetrics metrics = Judge(*trained.classifier, rows, parts.test);
      right += metrics.accuracy * metrics.rows;
    }
    return right / static_cast<double>(rows.size());
  }

  TextRecipe recipe_;
};

}  // namespace

Result<std::unique_ptr<Experiment>> ParseTextExperiment(const RecipeText& recipe) {
  HEED_ASSIGN_OR_RETURN(const TomlTable root, TomlTable::Parse(recipe.text, recipe.file_name));
  TextRecipe parsed;
  root.String("kind", "");
  parsed.head =
      ReadRecipeHead(root, {"accuracy", "macro_f1", "auc", "log_loss", std::string(kAllFolds)});
  parsed.data = ReadTextSpec(root);
  parsed.classifier = ReadClassifier(root.Table("classifier"));
  parsed.train = ReadTrain(root.Table("train"), parsed.data.labels.size());
  for (const Figure& figure : parsed.head.baselines) {
    if (figure.metric == kAllFolds && parsed.data.by != TextSpec::SplitBy::kHash) {
      root.Fail("baseline", std::string("'") + kAllFolds + "' needs [split] by = \"hash\"");
    }
  }
  HEED_RETURN_IF_ERROR(root.Finish());
  return std::unique_ptr<Experiment>(std::make_unique<TextExperiment>(std::move(parsed)));
}

}  // namespace heed::train
