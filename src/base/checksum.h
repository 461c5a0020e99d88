// CRC-32 (zlib's polynomial), the checksum of every file format of ours (docs/formats).
#pragma once

#include <cstdint>
#include <string_view>

namespace heed {

uint32_t Crc32(std::string_view bytes, uint32_t seed = 0);

}  // namespace heed
