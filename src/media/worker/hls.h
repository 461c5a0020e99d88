// HTTP Live Streaming playlists (RFC 8216), as far as the fetch process needs them: which pieces come
// next. The pieces themselves are bytes to it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace heed::media {

struct HlsVariant {
  int64_t bandwidth = 0;  // bit/s
  std::string uri;
};

struct HlsSegment {
  int64_t sequence = 0;
  double seconds = 0;
  std::string uri;
  std::string map_uri;  // initialisation section (fragmented MP4); or empty
};

struct HlsPlaylist {
  std::vector<HlsVariant> variants;  // of a master playlist, which has no segments
  std::vector<HlsSegment> segments;
  double target_seconds = 0;
  bool ended = false;  // nothing will be added
};

// kInvalidArgument with the line for what is no playlist, or needs what is not read here: encryption
// and byte ranges.
Result<HlsPlaylist> ParsePlaylist(std::string_view text);

// `reference` as found in the document at `base` (RFC 3986, what playlists use of it). Only http and
// https come out; kInvalidArgument otherwise.
Result<std::string> ResolveUrl(std::string_view base, std::string_view reference);

}  // namespace heed::media
