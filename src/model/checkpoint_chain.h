// Rankers kept on disk while they learn: the whole of them now and then, and between that only what has
// changed, which costs as much as was learned and not as much as is known. docs/formats/checkpoints.md.
//
//   FOLDER/whole.checkpoint
//   FOLDER/1.increment ...   what changed after it, each on top of the one before
//
// Each is written whole or not at all, and holds every ranker as of one moment with what their owner keeps
// beside them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/ranker.h"

namespace heed::model {

// Belongs to one thread, the one that trains the rankers.
class CheckpointChain {
 public:
  explicit CheckpointChain(std::string folder) : folder_(std::move(folder)) {}

  // Nothing to follow, or what follows has grown to the size of the whole, or to kMostIncrements.
  bool WholeIsDue() const;
  // Begins again; from here on the rankers track their changes.
  Status WriteWhole(std::span<Ranker* const> rankers, std::string_view beside);
  // What changed since the last write, of the same rankers. After WriteWhole, or after Restore with the
  // rankers that came of it. After a failed write the next must be WriteWhole: what the increment held is
  // taken from the rankers.
  Status WriteIncrement(std::span<Ranker* const> rankers, std::string_view beside);

  struct Restored {
    std::vector<std::unique_ptr<Ranker>> rankers;
    std::vector<std::string> beside;  // of the whole and of each increment
    Status refused;                   // why not more increments, when there are more
    size_t increments() const { return beside.size() - 1; }
  };
  // The newest state that is whole: an increment that is missing, damaged or of another chain ends it, and
  // what comes after is not looked at. An error only when there is no whole file to begin with: kNotFound
  // when there is none at all. The rankers track their changes: the next increment takes the place of a
  // refused one.
  Result<Restored> Restore();

  // Each costs a reader a copy of the tables.
  static constexpr uint64_t kMostIncrements = 32;

 private:
  std::string PathOf(uint64_t number) const;
  Status Write(const std::vector<std::string>& rankers, std::string_view beside, uint64_t* size);
  // Applies file next_ to `restored`, all of it or nothing.
  Status Read(std::string_view bytes, Restored* restored) const;

  std::string folder_;
  bool begun_ = false;
  uint64_t next_ = 0;     // number of the next file: 0 is the whole
  uint64_t follows_ = 0;  // checksum of the file before that
  uint64_t whole_bytes_ = 0, increment_bytes_ = 0;
};

}  // namespace heed::model
