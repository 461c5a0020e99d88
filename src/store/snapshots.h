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

// A whole snapshot file from its bytes. Never trusts them: anything but what Write makes is
// kCorruption.
Result<Snapshot> ParseSnapshot(std::string_view file);

// Thread-compatible.
class Snapshots {
 public:
  // Files live in <database directory>/snapshots. At least one is kept.
  Snapshots(Database& database, size_t keep);

  // Written to a temporary name, synced, renamed, directory synced; then all but the newest `keep`
  // are removed. On an error the older ones are as they were.
  Status Write(uint64_t sequence, std::string_view bytes);
  // The newest that reads back whole; a damaged one is logged, kept for inspection under another
  // name (".damaged"), and the one before it is tried; one the disk refuses to read is logged and
  // passed over. Nothing usable: nullopt.
  Result<std::optional<Snapshot>> ReadNewest() const;

 private:
  Database& database_;
  size_t keep_;
  std::string directory_;
};

}  // namespace heed::store
