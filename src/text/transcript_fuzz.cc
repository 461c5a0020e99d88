// Any bytes are a file: what is read is valid and by time, or a Status names a line.
#include <cstdlib>

#include "text/normalize.h"
#include "text/transcript.h"

namespace {

void Check(const heed::Result<std::vector<heed::text::TranscriptSegment>>& read) {
  if (!read.ok()) {
    if (read.status().message().rfind("f:", 0) != 0) std::abort();
    return;
  }
  int64_t last = INT64_MIN;
  heed::text::Transcript transcript(60'000);
  for (const heed::text::TranscriptSegment& segment : read.value()) {
    if (!heed::text::ValidateSegment(segment).ok() || segment.begin_ms < last) std::abort();
    if (heed::text::ValidUtf8(segment.text) != segment.text) std::abort();
    last = segment.begin_ms;
    if (!transcript.Add(segment).ok()) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Check(heed::text::ReadWebVtt(bytes, "f"));
  Check(heed::text::ReadWebVtt("WEBVTT\n\n" + std::string(bytes), "f"));
  Check(heed::text::ReadSrt(bytes, "f"));
  Check(heed::text::ReadTranscriptJsonl(bytes, "f"));
  return 0;
}
