// Trained models on disk: <directory>/models/<name>-<number>.heed, and beside them <name>.roles, which
// says what each is for. Format: docs/formats/model.md.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "heed/status.h"

#include "model/ranker.h"

namespace heed::engine {

// Which versions do what. Empty: active is the newest, the shadow is the active one.
struct ModelRoles {
  std::string active;  // what serves, or what live learning began from
  std::string shadow;  // what live weights are judged by, and go back to
  bool operator==(const ModelRoles&) const = default;
};

// Thread-compatible.
class ModelFiles {
 public:
  ModelFiles(std::string directory, size_t keep) : directory_(std::move(directory)), keep_(keep) {}

  // Writes the next version whole (temporary name, sync, rename), removes all but the newest `keep`
  // and those that have a role, and returns the version, "hosts-000002".
  Result<std::string> Save(const std::string& name, const model::Ranker& ranker);
  // kNotFound, kCorruption, or kInvalidArgument where it was trained for other features.
  Result<std::shared_ptr<model::Ranker>> Load(const std::string& version,
                                              const model::Schema& schema) const;
  struct Loaded {
    std::string version;
    std::shared_ptr<model::Ranker> ranker;  // null: there is none
  };
  // The active one; where that cannot be read, which is logged, the newest that can.
  Loaded LoadActive(const std::string& name, const model::Schema& schema) const;

  // A file that is not there or damaged, which is logged, gives no one a role.
  ModelRoles ReadRoles(const std::string& name) const;
  Status WriteRoles(const std::string& name, const ModelRoles& roles);
  // Ascending.
  std::vector<std::string> Versions(const std::string& name) const;
  // "hosts-000002" -> "hosts".
  static std::string NameOf(std::string_view version);

 private:
  std::string PathOf(std::string_view version) const;
  std::string RolesPath(const std::string& name) const;

  std::string directory_;
  size_t keep_;
};

}  // namespace heed::engine
