// Which candidates are shown, with the exact probability of showing each.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"

namespace heed::decide {

struct Slate {
  std::vector<uint32_t> shown;    // candidate numbers, best first
  std::vector<float> propensity;  // of being in the slate at all, for each of `shown`; in (0, 1]
};

// The best limit - 1 by score are always shown; the last slot goes to the next best with
// probability 1 - epsilon, and with epsilon to one of all the rest (the next best among them),
// uniformly. So every candidate has a known probability above zero, which off-policy estimates
// need, at the price of one slot in 1/epsilon slates. Equal scores keep the order given.
Slate ChooseSlate(std::span<const float> scores, size_t limit, double epsilon, Random* random);

}  // namespace heed::decide
