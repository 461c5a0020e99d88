// Any bytes as a file of moments: refused or read, and what was read is finite and writes what reads the same.
#include <cstdlib>
#include <string>
#include <string_view>

#include "media/moment_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using heed::media::Moment;
  // Half of the runs begin behind the header and the checksum, which chance does not find.
  std::string bytes;
  if (size > 0 && data[0] % 2 == 0) {
    bytes = heed::media::MomentFileHeader();
    std::string record(reinterpret_cast<const char*>(data) + 1, size - 1);
    heed::media::AppendFramed(record, &bytes);
  } else if (size > 0) {
    bytes.assign(reinterpret_cast<const char*>(data) + 1, size - 1);
  }
  auto reader = heed::media::MomentFileReader::Open(bytes);
  if (!reader.ok()) return 0;
  for (;;) {
    const auto next = reader.value().Next();
    if (!next.ok() || !next.value()) return 0;
    std::string file = heed::media::MomentFileHeader();
    heed::media::AppendMoment(*next.value(), &file);
    auto again = heed::media::MomentFileReader::Open(file);
    if (!again.ok()) std::abort();
    const auto same = again.value().Next();
    if (!same.ok() || !same.value() || !(*same.value() == *next.value())) std::abort();
    if (heed::media::MomentToJson(*next.value()).find("nan") != std::string::npos &&
        next.value()->room.find("nan") == std::string::npos &&
        next.value()->screen_text.find("nan") == std::string::npos)
      std::abort();
  }
}
