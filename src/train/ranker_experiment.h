// kind = "ranker": a data set of impressions, a ranker, probabilities.
#pragma once

#include <memory>

#include "train/experiment.h"
#include "train/recipe.h"

namespace heed::train {

Result<std::unique_ptr<Experiment>> ParseRankerExperiment(const RecipeText& recipe);
std::unique_ptr<Experiment> RankerExperiment(Recipe recipe);

}  // namespace heed::train
