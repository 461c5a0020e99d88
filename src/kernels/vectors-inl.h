// What the vector files of kernels/ share. Like them it is compiled once for each instruction set:
// the guard opens again for each of Highway's targets.
#if defined(HEED_KERNELS_VECTORS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_VECTORS_INL
#undef HEED_KERNELS_VECTORS_INL
#else
#define HEED_KERNELS_VECTORS_INL
#endif

#include <hwy/highway.h>

#include "kernels/product.h"

#ifndef HEED_UNROLL
// The tiles are arrays of vectors that must become registers; only full unrolling makes them so.
#if HWY_COMPILER_CLANG
#define HEED_UNROLL _Pragma("clang loop unroll(full)")
#else
#define HEED_UNROLL _Pragma("GCC unroll 64")
#endif
#endif

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// NOLINTBEGIN(misc-definitions-in-headers): each file has its own, once for each instruction set.
const hn::ScalableTag<float> kTag;
const hn::Rebind<int32_t, decltype(kTag)> kIntTag;
const hn::Rebind<uint16_t, decltype(kTag)> kHalfTag;
const hn::Rebind<uint8_t, decltype(kTag)> kByteTag;
using V = hn::Vec<decltype(kTag)>;
using VI = hn::Vec<decltype(kIntTag)>;

constexpr size_t kLanes = hn::MaxLanes(hn::ScalableTag<float>());
// NOLINTEND(misc-definitions-in-headers)

HWY_INLINE V Load(const float* p) { return hn::LoadU(kTag, p); }

HWY_INLINE V LoadBf16(const Bf16* p) {
  const VI wide = hn::PromoteTo(kIntTag, hn::LoadU(kHalfTag, p));
  return hn::BitCast(kTag, hn::ShiftLeft<16>(wide));
}

// To nearest even, as ToBf16; NaN is not expected here.
HWY_INLINE VI RoundToBf16(V x) {
  const VI bits = hn::BitCast(kIntTag, x);
  const VI odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(kIntTag, 1));
  const VI rounded = hn::Add(hn::Add(bits, hn::Set(kIntTag, 0x7fff)), odd);
  return hn::And(hn::ShiftRight<16>(rounded), hn::Set(kIntTag, 0xffff));
}
HWY_INLINE void StoreBf16(V x, Bf16* to) {
  hn::StoreU(hn::DemoteTo(kHalfTag, RoundToBf16(x)), kHalfTag, to);
}
// Rounded and saturated. The conversion takes what is beyond int32 for its smallest number, hence Min.
HWY_INLINE void StoreByte(V y, uint8_t* to) {
  const V top = hn::Set(kTag, 255.0f);
  hn::StoreU(hn::DemoteTo(kByteTag, hn::NearestInt(hn::Min(y, top))), kByteTag, to);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#endif  // HEED_KERNELS_VECTORS_INL
