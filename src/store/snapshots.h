// Whole files of state, each named by the log sequence it holds, checksummed, replaced atomically,
// old ones removed. Format: docs/formats/snapshot.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "store/database.h"

namespace heed::store {

struct Snapshot {
  uint64_t sequence = 0;  // the last event it contains
  std::string bytes;
};

// Thread-compatible.
class Snapshots {
 public:
  // Files live in <database directory>/snapshots.
  Snapshots(Database& database, size_t keep);

  // Written to a temporary name, synced, renamed, directory synced; then all but the newest `keep`
  // are removed.
  Status Write(uint64_t sequence, std::string_view bytes);
  // The newest that reads back whole; a damaged one is logged, kept for inspection under another
  // name, and the one before it is tried. Nothing usable: nullopt.
  Result<std::optional<Snapshot>> ReadNewest() const;

 private:
  Database& database_;
  size_t keep_;
};

}  // namespace heed::store
