#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "base/checksum.h"
#include "store/log_row.h"

// The first byte says how many of the next are the key, and whether the value gets a right checksum
// first. What parses must come out again byte for byte when it is built anew.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string_view key = input.substr(0, data[0] % 16u);
  std::string value(input.substr(key.size()));
  if (data[0] >= 128 && value.size() >= 5) {
    const uint32_t checksum = heed::Crc32(std::string_view(value).substr(5), heed::Crc32(key));
    std::memcpy(value.data() + 1, &checksum, sizeof checksum);
  }
  const heed::Result<heed::store::LogRow> row = heed::store::ParseLogRow(key, value);
  if (!row.ok()) return 0;
  heed::store::LogRowBuilder builder;
  for (const std::string_view event : row.value().events) builder.Add(event);
  if (builder.Finish(row.value().first_sequence) != value) std::abort();
  return 0;
}
