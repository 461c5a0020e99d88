// A model that serves while its weights go on changing.
//
// Two replicas: requests read one, what training changed is written into the other, which then takes its
// place; once the last request has left the first, it catches up at the next change (left-right,
// Ramalhete & Correia 2015). So no request sees half of a change, none waits, and a change costs
// what was changed, not what the tables hold. The price is the tables' values a second time.
#pragma once

#include <memory>
#include <string>

#include "infer/model_handle.h"
#include "model/ranker.h"

namespace heed::infer {

// Thread-compatible: one thread trains and publishes. Nobody else publishes to `handle` meanwhile.
class LiveModel {
 public:
  // Serves `trained`'s weights from now on, as `version`.
  LiveModel(ModelHandle* handle, const model::Ranker& trained, kernels::Precision precision,
            const std::string& version);

  // Serves `trained` as it is, as `version`: its rows `changed` since the last call and, with `dense`, everything
  // else. (Between calls with `dense` new rows stand beside older dense weights; repacking those
  // costs a millisecond and empties the caches.) Returns when requests read the new weights and the
  // last one has left the old.
  void Publish(const model::Ranker& trained, const model::TableRows& changed, bool dense,
               std::string version);

 private:
  struct Replica {
    std::shared_ptr<model::Ranker> ranker;
    std::shared_ptr<ServingModel> model;  // null while it serves: the handle has it
    model::TableRows behind;              // changed since it was written last
    bool dense_behind = false;
  };
  void CatchUp(const model::Ranker& trained, Replica* replica) const;

  ModelHandle* handle_;
  Replica replicas_[2];
  size_t serving_ = 0;
};

}  // namespace heed::infer
