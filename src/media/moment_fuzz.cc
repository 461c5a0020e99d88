// Any bytes as a file of moments: refused or read, and what was read is written as the same again, and as JSON that
// is read back. Any bytes as a line of JSON: refused or read.
#include <cstdlib>
#include <string>
#include <string_view>

#include "media/moment_file.h"
#include "media/moment_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)heed::media::MomentFromJson({reinterpret_cast<const char*>(data), size});
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
    const heed::media::Moment& moment = *next.value();
    const bool outside = std::abs(moment.second) > heed::media::kMaxSecond;
    if (heed::media::MomentFromJson(heed::media::MomentToJson(moment)).ok() == outside)
      std::abort();
  }
}
