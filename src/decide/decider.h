// One request, from viewer to slate: candidates → features → scores → rules → exploration →
// explanation. Reads state, catalog and the serving models; changes nothing.
#pragma once

#include "heed/engine.h"

#include "base/random.h"
#include "decide/catalog.h"
#include "infer/model_handle.h"
#include "state/state.h"

namespace heed::decide {

// Thread-safe: one Decider serves all request threads; each brings its own Random.
class Decider {
 public:
  // All references outlive the Decider.
  Decider(const state::State& state, const Catalog& catalog, const infer::ModelHandle& host_model,
          const infer::ModelHandle& product_model, const EngineOptions& options)
      : state_(state),
        catalog_(catalog),
        host_model_(host_model),
        product_model_(product_model),
        options_(options) {}

  // The response has no decision_id yet: the engine gives it one when it logs the decision.
  Result<RecommendResponse> Hosts(const RecommendRequest& request, int64_t now_ts,
                                  Random* random) const;
  Result<RecommendResponse> Products(const RecommendRequest& request, int64_t now_ts,
                                     Random* random) const;

 private:
  const state::State& state_;
  const Catalog& catalog_;
  const infer::ModelHandle& host_model_;
  const infer::ModelHandle& product_model_;
  const EngineOptions& options_;
};

}  // namespace heed::decide
