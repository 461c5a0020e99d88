// kind = "text": labelled texts, a classifier. docs/datasets.md has the keys.
#pragma once

#include <memory>

#include "train/experiment.h"

namespace heed::train {

Result<std::unique_ptr<Experiment>> ParseTextExperiment(const RecipeText& recipe);

}  // namespace heed::train
