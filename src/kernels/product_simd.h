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
// Rows of split numbers (product.h), likewise.
void SplitRows(const float* x, size_t stride, size_t M, size_t K, Bf16* out);
bool HasAvx512Tiles();
bool Bf16TilesAreFast();

// The same by a matrix unit, in blocks of 16 or 32 rows. One step of 64 bytes of K is a step for
// either precision, so both sides are counted in bytes: rows of a `a_step` bytes apart, `bytes` of
// each (a multiple of 4).
using Block = void (*)(const uint8_t* a, size_t a_step, size_t bytes, const uint8_t* panel,
                       void* out);
// Of split rows and a split panel, step 32 of K: `a` and `panel` point to their upper numbers' share, K is
// all of them. `product` counts to kSplitProducts; sums stay in the unit from clear to store. The
// unit has few registers to look ahead with: work for the vector units goes between one product (4
// instructions, 64 cycles) and the next. `configure` wants kSplit.
constexpr size_t kSplitProducts = 6;
using Step = void (*)(size_t product, const Bf16* a, const Bf16* panel, size_t K);
using Store = void (*)(float* out);
struct MatrixUnit {
  static constexpr size_t kSplit = 0;
  // To be called round the blocks of one K, on their thread. Between hold and let_go (calls may nest)
  // the unit stays as it is when released, and is configured again only for another shape.
  void (*configure)(size_t bytes) = nullptr;
  void (*release)() = nullptr;
  void (*hold)() = nullptr;
  void (*let_go)() = nullptr;
  Block bf16[2][2] = {};  // [16, 32 rows][16, 32 columns]
  Block int8[2][2] = {};
  void (*split_clear)() = nullptr;
  Step split_step[2][2] = {};
  Store split_store[2][2] = {};
};
const MatrixUnit& Amx();
bool HasAmx();  // and the system grants it to this process

}  // namespace heed::kernels::simd
