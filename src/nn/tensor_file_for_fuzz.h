// What the fuzzers of model files share: getting past the magic and the checksum to the reader
// behind them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "base/checksum.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace heed::nn {

// Blind bytes never get past the magic: inputs without it are replaced by a valid file first.
inline size_t MutateTensorFile(const std::string& valid, uint8_t* data, size_t size,
                               size_t max_size) {
  if ((size < 8 || std::memcmp(data, valid.data(), 8) != 0) && max_size >= valid.size()) {
    std::memcpy(data, valid.data(), valid.size());
    size = valid.size();
  }
  return LLVMFuzzerMutate(data, size, max_size);
}

// check(bytes) as they are, and once more with a checksum that fits.
template <typename Check>
int FuzzTensorFile(const uint8_t* data, size_t size, Check check) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  check(bytes);
  if (size < 4) return 0;
  bytes.resize(size - 4);
  const uint32_t sum = Crc32(bytes);
  bytes.append(reinterpret_cast<const char*>(&sum), sizeof(sum));
  check(bytes);
  return 0;
}

}  // namespace heed::nn
