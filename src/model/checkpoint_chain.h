// A ranker kept on disk while it learns: the whole of it now and then, and between that only what has
// changed, which costs as much as was learned and not as much as is known. docs/formats/checkpoints.md.
//
//   FOLDER/whole.heed        a model file (docs/formats/model.md)
//   FOLDER/1.increment ...   what changed after it, each on top of the one before
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "model/ranker.h"

namespace heed::model {

// Belongs to one thread, the one that trains the ranker.
class CheckpointChain {
 public:
  explicit CheckpointChain(std::string folder) : folder_(std::move(folder)) {}

  // Begins again; from here on the ranker tracks its changes.
  Status WriteWhole(Ranker* ranker);
  // What changed since the last write, of the same ranker. After WriteWhole, or after Restore with the
  // ranker that came of it. After a failed write the next must be WriteWhole: what the increment held is
  // taken from the ranker.
  Status WriteIncrement(Ranker* ranker);

  struct Restored {
    std::unique_ptr<Ranker> ranker;
    uint64_t increments = 0;  // that are in it
    Status refused;           // why not more, when there are more
  };
  // The newest state that is whole: an increment that is missing, damaged or of another chain ends it, and
  // what comes after is not looked at. An error only when there is no whole ranker to begin with. The
  // ranker tracks its changes: the next increment takes the place of a refused one.
  Result<Restored> Restore();

 private:
  std::string PathOf(uint64_t increment) const;
  Status Write(const std::string& path, const std::string& bytes);

  std::string folder_;
  IncrementLink next_;
  bool begun_ = false;
};

}  // namespace heed::model
