// From viewer to slate: candidates → features → scores → rules → exploration → explanation. Reads
// state, catalog and the serving models; changes nothing.
#pragma once

#include <functional>
#include <vector>

#include "heed/engine.h"

#include "base/random.h"
#include "decide/catalog.h"
#include "decide/rank.h"
#include "infer/model_handle.h"
#include "model/batch.h"
#include "model/live_features.h"
#include "state/state.h"

namespace heed::decide {

// Thread-safe: one Decider serves all request threads; each brings its own Random.
class Decider {
 public:
  // All references outlive the Decider.
  Decider(const state::State& state, const Catalog& catalog, const infer::ModelHandle& host_model,
          const infer::ModelHandle& product_model, const EngineOptions& options);

  using Next = std::function<const RecommendRequest*()>;
  // What an answer was decided by, until Done returns: its item i is row shown[i] of the batch.
  struct Served {
    const model::Batch* features = nullptr;  // null where there is no answer
    std::vector<uint32_t> shown;
  };
  using Done =
      std::function<void(const RecommendRequest&, Result<RecommendResponse>, const Served&)>;
  // As Engine::RecommendTogether, but the responses have no decision_id yet: the engine gives them
  // one when it logs the decision.
  void Together(Target target, int64_t now_ts, Random* random, const Next& next,
                const Done& done) const;

 private:
  // One request between its features and its slate.
  struct Gathered {
    const RecommendRequest* request;
    RecommendResponse response;
    model::Viewer viewer;
    model::Batch batch;  // R = 1
    std::vector<Candidate> candidates;
  };
  Status Gather(Target target, Gathered* gathered) const;
  Status GatherHosts(Gathered* gathered) const;
  Status GatherProducts(Gathered* gathered) const;
  // Scores all in one pass and calls `done` for each.
  void Finish(Target target, std::vector<Gathered> group, Random* random, const Done& done) const;

  const state::State& state_;
  const Catalog& catalog_;
  const infer::ModelHandle& host_model_;
  const infer::ModelHandle& product_model_;
  const EngineOptions& options_;
  const std::vector<float> host_weights_, product_weights_;  // in the order of the schema's tasks
};

}  // namespace heed::decide
