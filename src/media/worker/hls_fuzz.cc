// Playlists as a hostile server may write them: whatever is taken leads to http or https only.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "media/worker/hls.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto list = heed::media::ParsePlaylist(text);
  if (!list.ok()) return 0;
  for (const auto& segment : list.value().segments) {
    for (const std::string& reference : {segment.uri, segment.map_uri}) {
      const auto url = heed::media::ResolveUrl("https://a.example/b/c.m3u8?d#e", reference);
      if (url.ok() && url.value().rfind("http", 0) != 0) std::abort();
    }
  }
  return 0;
}
