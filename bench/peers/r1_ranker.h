// R1 as a ranker of ours (docs/benchmarks.md): its configuration, and tables to put its rows in.
#pragma once

#include <cstddef>

#include "model/ranker.h"
#include "nn/embedding.h"
#include "peers/r1_data.h"

namespace heed::r1 {

// Tables of the fields of an event and of a candidate; "viewer" and "context" are the request's.
inline constexpr const char* kItemTables[kTables] = {"item", "author", "category"};

model::RankerConfig ConfigOf(Family family);

// Key k + 1 has row k of values [rows, shape.width]. No state of an optimiser: to be read, not trained.
nn::EmbeddingTable TableOf(const nn::TableShape& shape, const float* values, size_t rows);

}  // namespace heed::r1
