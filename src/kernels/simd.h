// What kernels/simd.cc offers to kernels/table.cc; nobody else includes this.
#pragma once

#include <vector>

#include "kernels/table.h"

namespace heed::kernels::simd {

std::vector<Level> Levels();  // compiled in and runnable here, lowest first, without kScalar
// Not thread-safe: it steers Highway's process-wide choice while it asks for one level's pointers.
void Fill(Level level, Table& table);

}  // namespace heed::kernels::simd
