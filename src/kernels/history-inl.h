// What the vector files that walk a history's rows share. Like vectors-inl.h it is compiled once for each
// instruction set: the guard opens again for each of Highway's targets.
#if defined(HEED_KERNELS_HISTORY_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_HISTORY_INL
#undef HEED_KERNELS_HISTORY_INL
#else
#define HEED_KERNELS_HISTORY_INL
#endif

#include <hwy/highway.h>

#include <algorithm>

#include "kernels/history.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

HWY_INLINE const float* Part(const TokenRows& x, size_t t, size_t k) {
  return x.tables[k] + x.rows[t * x.parts + k] * x.stride;
}

// The next rows, `times` as many as it is eager for. To the second cache: the first is too small.
HWY_INLINE void Fetch(RowFetch* fetch, size_t times) {
  const TokenRows& x = fetch->of;
  const size_t to = std::min(x.tokens * x.parts, fetch->done + times * fetch->eager);
  for (; fetch->done < to; ++fetch->done) {
    const float* row = x.tables[fetch->part] + x.rows[fetch->done] * x.stride;
    for (size_t j = 0; j < x.width; j += 16) __builtin_prefetch(row + j, 0, 2);
    if (++fetch->part == x.parts) fetch->part = 0;
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#endif  // HEED_KERNELS_HISTORY_INL
