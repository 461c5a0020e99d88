// What kernels/simd.cc offers to the other files of kernels/; nobody else includes this.
#pragma once

#include <functional>
#include <vector>

#include "kernels/table.h"

namespace heed::kernels::simd {

std::vector<Level> Levels();  // compiled in and runnable here, lowest first, without kScalar
// Not thread-safe: it steers Highway's process-wide choice while it asks for one level's pointers.
void Fill(Level level, Table& table);
// Calls `then` while Highway dispatches to `level`. Not thread-safe either.
void AtTarget(Level level, const std::function<void()>& then);

}  // namespace heed::kernels::simd
