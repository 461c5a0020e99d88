// Trains one live ranker on examples from the log.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "heed/engine.h"

#include "model/ranker.h"
#include "train/log_examples.h"

namespace heed::engine {

struct TrainedRanker {
  std::shared_ptr<model::Ranker> ranker;
  uint64_t samples = 0;
  std::vector<TaskQuality> quality;  // on the last tenth by time
};

// Fits on the first nine tenths by time, stops early and calibrates on the last tenth, and reports
// the quality there. kInvalidArgument when there are too few examples to learn from;
// kDeadlineExceeded when `progress` said stop. Deterministic given the pool and the seed.
Result<TrainedRanker> TrainRanker(const train::ExamplePool& pool, const std::string& name,
                                  uint64_t seed,
                                  const std::function<bool(const TrainProgress&)>& progress);

}  // namespace heed::engine
