// Any bytes as a file of moments, and as a line of JSON: refused or read, and what was read is written as the
// same again, and as JSON.
#include <simdjson.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "media/moment_file.h"
#include "media/moment_json.h"

namespace {

void ReadLine(std::string_view line) {
  const auto moment = heed::media::MomentFromJson(line);
  if (!moment.ok()) return;
  const std::string written = heed::media::MomentToJson(moment.value());
  const auto again = heed::media::MomentFromJson(written);
  if (!again.ok() || heed::media::MomentToJson(again.value()) != written) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Half of the runs begin behind the header and the checksum, which chance does not find.
  std::string bytes;
  if (size > 0) ReadLine({reinterpret_cast<const char*>(data) + 1, size - 1});
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
    simdjson::dom::parser parser;
    simdjson::dom::element json;
    if (parser.parse(heed::media::MomentToJson(*next.value())).get(json) != simdjson::SUCCESS)
      std::abort();
  }
}
