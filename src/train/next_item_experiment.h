// kind = "next_item": sequences of items, a next-item model, ranking metrics.
#pragma once

#include <memory>

#include "train/experiment.h"

namespace heed::train {

Result<std::unique_ptr<Experiment>> ParseNextItemExperiment(const RecipeText& recipe);

}  // namespace heed::train
