// Sums in registers and what happens to them on their way out (Epilogue, kernels/product.h). Compiled
// once for each instruction set, like vectors-inl.h, which it includes.
#if defined(HEED_KERNELS_EPILOGUE_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_KERNELS_EPILOGUE_INL
#undef HEED_KERNELS_EPILOGUE_INL
#else
#define HEED_KERNELS_EPILOGUE_INL
#endif

#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {

template <size_t rows, size_t vecs>
struct Sums {
  V at[rows][vecs];
};

template <size_t rows, size_t vecs, typename F>
HWY_INLINE void EachSum(Sums<rows, vecs>& sums, F f) {
  HEED_UNROLL
  for (size_t i = 0; i < rows; ++i) {
    HEED_UNROLL
    for (size_t j = 0; j < vecs; ++j) sums.at[i][j] = f(i, j * kLanes, sums.at[i][j]);
  }
}

template <size_t rows, size_t vecs>
HWY_INLINE void Clear(Sums<rows, vecs>& sums) {
  EachSum(sums, [](size_t, size_t, V) HWY_ATTR { return hn::Zero(kTag); });
}

HWY_INLINE V TimesWhereNegative(V y, V slope) {
#if HWY_TARGET == HWY_AVX3
  const __mmask16 negative = _mm512_cmp_ps_mask(y.raw, _mm512_setzero_ps(), _CMP_LT_OQ);
  return V{_mm512_mask_mul_ps(y.raw, negative, y.raw, slope.raw)};
#else
  const V zero = hn::Zero(kTag);
  return hn::MulAdd(slope, hn::Min(y, zero), hn::Max(y, zero));
#endif
}

// Numbers already scaled, to bytes.
template <size_t rows, size_t vecs>
HWY_INLINE void StoreTileU8(const Sums<rows, vecs>& sums, uint8_t* out, size_t stride) {
#if HWY_TARGET == HWY_AVX3
  if constexpr (vecs == 2 && rows % 2 == 0) {
    // Two rows of 32 at a time: saturating packs work within 128 bits, one permutation mends the
    // order. What is beyond int32 would come out as its smallest number.
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512 most = _mm512_set1_ps(255.0f);
    const auto whole = [&](V x) HWY_ATTR {
      return _mm512_maskz_cvtps_epi32(0xffff, _mm512_maskz_min_ps(0xffff, x.raw, most));
    };
    HEED_UNROLL
    for (size_t i = 0; i < rows; i += 2) {
      const __m512i first = _mm512_packs_epi32(whole(sums.at[i][0]), whole(sums.at[i][1]));
      const __m512i second = _mm512_packs_epi32(whole(sums.at[i + 1][0]), whole(sums.at[i + 1][1]));
      const __m512i bytes =
          _mm512_maskz_permutexvar_epi32(0xffff, order, _mm512_packus_epi16(first, second));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i * stride),
                          _mm512_castsi512_si256(bytes));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + (i + 1) * stride),
                          _mm512_maskz_extracti64x4_epi64(0xff, bytes, 1));
    }
    return;
  }
#endif
  HEED_UNROLL
  for (size_t i = 0; i < rows; ++i) {
    HEED_UNROLL
    for (size_t j = 0; j < vecs; ++j) StoreByte(sums.at[i][j], out + i * stride + j * kLanes);
  }
}

// The epilogue of rows m.., columns n... Every choice is made once a tile, outside its loops.
template <size_t rows, size_t vecs>
HWY_INLINE void Finish(Sums<rows, vecs>& sums, size_t m, size_t n, const Epilogue& end) {
  const V zero = hn::Zero(kTag);
  if (end.scale != nullptr && end.bias != nullptr) {
    EachSum(sums, [&](size_t, size_t j, V y) HWY_ATTR {
      return hn::MulAdd(y, Load(end.scale + n + j), Load(end.bias + n + j));
    });
  } else if (end.scale != nullptr) {
    EachSum(sums,
            [&](size_t, size_t j, V y) HWY_ATTR { return hn::Mul(y, Load(end.scale + n + j)); });
  } else if (end.bias != nullptr) {
    EachSum(sums,
            [&](size_t, size_t j, V y) HWY_ATTR { return hn::Add(y, Load(end.bias + n + j)); });
  }
  const size_t from = m * end.add_stride + n;
  if (end.add != nullptr) {
    EachSum(sums, [&](size_t i, size_t j, V y) HWY_ATTR {
      return hn::Add(y, Load(end.add + from + i * end.add_stride + j));
    });
  }
  if (end.add_bf16 != nullptr) {
    EachSum(sums, [&](size_t i, size_t j, V y) HWY_ATTR {
      return hn::Add(y, LoadBf16(end.add_bf16 + from + i * end.add_stride + j));
    });
  }
  if (end.relu) EachSum(sums, [&](size_t, size_t, V y) HWY_ATTR { return hn::Max(y, zero); });
  if (end.slope != nullptr) {
    EachSum(sums, [&](size_t, size_t j, V y)
                      HWY_ATTR { return TimesWhereNegative(y, Load(end.slope + n + j)); });
  }
  const size_t to = m * end.stride + n;
  if (end.fp32 != nullptr) {
    EachSum(sums, [&](size_t i, size_t j, V y) HWY_ATTR {
      hn::StoreU(y, kTag, end.fp32 + to + i * end.stride + j);
      return y;
    });
  }
  if (end.bf16 != nullptr) {
    EachSum(sums, [&](size_t i, size_t j, V y) HWY_ATTR {
      StoreBf16(y, end.bf16 + to + i * end.stride + j);
      return y;
    });
  }
  if (end.u8 != nullptr) {
    const V shift = hn::Set(kTag, end.u8_zero);
    EachSum(sums, [&](size_t, size_t j, V y)
                      HWY_ATTR { return hn::MulAdd(y, Load(end.u8_scale + n + j), shift); });
    StoreTileU8<rows, vecs>(sums, end.u8 + to, end.stride);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#endif  // HEED_KERNELS_EPILOGUE_INL
