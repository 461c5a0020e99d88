// kind = "online_replay": a ranker trained once, then the days after in the order of time, once with frozen
// weights and once predicting each row and learning from it as soon as its labels are known. Both see the
// same features.
#pragma once

#include <memory>

#include "train/experiment.h"

namespace heed::train {

Result<std::unique_ptr<Experiment>> ParseOnlineReplayExperiment(const RecipeText& recipe);

}  // namespace heed::train
