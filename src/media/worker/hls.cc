#include "media/worker/hls.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

namespace heed::media {
namespace {

constexpr size_t kMostEntries = 20000;

bool TakePrefix(std::string_view* text, std::string_view prefix) {
  if (text->substr(0, prefix.size()) != prefix) return false;
  text->remove_prefix(prefix.size());
  return true;
}

// The value of KEY=VALUE or KEY="VALUE" in a list of attributes; empty when it is not there.
std::string Attribute(std::string_view list, std::string_view key) {
  while (!list.empty()) {
    const size_t equals = list.find('=');
    if (equals == std::string_view::npos) break;
    std::string_view name = list.substr(0, equals);
    while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
    list.remove_prefix(equals + 1);
    std::string_view value;
    if (!list.empty() && list.front() == '"') {
      const size_t end = list.find('"', 1);
      if (end == std::string_view::npos) break;
      value = list.substr(1, end - 1);
      list.remove_prefix(end + 1);
    } else {
      value = list.substr(0, list.find(','));
      list.remove_prefix(value.size());
    }
    if (name == key) return std::string(value);
    if (!list.empty() && list.front() == ',') list.remove_prefix(1);
  }
  return {};
}

int64_t Whole(std::string_view digits) {
  int64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

}  // namespace

Result<HlsPlaylist> ParsePlaylist(std::string_view text) {
  HlsPlaylist list;
  TakePrefix(&text, "\xEF\xBB\xBF");
  if (text.substr(0, 7) != "#EXTM3U")
    return InvalidArgument("playlist: does not begin with #EXTM3U");
  int64_t sequence = 0;
  int line_number = 0;
  double seconds = 0;
  bool segment = false;
  std::string map_uri;
  int64_t bandwidth = -1;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    ++line_number;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    const auto fail = [&](const char* what) {
      return InvalidArgument("playlist line " + std::to_string(line_number) + ": " + what);
    };
    if (line.empty()) continue;
    if (TakePrefix(&line, "#EXTINF:")) {
      seconds = std::strtod(std::string(line.substr(0, line.find(','))).c_str(), nullptr);
      segment = true;
    } else if (TakePrefix(&line, "#EXT-X-STREAM-INF:")) {
      bandwidth = Whole(Attribute(line, "BANDWIDTH"));
    } else if (TakePrefix(&line, "#EXT-X-TARGETDURATION:")) {
      list.target_seconds = static_cast<double>(Whole(line));
    } else if (TakePrefix(&line, "#EXT-X-MEDIA-SEQUENCE:")) {
      sequence = Whole(line);
    } else if (TakePrefix(&line, "#EXT-X-MAP:")) {
      if (!Attribute(line, "BYTERANGE").empty()) return fail("byte ranges are not read");
      map_uri = Attribute(line, "URI");
    } else if (TakePrefix(&line, "#EXT-X-KEY:")) {
      if (Attribute(line, "METHOD") != "NONE") return fail("encrypted segments are not read");
    } else if (line.substr(0, 16) == "#EXT-X-BYTERANGE") {
      return fail("byte ranges are not read");
    } else if (line == "#EXT-X-ENDLIST") {
      list.ended = true;
    } else if (line.front() != '#') {
      if (list.segments.size() + list.variants.size() >= kMostEntries)
        return fail("too many entries");
      if (bandwidth >= 0) {
        list.variants.push_back({bandwidth, std::string(line)});
        bandwidth = -1;
      } else if (segment) {
        list.segments.push_back({sequence++, seconds, std::string(line), map_uri});
        segment = false;
      } else {
        return fail("an address without #EXTINF or #EXT-X-STREAM-INF");
      }
    }
  }
  if (!list.variants.empty() && !list.segments.empty()) {
    return InvalidArgument("playlist: variants and segments in one");
  }
  return list;
}

Result<std::string> ResolveUrl(std::string_view base, std::string_view reference) {
  const auto web = [](std::string_view url) {
    return url.substr(0, 7) == "http://" || url.substr(0, 8) == "https://";
  };
  const Status bad =
      InvalidArgument("address '" + std::string(reference) + "' is not http or https");
  for (const char c : reference) {
    if (static_cast<unsigned char>(c) <= ' ') return bad;
  }
  const size_t colon = reference.find(':');
  if (colon != std::string_view::npos && colon < reference.find_first_of("/?#")) {
    return web(reference) ? Result<std::string>(std::string(reference)) : Result<std::string>(bad);
  }
  if (!web(base)) return bad;
  const size_t host = base.find("//") + 2;
  const size_t path = std::min(base.find_first_of("/?#", host), base.size());
  if (reference.substr(0, 2) == "//") {
    return std::string(base.substr(0, host - 2)) + std::string(reference);
  }
  if (reference.substr(0, 1) == "/")
    return std::string(base.substr(0, path)) + std::string(reference);
  const std::string_view document = base.substr(0, base.find_first_of("?#"));
  if (reference.substr(0, 1) == "?") return std::string(document) + std::string(reference);
  const size_t slash = document.rfind('/');
  if (slash == std::string_view::npos || slash < host) {
    return std::string(document) + "/" + std::string(reference);
  }
  return std::string(document.substr(0, slash + 1)) + std::string(reference);
}

}  // namespace heed::media
