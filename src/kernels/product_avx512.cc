// Tiles by vdpbf16ps and vpdpbusd, which Highway 1.0 does not offer. The instructions are written as
// inline assembly with the sums as operands: GCC 12 moves the sums of the intrinsics' form to memory
// and back at every step, at a third of the speed.
#include "kernels/product_simd.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define HEED_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#if defined(__clang__)
#define HEED_UNROLL _Pragma("clang loop unroll(full)")
#else
#define HEED_UNROLL _Pragma("GCC unroll 64")
#endif

namespace heed::kernels::simd {
namespace {

// out [rows, vecs * 16]; K is a multiple of 2; the panel holds pairs.
template <int rows, int vecs>
HEED_AVX512 void Bf16Tile(const Bf16* a, size_t a_stride, size_t K, const Bf16* panel, float* out) {
  __m512 sum[rows][vecs];
  HEED_UNROLL
  for (int i = 0; i < rows; ++i) {
    HEED_UNROLL
    for (int j = 0; j < vecs; ++j) sum[i][j] = _mm512_setzero_ps();
  }
  for (size_t k = 0; k < K; k += 2) {
    __m512i b[vecs];
    HEED_UNROLL
    for (int j = 0; j < vecs; ++j) b[j] = _mm512_loadu_si512(panel + (k * vecs + 2 * j) * 16);
    HEED_UNROLL
    for (int i = 0; i < rows; ++i) {
      int pair;
      __builtin_memcpy(&pair, a + i * a_stride + k, sizeof pair);
      const __m512i x = _mm512_set1_epi32(pair);
      HEED_UNROLL
      for (int j = 0; j < vecs; ++j) {
        asm("vdpbf16ps %2, %1, %0" : "+v"(sum[i][j]) : "v"(x), "v"(b[j]));
      }
    }
  }
  HEED_UNROLL
  for (int i = 0; i < rows; ++i) {
    HEED_UNROLL
    for (int j = 0; j < vecs; ++j) _mm512_storeu_ps(out + (i * vecs + j) * 16, sum[i][j]);
  }
}

template <int rows, int vecs>
HEED_AVX512 void Int8Tile(const uint8_t* a, size_t a_stride, size_t K, const int8_t* panel,
                          int32_t* out) {
  __m512i sum[rows][vecs];
  HEED_UNROLL
  for (int i = 0; i < rows; ++i) {
    HEED_UNROLL
    for (int j = 0; j < vecs; ++j) sum[i][j] = _mm512_setzero_si512();
  }
  for (size_t k = 0; k < K; k += 4) {
    __m512i b[vecs];
    HEED_UNROLL
    for (int j = 0; j < vecs; ++j) b[j] = _mm512_loadu_si512(panel + (k * vecs + 4 * j) * 16);
    HEED_UNROLL
    for (int i = 0; i < rows; ++i) {
      int quad;
      __builtin_memcpy(&quad, a + i * a_stride + k, sizeof quad);
      const __m512i x = _mm512_set1_epi32(quad);
      HEED_UNROLL
      for (int j = 0; j < vecs; ++j) {
        asm("vpdpbusd %2, %1, %0" : "+v"(sum[i][j]) : "v"(x), "v"(b[j]));
      }
    }
  }
  HEED_UNROLL
  for (int i = 0; i < rows; ++i) {
    HEED_UNROLL
    for (int j = 0; j < vecs; ++j) _mm512_storeu_si512(out + (i * vecs + j) * 16, sum[i][j]);
  }
}

}  // namespace

HEED_AVX512 void SplitRows(const float* x, size_t stride, size_t M, size_t K, Bf16* out) {
  alignas(64) static constexpr uint16_t kOdd[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21,
                                                    23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43,
                                                    45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
  const __m512i odd = _mm512_load_si512(kOdd), half = _mm512_set1_epi32(0x8000),
                high = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
  const size_t padded = SplitK(K);
  const auto mask = [&](size_t k) {
    return static_cast<__mmask16>(k >= K ? 0 : K - k >= 16 ? 0xffff : (1u << (K - k)) - 1);
  };
  for (size_t m = 0; m < M; ++m, x += stride, out += kSplitParts * padded) {
    for (size_t k = 0; k < padded; k += 32) {
      __m512 rest[2] = {_mm512_maskz_loadu_ps(mask(k), x + k),
                        _mm512_maskz_loadu_ps(mask(k + 16), x + k + 16)};
      HEED_UNROLL
      for (size_t part = 0; part < kSplitParts; ++part) {
        __m512i upper[2];
        HEED_UNROLL
        for (size_t i = 0; i < 2; ++i) {
          upper[i] = _mm512_castps_si512(rest[i]);
          // What is left for the last part has 8 bits. A NaN may become something else before, but
          // what is left of it stays NaN.
          if (part + 1 == kSplitParts) continue;
          upper[i] = _mm512_and_si512(_mm512_add_epi32(upper[i], half), high);
          rest[i] = _mm512_sub_ps(rest[i], _mm512_castsi512_ps(upper[i]));
        }
        _mm512_storeu_si512(out + part * padded + k,
                            _mm512_permutex2var_epi16(upper[0], odd, upper[1]));
      }
    }
  }
}

const Tiles& Avx512Tiles() {
  static const Tiles tiles{
      .bf16 = {{Bf16Tile<12, 1>, Bf16Tile<12, 2>},
               {Bf16Tile<4, 1>, Bf16Tile<4, 2>},
               {Bf16Tile<1, 1>, Bf16Tile<1, 2>}},
      .int8 = {{Int8Tile<12, 1>, Int8Tile<12, 2>},
               {Int8Tile<4, 1>, Int8Tile<4, 2>},
               {Int8Tile<1, 1>, Int8Tile<1, 2>}},
  };
  return tiles;
}

bool HasAvx512Tiles() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (c & (1u << 11)) == 0) return false;  // VNNI
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) == 0) return false;
  return (a & (1u << 5)) != 0;  // BF16
}

bool Bf16TilesAreFast() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(0, &a, &b, &c, &d) != 0 && b != signature_INTEL_ebx;
}

}  // namespace heed::kernels::simd

#else

namespace heed::kernels::simd {
const Tiles& Avx512Tiles() {
  static const Tiles none;
  return none;
}
void SplitRows(const float*, size_t, size_t, size_t, Bf16*) {}
bool HasAvx512Tiles() { return false; }
bool Bf16TilesAreFast() { return false; }
}  // namespace heed::kernels::simd

#endif
