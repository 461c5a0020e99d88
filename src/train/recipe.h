// A recipe is everything a training needs, as data: a data set's description, a ranker, options, and
// the figures to compare the result with. docs/datasets.md explains every key; examples/recipes has
// the built-in ones, which are part of the program.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/ranker.h"
#include "train/dataset_spec.h"
#include "train/trainer.h"

namespace heed::train {

struct Baseline {       // a figure that somebody else measured on the same rows
  std::string setting;  // "online", "day_lagged", "frozen"
  std::string task;
  std::string metric;  // "auc" or "gauc"
  double value = 0;
};

struct Recipe {
  std::string name;
  DatasetSpec dataset;
  model::RankerConfig ranker;  // its schema is the data set's
  TrainOptions train;
  std::vector<Baseline> baselines;  // the first is the headline
};

// Finds the data set's description named by the recipe, relative to it.
using ReadText = std::function<Result<std::string>(const std::string& relative_path)>;

// Errors are "file:line: ..." with the nearest known name.
Result<Recipe> ParseRecipe(std::string_view text, const std::string& file_name,
                           const ReadText& read_dataset);
Result<Recipe> LoadRecipe(const std::string& path);

// Part of the program; the names of examples/recipes/*.toml.
std::vector<std::string> BuiltinRecipes();
Result<Recipe> BuiltinRecipe(const std::string& name);

}  // namespace heed::train
