// Why an item stands where it stands: the attention weight of every event of the viewer's history
// and, because a weight alone is not an explanation, what the score would be without that event.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "decide/rank.h"

namespace heed::decide {

// From probabilities [N, T]: sum over tasks of weight * probability, for each candidate.
std::vector<float> WeightedScores(std::span<const float> weights,
                                  std::span<const float> probabilities);

// Fills `attention` of items[i], which is candidate rows[i]. Costs one forward pass with as many
// requests as the history has events (at most 130), so it is done only when asked for.
Status Explain(const RankInput& input, const std::vector<uint32_t>& rows,
               std::vector<RankedItem>* items);

}  // namespace heed::decide
