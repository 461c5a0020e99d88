// What the files of this module share: the RocksDB handles and the one door to a write.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/write_batch.h>

#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/status.h"
#include "store/database.h"

namespace heed::store {

// "<doing>: <what RocksDB says>", with the nearest code.
Status FromRocks(const rocksdb::Status& status, std::string_view doing);

struct Database::Handles {
  std::string directory;
  rocksdb::Env* env = nullptr;
  std::unique_ptr<rocksdb::DB> db;
  // Owned by this struct; gone before `db`.
  rocksdb::ColumnFamilyHandle* meta = nullptr;
  rocksdb::ColumnFamilyHandle* log = nullptr;
  rocksdb::ColumnFamilyHandle* ids = nullptr;
  rocksdb::ColumnFamilyHandle* documents = nullptr;

  ~Handles();

  // All or none. The first failure is final: after a failed write or sync nobody knows what is on
  // disk (the kernel may drop the pages and report the next sync as good), so everything after it is
  // refused until the database is opened again and RocksDB has rewritten what it could read back.
  Status Write(rocksdb::WriteBatch& batch, bool sync);
  Status health() const;

 private:
  mutable std::mutex mutex_;
  Status failure_;
};

}  // namespace heed::store
