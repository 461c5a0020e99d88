// What kernels/product_simd.cc and product_avx512.cc offer to kernels/product.cc; nobody else
// includes this.
#pragma once

#include "kernels/product.h"

namespace heed::kernels::simd {

// Not thread-safe: it steers Highway's process-wide choice while it asks for one level's pointers.
void Fill(Level level, Products& products);

// The functions of lanes_simd.cc, at the level Highway dispatches to.
void FillAtTarget(Products& products);

// Products of bf16 and of 8-bit numbers by the processor's own instructions, for rows x 32 columns
// (wide) or x 16: out [rows, 32 or 16] sums, not scaled; of 8-bit numbers int32. rows is 12, 4 or 1.
using TileBf16 = void (*)(const Bf16* a, size_t a_stride, size_t K, const Bf16* panel, float* out);
using TileInt8 = void (*)(const uint8_t* a, size_t a_stride, size_t K, const int8_t* panel,
                          int32_t* out);
struct Tiles {
  TileBf16 bf16[3][2] = {};  // [12, 4, 1 rows][16, 32 columns]
  TileInt8 int8[3][2] = {};
};
// AVX512_BF16 and AVX512_VNNI. Only to be called where the processor has them.
const Tiles& Avx512Tiles();
bool HasAvx512Tiles();
bool Bf16TilesAreFast();

// The same by a matrix unit, in blocks of 16 or 32 rows. One step of 64 bytes of K is a step for
// either precision, so both sides are counted in bytes: rows of a `a_step` bytes apart, `bytes` of
// each (a multiple of 4).
using Block = void (*)(const uint8_t* a, size_t a_step, size_t bytes, const uint8_t* panel,
                       void* out);
struct MatrixUnit {
  // To be called round the blocks of one K, on their thread. A unit left configured slows down every
  // switch between threads.
  void (*configure)(size_t bytes) = nullptr;
  void (*release)() = nullptr;
  Block bf16[2][2] = {};  // [16, 32 rows][16, 32 columns]
  Block int8[2][2] = {};
};
const MatrixUnit& Amx();
bool HasAmx();  // and the system grants it to this process

}  // namespace heed::kernels::simd
