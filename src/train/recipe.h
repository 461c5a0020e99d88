// A ranker's recipe is everything its training needs, as data: a data set's description, a ranker,
// options, and the figures to compare the result with. docs/datasets.md explains every key.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "model/ranker.h"
#include "train/dataset_spec.h"
#include "train/experiment.h"
#include "train/trainer.h"

namespace heed::train {

struct Baseline {       // a figure that somebody else measured on the same rows
  std::string setting;  // "online", "day_lagged", "frozen"
  std::string task;
  std::string metric;  // "auc" or "gauc"
  double value = 0;
};

struct Recipe {
  std::string name, folder;
  DatasetSpec dataset;
  model::RankerConfig ranker;  // its schema is the data set's
  TrainOptions train;
  std::vector<Baseline> baselines;  // the first is the headline
};

// Errors are "file:line: ..." with the nearest known name.
Result<Recipe> ParseRecipe(const RecipeText& recipe);
Result<Recipe> LoadRecipe(const std::string& path);

// The section [train], for other kinds that train a ranker.
TrainOptions ReadTrain(const TomlTable& table, const std::vector<std::string>& tasks);
// The section [optimizer] of that or another; what it does not say is as in `otherwise`.
model::OptimizerConfig ReadOptimizer(const TomlTable& table, model::OptimizerConfig otherwise);

}  // namespace heed::train
