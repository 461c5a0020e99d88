// One RocksDB database holds everything durable: event log, event ids, catalog, decisions, keys.
// Snapshots of state are files beside it. All disk access, snapshots too, goes through one
// rocksdb::Env, so tests can fail it (store/fault_env.h).
#pragma once

#include <memory>
#include <string>

#include "base/status.h"

namespace rocksdb {
class Env;
}

namespace heed::store {

struct DatabaseOptions {
  std::string directory;        // made when absent
  rocksdb::Env* env = nullptr;  // not owned; null: the machine's
  size_t cache_bytes = 256u << 20;
};

// Thread-safe. Closing (destruction) waits for writers.
class Database {
 public:
  static Result<std::unique_ptr<Database>> Open(const DatabaseOptions& options);
  ~Database();

  struct Handles;  // the RocksDB handles; for the files of this module only
  const Handles& handles() const { return *handles_; }
  const std::string& directory() const;
  rocksdb::Env& env() const;

 private:
  Database();
  std::unique_ptr<Handles> handles_;
};

}  // namespace heed::store
