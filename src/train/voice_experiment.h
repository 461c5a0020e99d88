// kind = "voice": acted emotions from the sound of a voice, judged on speakers that took no part in
// training. The model is the project's own: statistics of a whole utterance, and attention pooling over
// the statistics of its overlapping seconds, beside a linear model of the same utterance statistics.
#pragma once

#include <memory>

#include "train/experiment.h"

namespace heed::train {

// The folder holds Emo-DB's files (Burkhardt et al. 2005), flac/ssxxxEv.flac: speaker, text, emotion.
Result<std::unique_ptr<Experiment>> ParseVoiceExperiment(const RecipeText& recipe);

}  // namespace heed::train
