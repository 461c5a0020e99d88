// The process that understands media: bytes on standard input, messages (media/wire.h) on standard
// output, no network, no files.
#pragma once

#include <cstdint>

namespace heed::media {

struct DecodeOptions {
  bool live = false;  // a broadcast: measure the lag and step down when it grows
  bool picture = true;
  uint32_t epoch = 0;   // of the first message
  int64_t base_us = 0;  // where that epoch begins on the broadcast's time base
  int64_t from_us = 0;  // of a recording: leave out what comes before
};

// Enters the decode sandbox and returns an exit code (media/worker/fetch.h) at the end of the input.
int Decode(const DecodeOptions& options);

}  // namespace heed::media
