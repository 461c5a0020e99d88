// The two models that serve: which version does, and what learns from it.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "heed/engine.h"

#include "decide/decider.h"
#include "engine/learner.h"
#include "engine/model_files.h"
#include "engine/served_features.h"
#include "infer/model_handle.h"

namespace heed::engine {

// Thread-safe, after Open.
class Models {
 public:
  // Of <options.directory>/models.
  Models(const EngineOptions& options, kernels::Precision precision);

  // Serves what is on disk; with learning, from where it left off. `last_sequence`: the log's.
  Status Open(uint64_t last_sequence);
  // Writes the ranker as the next version, makes it the active one and serves it.
  Result<std::string> Add(train::LiveRanker which, const std::shared_ptr<model::Ranker>& ranker);
  Status Activate(const std::string& version);
  Status SetShadow(const std::string& version);
  Status RollBack(const std::string& name);
  Status SetLearning(const std::string& name, bool on);
  std::vector<ModelInfo> Infos() const;
  std::vector<LearningStats> Learning() const;

  const infer::ModelHandle& handle(train::LiveRanker which) const {
    return which == train::LiveRanker::kHosts ? hosts_ : products_;
  }
  // Null when options.learning.on is false.
  Learner* learner() { return learner_.get(); }
  // Keeps what a decision was decided by, for its impressions.
  void Decided(Target target, const RecommendRequest& request, const RecommendResponse& response,
               const decide::Decider::Served& served);

 private:
  infer::ModelHandle& HandleOf(train::LiveRanker which) {
    return which == train::LiveRanker::kHosts ? hosts_ : products_;
  }
  Status Serve(train::LiveRanker which, const std::string& version,
               const std::shared_ptr<model::Ranker>& ranker, bool resume);
  Result<train::LiveRanker> Named(const std::string& name) const;

  const kernels::Precision precision_;
  mutable std::mutex mutex_;  // files_, and one change of versions at a time
  ModelFiles files_;
  infer::ModelHandle hosts_, products_;
  ServedFeatures served_;
  std::unique_ptr<Learner> learner_;
};

}  // namespace heed::engine
