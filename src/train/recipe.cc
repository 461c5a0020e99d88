#include "train/recipe.h"

#include <algorithm>
#include <filesystem>

#include "base/suggest.h"
#include "train/ranker_recipe.h"

namespace heed::train {
using Kind = model::OptimizerConfig::Kind;

model::OptimizerConfig ReadOptimizer(const TomlTable& table, model::OptimizerConfig config) {
  const std::vector<std::string> kinds = {"adam", "adagrad"};
  config.dense = static_cast<Kind>(table.Choice("dense", kinds, static_cast<size_t>(config.dense)));
  config.tables =
      static_cast<Kind>(table.Choice("tables", kinds, static_cast<size_t>(config.tables)));
  const auto number = [&](const char* key, float otherwise, double low, double high) {
    return static_cast<float>(table.Number(key, otherwise, low, high));
  };
  config.dense_rate = number("dense_rate", config.dense_rate, 0, 10);
  config.table_rate = number("table_rate", config.table_rate, 0, 10);
  config.beta1 = number("beta1", config.beta1, 0, 0.99999);
  config.beta2 = number("beta2", config.beta2, 0, 0.999999);
  config.epsilon = number("epsilon", config.epsilon, 1e-20, 1);
  config.dense_l2 = number("dense_l2", config.dense_l2, 0, 10);
  config.table_l2 = number("table_l2", config.table_l2, 0, 10);
  config.all_rows = table.Flag("all_rows", config.all_rows);
  config.clip_norm = number("clip_norm", config.clip_norm, 0, 1e6);
  return config;
}

TrainOptions ReadTrain(const TomlTable& table, const std::vector<std::string>& tasks) {
  TrainOptions options;
  options.threads = table.Count("threads", options.threads, 1, 64);
  options.batch_size = table.Count("batch_size", options.batch_size, 1, 1u << 20);
  options.epochs = table.Number("epochs", options.epochs, 1e-3, 1e4);
  options.seed = table.Count64("seed", options.seed);
  options.schedule = static_cast<TrainOptions::Schedule>(
      table.Choice("schedule", {"constant", "linear", "cosine", "plateau"}, 0));
  options.plateau_factor = table.Number("plateau_factor", options.plateau_factor, 1e-6, 1);
  options.average = table.Number("average", options.average, 0, 0.99999);
  options.warmup = table.Number("warmup", options.warmup, 0, 1);
  options.evaluate_every_steps = table.Count("evaluate_every_steps", 0);
  options.patience = table.Count("patience", options.patience, 1);
  options.stop_metric = static_cast<TrainOptions::StopMetric>(
      table.Choice("stop_metric", {"auc", "gauc", "log_loss"}, 0));
  options.stop_task = table.String("stop_task", "");
  if (!options.stop_task.empty() &&
      std::find(tasks.begin(), tasks.end(), options.stop_task) == tasks.end()) {
    table.Fail("stop_task",
               "'" + options.stop_task + "' is no label" + Suggestion(options.stop_task, tasks));
  }
  options.refit = table.Flag("refit", options.refit);
  options.calibrate = table.Flag("calibrate", options.calibrate);
  for (const double weight : table.Numbers("positive_weights")) {
    options.positive_weights.push_back(static_cast<float>(weight));
  }
  options.negative_share = table.Number("negative_share", options.negative_share, 1e-6, 1);
  options.optimizer = ReadOptimizer(table.Table("optimizer"), {});
  return options;
}

namespace {

Baseline ReadBaseline(const TomlTable& table, const std::vector<std::string>& tasks) {
  Baseline baseline;
  baseline.setting = table.RequiredString("setting");
  table.Choice("setting", {"online", "day_lagged", "frozen"}, 0);
  baseline.metric = table.RequiredString("metric");
  table.Choice("metric", {"auc", "gauc"}, 0);
  baseline.task = table.RequiredString("task");
  table.Choice("task", tasks, 0);
  baseline.value = table.Number("value", 0, 0, 1);
  return baseline;
}

}  // namespace

Result<Recipe> ParseRecipe(const RecipeText& file) {
  HEED_ASSIGN_OR_RETURN(const TomlTable root, TomlTable::Parse(file.text, file.file_name));
  Recipe recipe;
  recipe.name = root.RequiredString("name");
  recipe.folder = root.String("folder", "");
  root.Choice("kind", {"ranker"}, 0);
  const std::string dataset_file = root.RequiredString("dataset");
  HEED_RETURN_IF_ERROR(root.error());
  auto dataset_text = file.read(dataset_file);
  if (!dataset_text.ok()) return dataset_text.status().Within(root.Where("dataset"));
  // Errors inside the data set's file name that file, beside the recipe's.
  const std::string dataset_name =
      (std::filesystem::path(file.file_name).parent_path() / dataset_file)
          .lexically_normal()
          .string();
  HEED_ASSIGN_OR_RETURN(const TomlTable dataset,
                        TomlTable::Parse(dataset_text.value(), dataset_name));
  HEED_ASSIGN_OR_RETURN(recipe.dataset, ParseDatasetSpec(dataset));
  if (Status drop = recipe.dataset.Drop(root.Strings("drop")); !drop.ok()) {
    return drop.Within(root.Where("drop"));
  }
  recipe.ranker = ReadRanker(root.Table("ranker"));
  recipe.ranker.schema = recipe.dataset.Schema();
  std::vector<std::string> tasks;
  for (const model::TaskSpec& task : recipe.ranker.schema.tasks) tasks.push_back(task.name);
  recipe.train = ReadTrain(root.Table("train"), tasks);
  for (const TomlTable& table : root.Tables("baseline")) {
    recipe.baselines.push_back(ReadBaseline(table, tasks));
  }
  HEED_RETURN_IF_ERROR(root.Finish());
  if (Status schema = recipe.ranker.schema.Validate(); !schema.ok()) {
    return schema.Within(root.Where("dataset"));
  }
  if (Status ranker = model::ValidateConfig(recipe.ranker); !ranker.ok()) {
    return ranker.Within(root.Where("ranker"));
  }
  return recipe;
}

Result<Recipe> LoadRecipe(const std::string& path) {
  HEED_ASSIGN_OR_RETURN(const RecipeText file, ReadRecipeFile(path));
  return ParseRecipe(file);
}

}  // namespace heed::train
