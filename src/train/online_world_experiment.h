// kind = "online_world": learning from a stream whose truth is known (stream_world.h). Needs no data.
#pragma once

#include <memory>

#include "train/experiment.h"

namespace heed::train {

Result<std::unique_ptr<Experiment>> ParseOnlineWorldExperiment(const RecipeText& recipe);

}  // namespace heed::train
