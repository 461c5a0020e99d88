// A disk that fails on demand, for tests: a rocksdb::Env over real files that can refuse a sync, run
// full, lose power with what was not synced, and flip bits.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"

namespace rocksdb {
class Env;
}

namespace heed::store {

// What a power cut keeps: of a file, what it held at its last successful sync and a prefix of what
// was appended since; of a name, its state at the last sync of its directory. A removed file stays
// removed, a new directory stays. Syncs do not reach the real disk, so tests are fast.
//
// Thread-safe, but Restart only once nothing uses env() any more. Files changed by other means than
// env() are taken as synced.
class FaultEnv {
 public:
  FaultEnv();
  ~FaultEnv();

  rocksdb::Env* env();

  // The n-th sync from now (1: the next) of a file whose path contains `part` fails, and so do all
  // later ones of that file. What was not synced before is lost at the next power cut.
  void FailSync(uint64_t n, std::string part = {});
  // After so many bytes more every append fails, the last one halfway.
  void FillDiskAfter(uint64_t bytes);
  // So many changes more (append, sync, new file, rename, removal) succeed, all after them fail; the
  // first of these, if an append, leaves half of its bytes. 0: at once.
  void CutPowerAfter(uint64_t changes);
  bool power_is_cut() const;
  // Ends all faults; after a power cut first takes away what it cost, `seed` choosing how much of
  // each unsynced tail survives.
  Status Restart(uint64_t seed);

  // The byte at `offset` reads with one bit flipped, in files whose path contains `part`, through
  // env() only, until Restart.
  void FlipOnRead(std::string part, uint64_t offset);
  // Successful syncs so far of files whose path contains `part`.
  uint64_t syncs(const std::string& part) const;

  class Disk;

 private:
  std::shared_ptr<Disk> disk_;
  std::unique_ptr<rocksdb::Env> env_;
};

// Flips one bit of the byte at `offset` of a file at rest.
Status FlipByte(const std::string& path, uint64_t offset);

}  // namespace heed::store
