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
// shorter step. So no operand needs padding and nothing beside it is read. Split numbers: 4 and 5 the
// left side's two rows of tiles, 6 and 7 the right side's two columns.
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

constexpr size_t kFull = kRowBytes;  // as a last step: as long as the others
// What this thread's registers are shaped for: bytes of the last step, 0: nothing.
thread_local size_t last_step = 0;
thread_local int holds = 0;

HEED_AMX void Configure(size_t bytes) {
  const size_t rest = bytes % kRowBytes;
  const size_t last = bytes == MatrixUnit::kSplit ? kFull : rest;
  // Without a last step any shape will do.
  if (last_step != 0 && (last == 0 || last == last_step)) return;
  last_step = last == 0 ? kFull : last;
  TileConfig config;
  for (int i = 0; i < 8; ++i) {
    config.row_bytes[i] = kRowBytes;
    config.rows[i] = kSums;
  }
  config.row_bytes[6] = static_cast<uint16_t>(last_step);
  config.rows[7] = static_cast<uint8_t>(last_step / 4);
  // GCC 12's form of the instruction names only the first 8 bytes as read.
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

HEED_AMX void Release() {
  if (holds > 0 || last_step == 0) return;
  last_step = 0;
  _tile_release();
}

void Hold() { ++holds; }

void LetGo() {
  --holds;
  Release();
}

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

#define HEED_LEFT(part)                                             \
  do {                                                              \
    _tile_loadd(4, left + (part)*bytes, a_step);                    \
    if constexpr (rows == 2) {                                      \
      _tile_loadd(5, left + (part)*bytes + kSums * a_step, a_step); \
    }                                                               \
  } while (false)
#define HEED_RIGHT(part)                                             \
  do {                                                               \
    _tile_loadd(6, right + (part)*b_part, kPanelStep);               \
    if constexpr (vecs == 2) {                                       \
      _tile_loadd(7, right + (part)*b_part + kRowBytes, kPanelStep); \
    }                                                                \
  } while (false)
#define HEED_MULTIPLY()                               \
  do {                                                \
    _tile_dpbf16ps(0, 4, 6);                          \
    if constexpr (vecs == 2) _tile_dpbf16ps(1, 4, 7); \
    if constexpr (rows == 2) _tile_dpbf16ps(2, 5, 6); \
    if constexpr (rows == 2 && vecs == 2) {           \
      _tile_dpbf16ps(3, 5, 7);                        \
    }                                                 \
  } while (false)

// The order of the six products loads fewest tiles; a sum comes again after three others, as long as it
// takes.
template <int rows, int vecs>
HEED_AMX void SplitStep(size_t product, const Bf16* a, const Bf16* panel, size_t K) {
  constexpr size_t kPanelStep = vecs * kRowBytes;
  const size_t bytes = K * sizeof(Bf16), a_step = kSplitParts * bytes;
  const size_t b_part = bytes / 4 * kPanelStep;
  const auto* left = reinterpret_cast<const uint8_t*>(a);
  const auto* right = reinterpret_cast<const uint8_t*>(panel);
  switch (product) {
    case 0:
      HEED_RIGHT(0);
      HEED_LEFT(2);
      break;
    case 1:
    case 5: HEED_LEFT(1); break;
    case 2: HEED_LEFT(0); break;
    case 3: HEED_RIGHT(2); break;
    case 4: HEED_RIGHT(1); break;
  }
  HEED_MULTIPLY();
}

HEED_AMX void SplitClear() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

template <int rows, int vecs>
HEED_AMX void SplitStore(float* out) {
  constexpr size_t kPanelStep = vecs * kRowBytes;
  auto* to = reinterpret_cast<uint8_t*>(out);
  _tile_stored(0, to, kPanelStep);
  if constexpr (vecs == 2) _tile_stored(1, to + kRowBytes, kPanelStep);
  if constexpr (rows == 2) _tile_stored(2, to + kSums * kPanelStep, kPanelStep);
  if constexpr (rows == 2 && vecs == 2) {
    _tile_stored(3, to + kSums * kPanelStep + kRowBytes, kPanelStep);
  }
}

#undef HEED_LEFT
#undef HEED_RIGHT
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
      .hold = Hold,
      .let_go = LetGo,
      .bf16 = {{Tile<false, 1, 1>, Tile<false, 1, 2>}, {Tile<false, 2, 1>, Tile<false, 2, 2>}},
      .int8 = {{Tile<true, 1, 1>, Tile<true, 1, 2>}, {Tile<true, 2, 1>, Tile<true, 2, 2>}},
      .split_clear = SplitClear,
      .split_step = {{SplitStep<1, 1>, SplitStep<1, 2>}, {SplitStep<2, 1>, SplitStep<2, 2>}},
      .split_store = {{SplitStore<1, 1>, SplitStore<1, 2>}, {SplitStore<2, 1>, SplitStore<2, 2>}}};
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
