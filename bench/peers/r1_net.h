// R1 with the data folder's weights and tables put in place; what both of Heed's workers start from.
#pragma once

#include <memory>
#include <span>

#include "model/ranker_net.h"
#include "peers/r1_data.h"

namespace heed::r1 {

// Viewers and contexts [n][kWidth] become embedding rows: row i is that of key i + 1.
std::unique_ptr<model::Net> NetOf(const Data& data, Family family, std::span<const float> viewers,
                                  std::span<const float> contexts);

}  // namespace heed::r1
