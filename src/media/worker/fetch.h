// The process that talks to the network and understands nothing of what it brings: bytes of a URL to
// standard output, reasons to standard error, the verdict as its exit code.
#pragma once

#include <string>

#include "media/worker/address_rules.h"

namespace heed::media {

// Exit codes of both kinds of process.
inline constexpr int kExitDone = 0;     // the input is over
inline constexpr int kExitAgain = 3;    // broken off; worth another try
inline constexpr int kExitRefused = 4;  // will not work the next time either
inline constexpr int kExitUsage = 64;

struct FetchOptions {
  std::string url;  // http, https (also of an HLS playlist), rtmp, rtmps
  AddressRules rules;
  int open_ms = 5000;  // to connect and get the first byte
  int read_ms = 3000;  // from one byte to the next
};

// Enters the fetch sandbox and does not return before the input is over.
int Fetch(const FetchOptions& options);

}  // namespace heed::media
