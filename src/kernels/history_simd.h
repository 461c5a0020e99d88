// What kernels/history_simd.cc offers to kernels/history.cc; nobody else includes this.
#pragma once

#include "kernels/history.h"

namespace heed::kernels::simd {

// Not thread-safe: it steers Highway's process-wide choice while it asks for one level's pointers.
void Fill(Level level, HistoryKernels& kernels);

}  // namespace heed::kernels::simd
