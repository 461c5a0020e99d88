// Products by the matrix unit of Intel's processors (AMX: Sapphire Rapids and later): 16 x 64 bytes
// times 64 x 16 in one instruction, 16 times what vpdpbusd does.
#include "kernels/product_simd.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#define HEED_AMX __attribute__((target("amx-tile,amx-int8,amx-bf16")))

namespace heed::kernels::simd {
namespace {

constexpr size_t kRowBytes = 64, kSums = 16;  // of a full tile

// Registers: 0 to 3 sums, 4 and 5 a full step of the left and of the right side, 6 and 7 the last,
// shorter step. So no operand needs padding and nothing beside it is read.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

HEED_AMX void Configure(size_t bytes) {
  TileConfig config;
  for (int i = 0; i < 6; ++i) {
    config.row_bytes[i] = kRowBytes;
    config.rows[i] = kSums;
  }
  if (const size_t rest = bytes % kRowBytes; rest > 0) {
    config.row_bytes[6] = static_cast<uint16_t>(rest);
    config.rows[6] = kSums;
    config.row_bytes[7] = kRowBytes;
    config.rows[7] = static_cast<uint8_t>(rest / 4);
  }
  // GCC 12's form of the instruction names only the first 8 bytes as read.
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

HEED_AMX void Release() { _tile_release(); }

// Register numbers are part of the instructions.
#define HEED_MULTIPLY(sums, left, right) \
  do {                                   \
    if constexpr (int8) {                \
      _tile_dpbusd(sums, left, right);   \
    } else {                             \
      _tile_dpbf16ps(sums, left, right); \
    }                                    \
  } while (false)

// One step of at most 64 bytes of K: the four quarters in an order that loads five tiles.
#define HEED_STEP(left, right)                           \
  do {                                                   \
    _tile_loadd(left, a + k, a_step);                    \
    _tile_loadd(right, b, kPanelStep);                   \
    HEED_MULTIPLY(0, left, right);                       \
    if constexpr (vecs == 2) {                           \
      _tile_loadd(right, b + kRowBytes, kPanelStep);     \
      HEED_MULTIPLY(1, left, right);                     \
    }                                                    \
    if constexpr (rows == 2) {                           \
      _tile_loadd(left, a + kSums * a_step + k, a_step); \
      if constexpr (vecs == 2) {                         \
        HEED_MULTIPLY(3, left, right);                   \
        _tile_loadd(right, b, kPanelStep);               \
      }                                                  \
      HEED_MULTIPLY(2, left, right);                     \
    }                                                    \
  } while (false)

template <bool int8, int rows, int vecs>
HEED_AMX void Tile(const uint8_t* a, size_t a_step, size_t bytes, const uint8_t* panel, void* out) {
  constexpr size_t kPanelStep = vecs * kRowBytes;
  _tile_zero(0);
  if constexpr (vecs == 2) _tile_zero(1);
  if constexpr (rows == 2) _tile_zero(2);
  if constexpr (rows == 2 && vecs == 2) _tile_zero(3);
  size_t k = 0;
  for (; k + kRowBytes <= bytes; k += kRowBytes) {
    const uint8_t* b = panel + k / 4 * kPanelStep;
    HEED_STEP(4, 5);
  }
  if (k < bytes) {
    const uint8_t* b = panel + k / 4 * kPanelStep;
    HEED_STEP(6, 7);
  }
  auto* to = static_cast<uint8_t*>(out);
  _tile_stored(0, to, kPanelStep);
  if constexpr (vecs == 2) _tile_stored(1, to + kRowBytes, kPanelStep);
  if constexpr (rows == 2) _tile_stored(2, to + kSums * kPanelStep, kPanelStep);
  if constexpr (rows == 2 && vecs == 2) {
    _tile_stored(3, to + kSums * kPanelStep + kRowBytes, kPanelStep);
  }
}

#undef HEED_STEP
#undef HEED_MULTIPLY

// Linux grants a process the registers' 8 KB a thread only when asked.
bool Permitted() {
  constexpr int64_t kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}

}  // namespace

const MatrixUnit& Amx() {
  static const MatrixUnit unit{
      .configure = Configure,
      .release = Release,
      .bf16 = {{Tile<false, 1, 1>, Tile<false, 1, 2>}, {Tile<false, 2, 1>, Tile<false, 2, 2>}},
      .int8 = {{Tile<true, 1, 1>, Tile<true, 1, 2>}, {Tile<true, 2, 1>, Tile<true, 2, 2>}}};
  return unit;
}

bool HasAmx() {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
    constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25;
    if ((d & (kBf16 | kTile | kInt8)) != (kBf16 | kTile | kInt8)) return false;
    return HasAvx512Tiles() && Permitted();
  }();
  return has;
}

}  // namespace heed::kernels::simd

#else

namespace heed::kernels::simd {
const MatrixUnit& Amx() {
  static const MatrixUnit none;
  return none;
}
bool HasAmx() { return false; }
}  // namespace heed::kernels::simd

#endif
