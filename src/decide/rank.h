// The half of a decision that hosts and products share: score a batch, choose the slate, explain it.
#pragma once

#include <span>
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
  std::span<const float> weights;  // [T], of the tasks' predictions in the score
  double exploration;
};

// [N, T] probabilities of all candidates of all requests of `batch`.
// Without a model (null) the first task's is the first numeric of the candidate's side, which in both
// live schemas is the smoothed rate of that task: plain popularity.
Status Score(const infer::ServingModel* model, const model::Schema& schema,
             const model::Batch& batch, std::vector<float>* probabilities);

// Fills items and model_version of `response` from the request's rows of what Score gave; item i is
// the batch's row shown[i].
Status Choose(const RankInput& input, std::span<const float> probabilities, Random* random,
              RecommendResponse* response, std::vector<uint32_t>* shown);

}  // namespace heed::decide
