// Trained models on disk: <directory>/models/<name>-<number>.heed. Format: docs/formats/model.md.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "heed/status.h"

#include "infer/model_handle.h"

namespace heed::engine {

// Thread-compatible.
class ModelFiles {
 public:
  ModelFiles(std::string directory, size_t keep, kernels::Precision precision)
      : directory_(std::move(directory)), keep_(keep), precision_(precision) {}

  // Writes the next version whole (temporary name, sync, rename), removes all but the newest `keep`,
  // and returns the version, "hosts-000002".
  Result<std::string> Save(const std::string& name, const model::Ranker& ranker);
  // The newest that reads back whole and fits `schema`; one that does not is logged and the one
  // before it serves. Null when there is none.
  std::shared_ptr<const infer::ServingModel> LoadNewest(const std::string& name,
                                                        const model::Schema& schema) const;
  // Ascending.
  std::vector<std::string> Versions(const std::string& name) const;

 private:
  std::string directory_;
  size_t keep_;
  kernels::Precision precision_;  // of what LoadNewest serves
};

}  // namespace heed::engine
