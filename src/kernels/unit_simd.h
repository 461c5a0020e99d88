// What kernels/unit_simd.cc offers to kernels/unit.cc; nobody else includes this.
#pragma once

#include "kernels/unit.h"

namespace heed::kernels::simd {

// Not thread-safe: it steers Highway's process-wide choice while it asks for one level's pointers.
void Fill(Level level, UnitKernels& kernels);

}  // namespace heed::kernels::simd
