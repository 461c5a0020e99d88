// kernels/product.h on vectors, by Google Highway; compiled once for each instruction set, like simd.cc.
//
// A tile of rows x 32 columns stays in registers over the whole of K: each step loads one strip of
// the panel and broadcasts one number a row. 12 rows x 2 vectors fill AVX-512's 32 registers and hide
// the multiply-add's latency; AVX2 has 16 registers, hence 3 rows x 4 vectors.
#include "kernels/product_simd.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

// NOLINTBEGIN(readability-identifier-naming): Highway's names
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/product_simd.cc"
// NOLINTEND(readability-identifier-naming)
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "kernels/epilogue-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace heed::kernels {
namespace HWY_NAMESPACE {
namespace {
constexpr size_t kRows = kLanes >= 16 ? 12 : kLanes == 8 || HWY_TARGET == HWY_NEON ? 3 : 1;
constexpr size_t kWide = kPanel / kLanes, kNarrow = kHalfPanel / kLanes;

template <size_t n>
using Count = std::integral_constant<size_t, n>;

// Calls f(Count<rows>, first row) for tiles of kRows, then 4, then single rows.
template <typename F>
HWY_INLINE void EachTile(size_t M, F f) {
  size_t m = 0;
  for (; m + kRows <= M; m += kRows) f(Count<kRows>(), m);
  if constexpr (kRows > 4) {
    for (; m + 4 <= M; m += 4) f(Count<4>(), m);
  }
  for (; m < M; ++m) f(Count<1>(), m);
}

template <size_t rows, size_t vecs>
HWY_INLINE void AddProducts(const float* HWY_RESTRICT a, size_t a_stride, size_t K,
                            const float* HWY_RESTRICT panel, Sums<rows, vecs>& sums) {
  for (size_t k = 0; k < K; ++k) {
    V b[vecs];
    HEED_UNROLL
    for (size_t j = 0; j < vecs; ++j) b[j] = Load(panel + (k * vecs + j) * kLanes);
    HEED_UNROLL
    for (size_t i = 0; i < rows; ++i) {
      const V x = hn::Set(kTag, a[i * a_stride + k]);
      HEED_UNROLL
      for (size_t j = 0; j < vecs; ++j) sums.at[i][j] = hn::MulAdd(x, b[j], sums.at[i][j]);
    }
  }
}

template <size_t rows, size_t vecs>
HWY_NOINLINE void TileFp32(const float* a, size_t a_stride, size_t K, const float* panel, size_t m,
                           size_t n, const Epilogue& end) {
  Sums<rows, vecs> sums;
  Clear(sums);
  AddProducts<rows, vecs>(a, a_stride, K, panel, sums);
  Finish(sums, m, n, end);
}

HWY_INLINE V LoadSum(const float* p) { return Load(p); }
HWY_INLINE V LoadSum(const int32_t* p) { return hn::ConvertTo(kTag, hn::LoadU(kIntTag, p)); }

// The epilogue of sums that another kernel left in memory (in the first cache).
template <size_t vecs, typename Sum>
HWY_NOINLINE void FinishTile(const Sum* tile, size_t rows, size_t m, size_t n,
                             const Epilogue& end) {
  constexpr size_t kTogether = kLanes >= 16 ? 4 : 1;
  const auto finish = [&](auto count, size_t i) HWY_ATTR {
    Sums<count(), vecs> sums;
    EachSum(sums, [&](size_t x, size_t j, V)
                      HWY_ATTR { return LoadSum(tile + (i + x) * vecs * kLanes + j); });
    Finish(sums, m + i, n, end);
  };
  size_t i = 0;
  for (; i + kTogether <= rows; i += kTogether) finish(Count<kTogether>(), i);
  for (; i < rows; ++i) finish(Count<1>(), i);
}

// The last 48 columns, a panel and a half one, in one pass by AVX-512: alone, the half panel would load
// more than it multiplies.
constexpr bool kHasTile48 = kLanes == 16;

template <size_t rows>
HWY_NOINLINE void Tile48(const float* HWY_RESTRICT a, size_t a_stride, size_t K,
                         const float* HWY_RESTRICT panel, size_t m, size_t n, const Epilogue& end) {
  const float* half = panel + K * kPanel;
  Sums<rows, 3> sums;
  Clear(sums);
  for (size_t k = 0; k < K; ++k) {
    const V b[3] = {Load(panel + k * kPanel), Load(panel + k * kPanel + kLanes),
                    Load(half + k * kHalfPanel)};
    HEED_UNROLL
    for (size_t i = 0; i < rows; ++i) {
      const V x = hn::Set(kTag, a[i * a_stride + k]);
      HEED_UNROLL
      for (size_t j = 0; j < 3; ++j) sums.at[i][j] = hn::MulAdd(x, b[j], sums.at[i][j]);
    }
  }
  Finish(sums, m, n, end);
}

void ProductFp32(const float* a, size_t a_stride, size_t M, const Panels& w, const Epilogue& end) {
  const size_t K = w.padded_K;
  for (size_t n = 0; n < w.padded_N; n += kPanel) {
    const auto* panel = reinterpret_cast<const float*>(w.Panel(n, sizeof(float)));
    if constexpr (kHasTile48) {
      if (n + kPanel + kHalfPanel == w.padded_N) {
        size_t m = 0;
        for (; m + 8 <= M; m += 8) Tile48<8>(a + m * a_stride, a_stride, K, panel, m, n, end);
        for (; m + 4 <= M; m += 4) Tile48<4>(a + m * a_stride, a_stride, K, panel, m, n, end);
        for (; m < M; ++m) Tile48<1>(a + m * a_stride, a_stride, K, panel, m, n, end);
        return;
      }
    }
    const bool wide = n + kPanel <= w.padded_N;
    EachTile(M, [&](auto rows, size_t m) HWY_ATTR {
      if (wide) {
        TileFp32<rows(), kWide>(a + m * a_stride, a_stride, K, panel, m, n, end);
      } else {
        TileFp32<rows(), kNarrow>(a + m * a_stride, a_stride, K, panel, m, n, end);
      }
    });
  }
}

// Pairs and quads without instructions for them: each is taken apart into floats. Sums of 8-bit
// products are exact up to 2^24, which is K = 518 at the worst.
HWY_INLINE V Lower(VI bits) { return hn::BitCast(kTag, hn::ShiftLeft<16>(bits)); }
HWY_INLINE V Upper(VI bits) {
  return hn::BitCast(kTag, hn::And(bits, hn::Set(kIntTag, static_cast<int32_t>(0xffff0000u))));
}

constexpr size_t kPlainRows = kLanes >= 16 ? 4 : kLanes == 8 ? 2 : 1;

HWY_INLINE VI BroadcastWord(const void* p) {
  int32_t word;
  __builtin_memcpy(&word, p, sizeof word);
  return hn::Set(kIntTag, word);
}

template <size_t rows, size_t vecs>
HWY_INLINE void StoreTile(Sums<rows, vecs>& sums, float* out) {
  EachSum(sums, [&](size_t i, size_t j, V y) HWY_ATTR {
    hn::StoreU(y, kTag, out + i * vecs * kLanes + j);
    return y;
  });
}

template <size_t rows, size_t vecs>
HWY_NOINLINE void PlainTileBf16(const Bf16* a, size_t a_stride, size_t K, const Bf16* panel,
                                float* out) {
  Sums<rows, vecs> sums;
  Clear(sums);
  const auto* pairs = reinterpret_cast<const int32_t*>(panel);
  for (size_t k = 0; k < K; k += 2) {
    V first[rows], second[rows];
    HEED_UNROLL
    for (size_t i = 0; i < rows; ++i) {
      const VI both = BroadcastWord(a + i * a_stride + k);
      first[i] = Lower(both);
      second[i] = Upper(both);
    }
    HEED_UNROLL
    for (size_t j = 0; j < vecs; ++j) {
      const VI both = hn::LoadU(kIntTag, pairs + (k / 2 * vecs + j) * kLanes);
      const V b_first = Lower(both), b_second = Upper(both);
      HEED_UNROLL
      for (size_t i = 0; i < rows; ++i) {
        sums.at[i][j] = hn::MulAdd(first[i], b_first, sums.at[i][j]);
        sums.at[i][j] = hn::MulAdd(second[i], b_second, sums.at[i][j]);
      }
    }
  }
  StoreTile(sums, out);
}

// Byte `at` of each 32-bit element, as a float.
template <int at>
HWY_INLINE V Unsigned(VI quad) {
  return hn::ConvertTo(kTag, hn::And(hn::ShiftRight<8 * at>(quad), hn::Set(kIntTag, 255)));
}
template <int at>
HWY_INLINE V Signed(VI quad) {
  return hn::ConvertTo(kTag, hn::ShiftRight<24>(hn::ShiftLeft<24 - 8 * at>(quad)));
}

template <int at, size_t rows, size_t vecs>
HWY_INLINE void AddBytes(const uint8_t* a, size_t a_stride, const int32_t* quads,
                         Sums<rows, vecs>& sums) {
  V x[rows];
  HEED_UNROLL
  for (size_t i = 0; i < rows; ++i) x[i] = Unsigned<at>(BroadcastWord(a + i * a_stride));
  HEED_UNROLL
  for (size_t j = 0; j < vecs; ++j) {
    const V b = Signed<at>(hn::LoadU(kIntTag, quads + j * kLanes));
    HEED_UNROLL
    for (size_t i = 0; i < rows; ++i) sums.at[i][j] = hn::MulAdd(x[i], b, sums.at[i][j]);
  }
}

template <size_t rows, size_t vecs>
HWY_NOINLINE void PlainTileInt8(const uint8_t* a, size_t a_stride, size_t K, const int8_t* panel,
                                float* out) {
  Sums<rows, vecs> sums;
  Clear(sums);
  const auto* quads = reinterpret_cast<const int32_t*>(panel);
  for (size_t k = 0; k < K; k += 4) {
    const int32_t* of_k = quads + k / 4 * vecs * kLanes;
    AddBytes<0>(a + k, a_stride, of_k, sums);
    AddBytes<1>(a + k, a_stride, of_k, sums);
    AddBytes<2>(a + k, a_stride, of_k, sums);
    AddBytes<3>(a + k, a_stride, of_k, sums);
  }
  StoreTile(sums, out);
}

// Tiles of another kernel, each followed by its epilogue, for rows from..M-1.
// tile(rows, wide, m, panel, out).
template <typename Sum, size_t element, typename TileOf>
HWY_INLINE void TileByTile(size_t from, size_t M, const Panels& w, const Epilogue& end,
                           TileOf tile) {
  alignas(64) Sum out[12 * kPanel];
  for (size_t n = 0; n < w.padded_N; n += kPanel) {
    const bool wide = n + kPanel <= w.padded_N;
    const auto run = [&](size_t rows, size_t m) HWY_ATTR {
      tile(rows, wide, m, w.Panel(n, element), out);
      if (wide) {
        FinishTile<kWide>(out, rows, m, n, end);
      } else {
        FinishTile<kNarrow>(out, rows, m, n, end);
      }
    };
    size_t m = from;
    for (; m + 12 <= M; m += 12) run(12, m);
    for (; m + 4 <= M; m += 4) run(4, m);
    for (; m < M; ++m) run(1, m);
  }
}

// `rows` rows by tiles of at most kPlainRows. tile(Count<rows>, first row).
template <typename TileOf>
HWY_INLINE void SplitRows(size_t rows, TileOf tile) {
  size_t i = 0;
  for (; i + kPlainRows <= rows; i += kPlainRows) tile(Count<kPlainRows>(), i);
  for (; i < rows; ++i) tile(Count<1>(), i);
}

void PlainProductBf16(const Bf16* a, size_t a_stride, size_t M, const Panels& w,
                      const Epilogue& end) {
  const size_t K = w.padded_K;
  TileByTile<float, sizeof(Bf16)>(
      0, M, w, end,
      [&](size_t rows, bool wide, size_t m, const uint8_t* bytes, float* out) HWY_ATTR {
        const auto* panel = reinterpret_cast<const Bf16*>(bytes);
        SplitRows(rows, [&](auto count, size_t i) HWY_ATTR {
          const Bf16* x = a + (m + i) * a_stride;
          if (wide) {
            PlainTileBf16<count(), kWide>(x, a_stride, K, panel, out + i * kPanel);
          } else {
            PlainTileBf16<count(), kNarrow>(x, a_stride, K, panel, out + i * kHalfPanel);
          }
        });
      });
}

void PlainProductInt8(const uint8_t* a, size_t a_stride, size_t M, const Panels& w,
                      const Epilogue& end) {
  const size_t K = w.padded_K;
  TileByTile<float, sizeof(int8_t)>(
      0, M, w, end,
      [&](size_t rows, bool wide, size_t m, const uint8_t* bytes, float* out) HWY_ATTR {
        const auto* panel = reinterpret_cast<const int8_t*>(bytes);
        SplitRows(rows, [&](auto count, size_t i) HWY_ATTR {
          const uint8_t* x = a + (m + i) * a_stride;
          if (wide) {
            PlainTileInt8<count(), kWide>(x, a_stride, K, panel, out + i * kPanel);
          } else {
            PlainTileInt8<count(), kNarrow>(x, a_stride, K, panel, out + i * kHalfPanel);
          }
        });
      });
}

// Which of [12, 4, 1].
HWY_INLINE size_t TileIndex(size_t rows) { return rows == 12 ? 0 : rows == 4 ? 1 : 2; }

// Rows from..M-1 by the tiles of product_avx512.cc.
void TilesBf16(const Bf16* a, size_t a_stride, size_t from, size_t M, const Panels& w,
               const Epilogue& end) {
  const simd::Tiles& tiles = simd::Avx512Tiles();
  TileByTile<float, sizeof(Bf16)>(
      from, M, w, end,
      [&](size_t rows, bool wide, size_t m, const uint8_t* panel, float* out) HWY_ATTR {
        tiles.bf16[TileIndex(rows)][wide](a + m * a_stride, a_stride, w.padded_K,
                                          reinterpret_cast<const Bf16*>(panel), out);
      });
}

void TilesInt8(const uint8_t* a, size_t a_stride, size_t from, size_t M, const Panels& w,
               const Epilogue& end) {
  const simd::Tiles& tiles = simd::Avx512Tiles();
  TileByTile<int32_t, sizeof(int8_t)>(
      from, M, w, end,
      [&](size_t rows, bool wide, size_t m, const uint8_t* panel, int32_t* out) HWY_ATTR {
        tiles.int8[TileIndex(rows)][wide](a + m * a_stride, a_stride, w.padded_K,
                                          reinterpret_cast<const int8_t*>(panel), out);
      });
}

void NativeProductBf16(const Bf16* a, size_t a_stride, size_t M, const Panels& w,
                       const Epilogue& end) {
  TilesBf16(a, a_stride, 0, M, w, end);
}

void NativeProductInt8(const uint8_t* a, size_t a_stride, size_t M, const Panels& w,
                       const Epilogue& end) {
  TilesInt8(a, a_stride, 0, M, w, end);
}

// Blocks of 32 and 16 rows by a matrix unit. Returns the first row that is left.
template <typename Sum>
HWY_INLINE size_t Blocks(const simd::Block (&blocks)[2][2], const uint8_t* a, size_t a_step,
                         size_t M, size_t element, const Panels& w, const Epilogue& end) {
  if (M < 16) return 0;
  const simd::MatrixUnit& unit = simd::Amx();
  const size_t bytes = w.padded_K * element;
  alignas(64) Sum out[32 * kPanel];
  unit.configure(bytes);
  size_t m = 0;
  for (size_t n = 0; n < w.padded_N; n += kPanel) {
    const bool wide = n + kPanel <= w.padded_N;
    for (m = 0; m + 16 <= M;) {
      const bool tall = m + 32 <= M;
      const size_t rows = tall ? 32 : 16;
      blocks[tall][wide](a + m * a_step, a_step, bytes, w.Panel(n, element), out);
      if (wide) {
        FinishTile<kWide>(out, rows, m, n, end);
      } else {
        FinishTile<kNarrow>(out, rows, m, n, end);
      }
      m += rows;
    }
  }
  unit.release();
  return m;
}

void MatrixProductBf16(const Bf16* a, size_t a_stride, size_t M, const Panels& w,
                       const Epilogue& end) {
  const size_t left = Blocks<float>(simd::Amx().bf16, reinterpret_cast<const uint8_t*>(a),
                                    a_stride * sizeof(Bf16), M, sizeof(Bf16), w, end);
  if (left < M) TilesBf16(a, a_stride, left, M, w, end);
}

void MatrixProductInt8(const uint8_t* a, size_t a_stride, size_t M, const Panels& w,
                       const Epilogue& end) {
  const size_t left = Blocks<int32_t>(simd::Amx().int8, a, a_stride, M, 1, w, end);
  if (left < M) TilesInt8(a, a_stride, left, M, w, end);
}

// The epilogue of a block while a matrix unit makes the next one: a part after each of its steps, few
// enough instructions for the processor to look beyond them.
class LateFinish {
 public:
  // cppcheck-suppress uninitMemberVar ; sums_ are written before they are read
  explicit LateFinish(const Epilogue& end) : end_(end) {}

