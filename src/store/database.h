// One RocksDB database holds everything durable: event log, event ids, catalog, decisions, keys.
// Snapshots of state are files beside it. All disk access, snapshots too, goes through one
// rocksdb::Env, so tests can fail it (store/fault_env.h).
#pragma once

#include <cstdint>
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
  // What was written after the last clean close is replayed from RocksDB's write-ahead log. A last
  // record cut short by a crash is always dropped: it was never acknowledged. Any other damage in it
  // may be to acknowledged data, so Open refuses with kCorruption; true lets it open with what comes
  // before the damage, and logs that. For an operator who has looked, never by default.
  bool accept_damaged_tail = false;
};

struct DatabaseStats {
  uint64_t log_bytes = 0;  // on disk, compressed; the write-ahead log not counted
  uint64_t id_bytes = 0;
  uint64_t document_bytes = 0;
  uint64_t wal_bytes = 0;     // live write-ahead log
  uint64_t memory_bytes = 0;  // write buffers, filters and indexes, block cache
};

// Thread-safe. Closing (destruction) waits for writers, and empties the write-ahead log.
class Database {
 public:
  // kUnavailable: another process has it open. kCorruption: see accept_damaged_tail.
  static Result<std::unique_ptr<Database>> Open(const DatabaseOptions& options);
  ~Database();

  struct Handles;  // the RocksDB handles; for the files of this module only
  Handles& handles() { return *handles_; }
  const Handles& handles() const { return *handles_; }
  const std::string& directory() const;
  rocksdb::Env& env() const;

  // Ok, or the failed write after which everything is refused until reopened.
  Status health() const;
  DatabaseStats stats() const;
  // Moves what is in memory and in the write-ahead log into table files; blocks until done.
  Status Flush();

 private:
  explicit Database(std::unique_ptr<Handles> handles);
  std::unique_ptr<Handles> handles_;
};

}  // namespace heed::store
