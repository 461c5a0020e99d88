#include "train/recipe.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/suggest.h"
#include "train/embedded.h"

namespace heed::train {
namespace {

using Kind = model::OptimizerConfig::Kind;

model::RankerConfig ReadRanker(const TomlTable& table) {
  model::RankerConfig config;
  config.embedding_width = table.Count("embedding_width", config.embedding_width, 1, 1024);
  config.attention_heads = table.Count("attention_heads", config.attention_heads, 1, 64);
  config.attention_width = table.Count("attention_width", config.attention_width, 1, 4096);
  if (table.Has("hidden")) {
    config.hidden.clear();
    for (const double width : table.Numbers("hidden")) {
      if (width < 1 || width > 65536) table.Fail("hidden", "'hidden' are widths within [1, 65536]");
      config.hidden.push_back(static_cast<uint32_t>(std::clamp(width, 1.0, 65536.0)));
    }
  }
  const auto number = [&](const char* key, float otherwise, double low, double high) {
    return static_cast<float>(table.Number(key, otherwise, low, high));
  };
  config.mean_pool = table.Flag("mean_pool", config.mean_pool);
  config.null_slot = table.Flag("null_slot", config.null_slot);
  config.wide = table.Flag("wide", config.wide);
  config.dropout = number("dropout", config.dropout, 0, 0.95);
  config.admit_after = table.Count("admit_after", config.admit_after, 1);
  config.init_deviation = number("init_deviation", config.init_deviation, 0, 10);
  config.initial_decay = number("initial_decay", config.initial_decay, 0, 100);
  config.age_scale_s = number("age_scale_s", config.age_scale_s, 1e-3, 1e9);
  config.numeric_clip = number("numeric_clip", config.numeric_clip, 0.1, 1e6);
  return config;
}

model::OptimizerConfig ReadOptimizer(const TomlTable& table) {
  model::OptimizerConfig config;
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
  config.clip_norm = number("clip_norm", config.clip_norm, 0, 1e6);
  return config;
}

TrainOptions ReadTrain(const TomlTable& table, const std::vector<std::string>& tasks) {
  TrainOptions options;
  options.batch_size = table.Count("batch_size", options.batch_size, 1, 1u << 20);
  options.epochs = table.Number("epochs", options.epochs, 1e-3, 1e4);
  options.seed = table.Count64("seed", options.seed);
  options.schedule = static_cast<TrainOptions::Schedule>(
      table.Choice("schedule", {"constant", "linear", "cosine"}, 0));
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
  options.optimizer = ReadOptimizer(table.Table("optimizer"));
  return options;
}

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

Result<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return NotFound(path + ": cannot be opened");
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

Result<Recipe> ParseRecipe(std::string_view text, const std::string& file_name,
                           const ReadText& read_dataset) {
  HEED_ASSIGN_OR_RETURN(const TomlTable root, TomlTable::Parse(text, file_name));
  Recipe recipe;
  recipe.name = root.RequiredString("name");
  const std::string dataset_file = root.RequiredString("dataset");
  HEED_RETURN_IF_ERROR(root.error());
  auto dataset_text = read_dataset(dataset_file);
  if (!dataset_text.ok()) return dataset_text.status().Within(root.Where("dataset"));
  // Errors inside the data set's file name that file, beside the recipe's.
  const std::string dataset_name =
      (std::filesystem::path(file_name).parent_path() / dataset_file).lexically_normal().string();
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
  return recipe;
}

Result<Recipe> LoadRecipe(const std::string& path) {
  HEED_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return ParseRecipe(text, path, [&](const std::string& relative) {
    return ReadFile((folder / relative).lexically_normal().string());
  });
}

std::vector<std::string> BuiltinRecipes() {
  std::vector<std::string> names;
  for (const EmbeddedFile& file : EmbeddedFiles()) {
    const std::filesystem::path path(file.path);
    if (path.parent_path() == "recipes") names.push_back(path.stem().string());
  }
  return names;
}

Result<Recipe> BuiltinRecipe(const std::string& name) {
  const auto read = [](const std::string& path) -> Result<std::string> {
    for (const EmbeddedFile& file : EmbeddedFiles()) {
      if (file.path == path) return std::string(file.text);
    }
    return NotFound(path + ": is not part of this program");
  };
  const std::vector<std::string> names = BuiltinRecipes();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    std::string known;
    for (const std::string& one : names) known += (known.empty() ? "" : ", ") + one;
    return NotFound("there is no recipe '" + name + "'" + Suggestion(name, names) +
                    "; known are: " + known);
  }
  const std::string path = "recipes/" + name + ".toml";
  HEED_ASSIGN_OR_RETURN(const std::string text, read(path));
  return ParseRecipe(text, path, [&](const std::string& relative) {
    return read((std::filesystem::path("recipes") / relative).lexically_normal().string());
  });
}

}  // namespace heed::train