  float* next() { return sums_[1 - last_]; }
  // What lies in next() is rows m.., columns n...
  void Take(size_t rows, bool wide, size_t m, size_t n) {
    last_ = 1 - last_;
    done_ = 0;
    rows_ = rows;
    wide_ = wide;
    m_ = m;
    n_ = n;
  }
  // Step `step` of `steps`; the last one leaves nothing.
  HWY_INLINE void Part(size_t step, size_t steps) {
    const size_t to = std::min(rows_, (rows_ * (step + 1) / steps + 3) / 4 * 4);
    if (to <= done_) return;
    if (wide_) {
      FinishTile<kWide>(sums_[last_] + done_ * kPanel, to - done_, m_ + done_, n_, end_);
    } else {
      FinishTile<kNarrow>(sums_[last_] + done_ * kHalfPanel, to - done_, m_ + done_, n_, end_);
    }
    done_ = to;
  }

 private:
  alignas(64) float sums_[2][32 * kPanel];
  const Epilogue& end_;
  size_t last_ = 0, done_ = 0, rows_ = 0, m_ = 0, n_ = 0;
  bool wide_ = false;
};

void MatrixProductFp32(const float* a, size_t a_stride, size_t M, const Panels& w,
                       const Epilogue& end) {
  if (w.split == nullptr || M < 16) return ProductFp32(a, a_stride, M, w, end);
  const simd::MatrixUnit& unit = simd::Amx();
  const size_t K = SplitK(w.padded_K), products = K / 32 * simd::kSplitProducts;
  thread_local LineVector<Bf16> split;  // grows to the largest K there is
  if (const size_t room = 32 * kSplitParts * K; split.size() < room) split.resize(room);
  unit.configure(simd::MatrixUnit::kSplit);
  LateFinish late(end);
  for (size_t m = 0; m < M; m += 32) {
    const size_t rows = std::min<size_t>(32, M - m);
    const bool tall = rows > 16;
    simd::SplitRows(a + m * a_stride, a_stride, rows, w.padded_K, split.data());
    for (size_t n = 0; n < w.padded_N; n += kPanel) {
      const bool wide = n + kPanel <= w.padded_N;
      unit.split_clear();
      for (size_t i = 0; i < products; ++i) {
        const size_t k = i / simd::kSplitProducts * 32;
        unit.split_step[tall][wide](i % simd::kSplitProducts, split.data() + k,
                                    w.SplitPanel(n) + k * (wide ? kPanel : kHalfPanel), K);
        late.Part(i, products);
      }
      unit.split_store[tall][wide](late.next());
      late.Take(rows, wide, m, n);
    }
  }
  late.Part(0, 1);
  unit.release();
}

template <size_t rows>  // a transposed: its numbers of one k lie side by side
HWY_INLINE void AddAdjacent(const float* HWY_RESTRICT a, size_t k_step, size_t K,
                            const float* HWY_RESTRICT panel, Sums<rows, kWide>& sums) {
  for (size_t k = 0; k < K; ++k, a += k_step) {
    V b[kWide];
    HEED_UNROLL
    for (size_t j = 0; j < kWide; ++j) b[j] = Load(panel + (k * kWide + j) * kLanes);
    HEED_UNROLL
    for (size_t i = 0; i < rows; ++i) {
      const V x = hn::Set(kTag, a[i]);
      HEED_UNROLL
      for (size_t j = 0; j < kWide; ++j) sums.at[i][j] = hn::MulAdd(x, b[j], sums.at[i][j]);
    }
  }
}

// One of the two steps is 1 and known when compiled, or 12 rows' addresses would not fit the registers.
template <size_t rows, bool rows_adjacent>
HWY_NOINLINE void LanesTile(const float* HWY_RESTRICT a, size_t step, size_t K,
                            const float* HWY_RESTRICT panel, float* HWY_RESTRICT out) {
  Sums<rows, kWide> sums;
  Clear(sums);
  if constexpr (rows_adjacent) {
    AddAdjacent(a, step, K, panel, sums);
  } else {
    AddProducts<rows, kWide>(a, step, K, panel, sums);
  }
  StoreTile(sums, out);
}

template <size_t rows>
HWY_INLINE void LanesRows(const float* a, size_t row_step, size_t k_step, size_t K,
                          const float* panel, float* out) {
  if (row_step == 1) {
    LanesTile<rows, true>(a, k_step, K, panel, out);
  } else {
    LanesTile<rows, false>(a, row_step, K, panel, out);
  }
}

void LanesFp32(const float* a, size_t row_step, size_t k_step, size_t M, size_t K,
               const float* panel, float* out) {
  HWY_DASSERT(row_step == 1 || k_step == 1);
  // Heads of 16 leave 4 rows after 12; two tiles of 8 keep more registers at work.
  if constexpr (kRows == 12) {
    if (M % 12 != 0 && M % 8 == 0) {
      for (size_t m = 0; m < M; m += 8) {
        LanesRows<8>(a + m * row_step, row_step, k_step, K, panel, out + m * kPanel);
      }
      return;
    }
  }
  EachTile(M, [&](auto rows, size_t m) HWY_ATTR {
    LanesRows<rows()>(a + m * row_step, row_step, k_step, K, panel, out + m * kPanel);
  });
}

template <size_t rows>
HWY_NOINLINE void LayerTile(const float* HWY_RESTRICT a, size_t k_step, size_t K,
                            const float* HWY_RESTRICT panel, const LanesEpilogue& end, size_t m,
                            float* HWY_RESTRICT out) {
  Sums<rows, kWide> sums;
  EachSum(sums, [&](size_t i, size_t j, V) HWY_ATTR {
    const V bias = hn::Set(kTag, end.bias[m + i]);
    return end.start == nullptr ? bias : hn::Add(bias, Load(end.start + (m + i) * kPanel + j));
  });
  AddAdjacent(a + m, k_step, K, panel, sums);
  if (end.slope != nullptr) {
    EachSum(sums, [&](size_t i, size_t, V y)
                      HWY_ATTR { return TimesWhereNegative(y, hn::Set(kTag, end.slope[m + i])); });
  }
  StoreTile(sums, out + m * kPanel);
}

void LanesLayer(const float* a, size_t k_step, size_t M, size_t K, const float* panel,
                const LanesEpilogue& end, float* out) {
  size_t m = 0;
  if constexpr (kRows == 12) {
    for (; m + 8 <= M; m += 8) LayerTile<8>(a, k_step, K, panel, end, m, out);
  }
  EachTile(M - m, [&](auto rows, size_t i)
                      HWY_ATTR { LayerTile<rows()>(a, k_step, K, panel, end, m + i, out); });
}

void PlainLanesBf16(const Bf16* a, size_t row_step, size_t M, size_t K, const Bf16* panel,
                    float* out) {
  SplitRows(M, [&](auto count, size_t i) HWY_ATTR {
    PlainTileBf16<count(), kWide>(a + i * row_step, row_step, K, panel, out + i * kPanel);
  });
}

void NativeLanesBf16(const Bf16* a, size_t row_step, size_t M, size_t K, const Bf16* panel,
                     float* out) {
  const simd::Tiles& tiles = simd::Avx512Tiles();
  size_t m = 0;
  for (const size_t rows : {12, 4, 1}) {
    for (; m + rows <= M; m += rows) {
      tiles.bf16[TileIndex(rows)][1](a + m * row_step, row_step, K, panel, out + m * kPanel);
    }
  }
}

void MatrixLanesBf16(const Bf16* a, size_t row_step, size_t M, size_t K, const Bf16* panel,
                     float* out) {
  size_t m = 0;
  if (M >= 16) {
    const simd::MatrixUnit& unit = simd::Amx();
    const size_t bytes = K * sizeof(Bf16);
    unit.configure(bytes);
    while (m + 16 <= M) {
      const bool tall = m + 32 <= M;
      unit.bf16[tall][1](reinterpret_cast<const uint8_t*>(a + m * row_step),
                         row_step * sizeof(Bf16), bytes, reinterpret_cast<const uint8_t*>(panel),
                         out + m * kPanel);
      m += tall ? 32 : 16;
    }
    unit.release();
  }
  NativeLanesBf16(a + m * row_step, row_step, M - m, K, panel, out + m * kPanel);
}

void FillProducts(Products& products, Level level) {
  products.fp32 = ProductFp32;
  products.lanes_fp32 = LanesFp32;
  products.lanes_layer = LanesLayer;
  products.bf16 = PlainProductBf16;
  products.int8 = PlainProductInt8;
  products.lanes_bf16 = PlainLanesBf16;
  if (level == Level::kAvx512Bf16) {
    products.bf16 = NativeProductBf16;
    products.int8 = NativeProductInt8;
    products.lanes_bf16 = NativeLanesBf16;
  }
  if (level == Level::kAmx) {
    products.fp32 = MatrixProductFp32;
    products.bf16 = MatrixProductBf16;
    products.int8 = MatrixProductInt8;
    products.lanes_bf16 = MatrixLanesBf16;
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace heed::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "kernels/simd.h"

namespace heed::kernels::simd {
namespace {
HWY_EXPORT(FillProducts);
}  // namespace

void Fill(Level level, Products& products) {
  AtTarget(level, [&] {
    HWY_DYNAMIC_DISPATCH(FillProducts)(products, level);
    FillAtTarget(products);
  });
}

}  // namespace heed::kernels::simd
#endif  // HWY_ONCE
