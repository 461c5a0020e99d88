// The model that serves, swapped whole while requests run.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include "infer/compiled_ranker.h"
#include "model/ranker.h"

namespace heed::infer {

struct ServingModel {
  std::string version;  // "hosts-000001"
  std::shared_ptr<const model::Ranker> ranker;
  // The ranker compiled, with rows of its own cached.
  std::unique_ptr<CompiledRanker> compiled;

  // Compiles; int8 by the ranges the ranker carries, fp32 where it carries none, which is logged.
  static std::shared_ptr<ServingModel> Make(
      std::string version, std::shared_ptr<const model::Ranker> ranker,
      kernels::Precision precision = kernels::Precision::kFp32);
  // probabilities [N, T], calibrated. Thread-safe.
  Status Score(const model::Batch& batch, std::span<float> probabilities) const;
};

// Thread-safe. A request keeps the model it began with.
// (A mutex, not std::atomic<std::shared_ptr>: GCC 12's hides its lock from the thread sanitizer, and
// one uncontended lock a request does not show.)
class ModelHandle {
 public:
  // Null before the first Publish.
  std::shared_ptr<const ServingModel> Get() const {
    const std::lock_guard lock(mutex_);
    return model_;
  }
  // Later Gets see `model`. Returns when the last request has left the old one, which is freed here:
  // giving gigabytes of tables back takes long, and no request shall pay for it. Not for a thread
  // that answers requests.
  void Publish(std::shared_ptr<const ServingModel> model) { Exchange(std::move(model)); }
  // The same, but the old one is given back: nobody else has it any more.
  std::shared_ptr<const ServingModel> Exchange(std::shared_ptr<const ServingModel> model) {
    {
      const std::lock_guard lock(mutex_);
      model_.swap(model);
    }
    // Nobody can Get the old one any more, so the count only falls.
    while (model.use_count() > 1) std::this_thread::sleep_for(std::chrono::microseconds(200));
    // What the last request read of it happened before what the caller writes to it: a count that
    // falls is an acquire, one that is only looked at is not.
    std::shared_ptr<const ServingModel>(model).reset();
    return model;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const ServingModel> model_;
};

}  // namespace heed::infer
