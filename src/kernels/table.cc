#include "kernels/table.h"

#include <array>
#include <cassert>
#include <cstdlib>
#include <string>

#include "base/log.h"
#if HEED_SIMD
#include "kernels/simd.h"
#endif

namespace heed::kernels {
namespace {

constexpr std::array<std::string_view, kLevels> kNames = {"scalar", "neon",       "sse4", "avx2",
                                                          "avx512", "avx512bf16", "amx"};

struct Choice {
  std::array<Table, kLevels> tables{};
  std::vector<Level> levels;
  Level active = Level::kScalar;

  Choice() {
    levels.push_back(Level::kScalar);
#if HEED_SIMD
    for (const Level level : simd::Levels()) levels.push_back(level);
#endif
    for (const Level level : levels) {
      Table& table = tables[static_cast<size_t>(level)];
      reference::Fill(table);
#if HEED_SIMD
      if (level != Level::kScalar) simd::Fill(level, table);
#endif
    }
    active = levels.back();
    // Read once, under the static's own lock; nothing of ours writes the environment.
    // NOLINTNEXTLINE(concurrency-mt-unsafe)
    if (const char* asked = std::getenv("HEED_SIMD"); asked != nullptr) {
      Limit(asked);
    }
  }

  void Limit(std::string_view name) {
    for (size_t i = 0; i < kLevels; ++i) {
      if (kNames[i] != name) continue;
      for (const Level level : levels) {
        if (static_cast<size_t>(level) <= i) active = level;
      }
      return;
    }
    LogWarn(
        "HEED_SIMD={} is not one of scalar, neon, sse4, avx2, avx512, avx512bf16, amx; using {}",
        name, kNames[static_cast<size_t>(active)]);
  }
};

const Choice& TheChoice() {
  static const Choice choice;
  return choice;
}

}  // namespace

std::string_view LevelName(Level level) { return kNames[static_cast<size_t>(level)]; }

const Table& Active() {
  static const Table& table = TableOf(TheChoice().active);
  return table;
}

Level ActiveLevel() { return TheChoice().active; }

std::vector<Level> AttainableLevels() { return TheChoice().levels; }

const Table& TableOf(Level level) {
  const Table& table = TheChoice().tables[static_cast<size_t>(level)];
  assert(table.dot != nullptr && "a level this machine cannot run");
  return table;
}

}  // namespace heed::kernels
