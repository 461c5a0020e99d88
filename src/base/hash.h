// Hashes that are the same on every machine and in every version: they are written to disk.
#pragma once

#include <cstdint>
#include <string_view>

namespace heed {

constexpr uint64_t MixHash(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

// 64-bit FNV-1a, then mixed. Short ids only: one byte a step.
constexpr uint64_t HashBytes(std::string_view bytes, uint64_t seed = 0xCBF29CE484222325ull) {
  uint64_t hash = seed;
  for (const char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3ull;
  return MixHash(hash);
}

}  // namespace heed
