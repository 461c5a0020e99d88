// The half of a decision that hosts and products share: score a batch, choose the slate, explain it.
#pragma once

#include <string>
#include <vector>

#include "heed/engine.h"

#include "base/random.h"
#include "infer/model_handle.h"
#include "model/batch.h"
#include "model/live_features.h"
#include "state/state.h"

namespace heed::decide {

struct Candidate {  // row i of the batch
  std::string id;
  std::string room;    // hosts only
  std::string source;  // "given", "live", "followed", "room"
};

struct RankInput {
  const state::State& state;
  const model::Schema& schema;
  const model::Viewer& viewer;
  const infer::ServingModel* model;  // null: rank by popularity
  const model::Batch& batch;         // R = 1
  const std::vector<Candidate>& candidates;
  const RecommendRequest& request;
  double exploration;
};

// Fills items and model_version of `response`.
// Without a model the score is the first numeric of the candidate's side, which in both live
// schemas is the smoothed rate of its first task: plain popularity.
Status Rank(const RankInput& input, Random* random, RecommendResponse* response);

}  // namespace heed::decide
