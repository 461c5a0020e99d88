// kind = "moments": moment attention (model/moment_attention.h), trained on rooms of which is known what
// viewers did: simulated ones (moment_world.h) with a section [world], else files of moments with outcomes.
#pragma once

#include <memory>

#include "train/experiment.h"

namespace heed::train {

Result<std::unique_ptr<Experiment>> ParseMomentExperiment(const RecipeText& recipe);

}  // namespace heed::train
