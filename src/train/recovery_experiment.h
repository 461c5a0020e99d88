#pragma once

#include <memory>

#include "train/experiment.h"

namespace heed::train {

Result<std::unique_ptr<Experiment>> ParseRecoveryExperiment(const RecipeText& recipe);

}  // namespace heed::train
