// The model that serves, swapped whole while requests run.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "model/ranker.h"

namespace heed::infer {

struct ServingModel {
  std::string version;  // "hosts-000001"
  std::unique_ptr<const model::Ranker> ranker;
};

// Thread-safe. A request keeps the model it began with; the old one goes when its last request ends.
// (A mutex, not std::atomic<std::shared_ptr>: GCC 12's hides its lock from the thread sanitizer, and
// one uncontended lock a request does not show.)
class ModelHandle {
 public:
  // Null before the first Publish.
  std::shared_ptr<const ServingModel> Get() const {
    const std::lock_guard lock(mutex_);
    return model_;
  }
  void Publish(std::shared_ptr<const ServingModel> model) {
    {
      const std::lock_guard lock(mutex_);
      model_.swap(model);
    }
    // The old model, if this was its last user, is freed here, outside the lock.
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const ServingModel> model_;
};

}  // namespace heed::infer
