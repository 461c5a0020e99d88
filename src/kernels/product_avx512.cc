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
bool HasAvx512Tiles() { return false; }
bool Bf16TilesAreFast() { return false; }
}  // namespace heed::kernels::simd

#endif
