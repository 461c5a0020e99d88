// gzip for request and response bodies.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace heed::server {

// All members of a gzip stream. More than `max_bytes` unpacked is kTooLarge, found while unpacking:
// a bomb costs at most max_bytes of memory. Damage and a cut end are kInvalidArgument.
Result<std::string> Gunzip(std::string_view packed, size_t max_bytes);

// At zlib's fastest level: a client waits while we pack.
std::string Gzip(std::string_view text);

}  // namespace heed::server
