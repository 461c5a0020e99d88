#include "media/worker/references.h"

#include <optional>

namespace heed::media {
namespace {

// Of the unit that begins with `first`; nothing when it is no slice.
std::optional<bool> SaysReferred(NalCodec codec, uint8_t first) {
  if (codec == NalCodec::kH264) {
    const int type = first & 31;  // 1: slice, 2: its first partition, 5: of a key picture
    if (type != 1 && type != 2 && type != 5) return std::nullopt;
    return (first >> 5 & 3) != 0;
  }
  const int type = first >> 1 & 63;
  if (type >= 32) return std::nullopt;
  return type >= 16 || type % 2 == 1;  // the even ones below are "sub-layer non-reference"
}

}  // namespace

References::References(NalCodec codec, std::span<const uint8_t> head) : codec_(codec) {
  // avcC and hvcC begin with their version; start codes with a 0.
  const size_t at = codec == NalCodec::kHevc ? 21 : 4;
  if (head.size() > at && head[0] == 1) length_bytes_ = (head[at] & 3u) + 1;
}

bool References::Has(std::span<const uint8_t> packet) const {
  if (codec_ == NalCodec::kNone) return true;
  size_t at = 0;
  while (length_bytes_ > 0) {
    if (packet.size() - at <= length_bytes_) return true;
    size_t length = 0;
    for (size_t i = 0; i < length_bytes_; ++i) length = length << 8 | packet[at++];
    if (length == 0) continue;
    if (const auto says = SaysReferred(codec_, packet[at])) return *says;
    if (length >= packet.size() - at) return true;
    at += length;
  }
  for (; at + 3 < packet.size(); ++at) {
    if (packet[at] != 0 || packet[at + 1] != 0 || packet[at + 2] != 1) continue;
    if (const auto says = SaysReferred(codec_, packet[at + 3])) return *says;
  }
  return true;
}

}  // namespace heed::media
