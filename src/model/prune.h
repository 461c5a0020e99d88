// A ranker with parts left out: a smaller one that scores, saves, compiles and trains like any other.
// What to leave out is the caller's choice (train/pruning.h measures it). Nothing here changes the
// ranker it is given.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "model/ranker.h"

namespace heed::model {

// Without one head of each dot-attention history: heads[s] of history s (ignored for a DIN unit).
// What a head gives on average, candidate_mean (of x_candidate's columns, [candidate width]; empty:
// zeros), goes into the bias of the layers that read it. kInvalidArgument: a block that is no
// MLP, no such head, or the last one.
Result<std::unique_ptr<Ranker>> WithoutHeads(const Ranker& ranker,
                                             const std::vector<uint32_t>& heads,
                                             const std::vector<float>& candidate_mean);

// Without shared expert `expert`, whose weight the gates share among the others. kInvalidArgument: a
// head without experts or of several levels, no such expert, or the last.
Result<std::unique_ptr<Ranker>> WithoutExpert(const Ranker& ranker, uint32_t expert);

// Without the rows dropped[t] (by number, any order; the first two are kept) of table t: their keys
// are then unseen ones.
Result<std::unique_ptr<Ranker>> WithoutRows(const Ranker& ranker,
                                            const std::vector<std::vector<uint32_t>>& dropped);

}  // namespace heed::model
