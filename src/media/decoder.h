// A broadcast or a recording as sound and pictures, decoded by another process (heed-decoder), so that
// hostile media can at worst end that process. For a URL a third process talks to the network and
// passes bytes on; it understands no media, and the decoder has no network.
//
// What breaks off is taken up again: a lost or silent server, a decoder that crashed or hangs. Every
// new start is a new epoch, on one time base that goes on.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "media/frames.h"
#include "media/wire.h"

namespace heed::media {

struct DecoderOptions {
  std::string input;  // a file, or a URL of http, https, rtmp, rtmps
  bool picture = true;
  // Networks besides the public ones that a URL may lead to: "10.1.0.0/16". Redirects and playlist
  // entries are held to the same.
  std::vector<std::string> allowed_networks;
  std::string program;  // heed-decoder; empty: beside the running program
  int open_ms = 5000;   // deadline of connecting
  int read_ms = 3000;   // deadline from one byte to the next
  // A live input that cannot be taken up again for this long is given up; 0: never.
  int give_up_ms = 0;
};

struct DecoderEvent {
  enum class Kind : uint8_t {
    kOpened,     // `stream` is known
    kMode,       // `mode` and `lag_us`: more or less of the picture is looked at
    kBrokenOff,  // `reason`; tried again in `retry_ms`
  };
  Kind kind = Kind::kOpened;
  uint32_t epoch = 0;
  StreamInfo stream;
  PictureMode mode = PictureMode::kFull;
  int64_t lag_us = 0;
  std::string reason;
  int retry_ms = 0;
  int worker = 0;  // process id of the decoder, kOpened
};

// Called on Run's thread; views end with the call. A sink that is slow slows a recording down and
// makes a broadcast lag, which costs pictures first.
struct MediaSink {
  std::function<void(const AudioChunk&)> audio;
  std::function<void(const VideoFrame&)> video;
  std::function<void(const DecoderEvent&)> event;
  // With every message of a live input: how far behind it the decoder is.
  std::function<void(int64_t lag_us)> lag;
  // Several times a second while nothing arrives: since when there was no media.
  std::function<void(int64_t silent_us)> idle;
};

// Seconds between tries: 0.5, 1, 2, 4, 4 … with up to a quarter more, from the beginning again after
// ten seconds of media. Not thread-safe.
class BackOff {
 public:
  explicit BackOff(uint64_t seed) : state_(seed) {}
  int NextMs();
  void Reset() { tries_ = 0; }

 private:
  uint64_t state_;
  int tries_ = 0;
};

bool IsUrl(const std::string& input);

// Blocks until the input ends (ok), was stopped (ok), or cannot be read: kNotFound, kInvalidArgument
// (not media), kPermissionDenied (an address that is not allowed), kUnavailable (given up; the decoder
// crashed five times within a minute), kIo (the program is missing).
Status Decode(const DecoderOptions& options, const MediaSink& sink, const std::atomic<bool>& stop);

}  // namespace heed::media
