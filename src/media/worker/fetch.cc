#include "media/worker/fetch.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "media/worker/hls.h"
#include "media/worker/sandbox.h"

extern "C" {
#include <libavformat/avformat.h>
#include <libavformat/avio.h>
#include <libavutil/error.h>
#include <libavutil/opt.h>
}

namespace heed::media {
namespace {

const AddressRules* guard = nullptr;  // of this process; set once, before any connection

using Time = std::chrono::steady_clock;

int Report(int code, const std::string& what) {
  std::fprintf(stderr, "fetch: %s\n", what.c_str());
  return code;
}

std::string AvError(int error) {
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  av_strerror(error, text.data(), text.size());
  return text.data();
}

// Every byte to standard output; false when nobody reads any more.
bool Forward(const uint8_t* bytes, size_t size) {
  while (size > 0) {
    const ssize_t n = write(STDOUT_FILENO, bytes, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

// One opened URL with a deadline on every wait.
class Input {
 public:
  explicit Input(const FetchOptions& options) : options_(options) {}
  ~Input() { avio_closep(&io_); }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  int Open(const std::string& url) {
    const AVIOInterruptCB interrupt{&Input::Expired, this};
    AVDictionary* settings = nullptr;
    av_dict_set(&settings, "protocol_whitelist", "http,https,httpproxy,tls,tcp,rtmp,rtmps", 0);
    av_dict_set(&settings, "rtmp_live", "live", 0);
    av_dict_set(&settings, "user_agent", "heed", 0);
    Allow(options_.open_ms);
    const int error = avio_open2(&io_, url.c_str(), AVIO_FLAG_READ, &interrupt, &settings);
    av_dict_free(&settings);
    return error;
  }
  // > 0: bytes; AVERROR_EOF; or another error.
  int Read(std::vector<uint8_t>* buffer) {
    Allow(options_.read_ms);
    return avio_read_partial(io_, buffer->data(), static_cast<int>(buffer->size()));
  }
  bool expired() const { return Time::now() >= deadline_; }
  bool size_known() const { return avio_size(io_) > 0; }
  // After redirects.
  std::string url() const {
    uint8_t* text = nullptr;
    std::string url;
    if (av_opt_get(io_, "location", AV_OPT_SEARCH_CHILDREN, &text) >= 0 && text != nullptr) {
      url = reinterpret_cast<const char*>(text);
    }
    av_free(text);
    return url;
  }

 private:
  static int Expired(void* self) { return static_cast<Input*>(self)->expired(); }
  void Allow(int ms) { deadline_ = Time::now() + std::chrono::milliseconds(ms); }

  const FetchOptions& options_;
  AVIOContext* io_ = nullptr;
  Time::time_point deadline_;
};

int OpenFailed(const std::string& url, int error, const FetchOptions& options) {
  if (error == AVERROR_EXIT) {
    return Report(kExitAgain,
                  "no answer from " + url + " within " + std::to_string(options.open_ms) + " ms");
  }
  const bool hopeless = error == AVERROR(EACCES) || error == AVERROR_PROTOCOL_NOT_FOUND ||
                        error == AVERROR_HTTP_UNAUTHORIZED || error == AVERROR_HTTP_FORBIDDEN ||
                        error == AVERROR(EINVAL);
  return Report(hopeless ? kExitRefused : kExitAgain, url + ": " + AvError(error));
}

int ReadFailed(const Input& input, int error, const FetchOptions& options) {
  if (input.expired() || error == AVERROR_EXIT) {
    return Report(kExitAgain, "nothing came for " + std::to_string(options.read_ms) + " ms");
  }
  if (error == AVERROR_EOF) {
    return input.size_known() ? kExitDone : Report(kExitAgain, "the server ended the stream");
  }
  return Report(kExitAgain, AvError(error));
}

// A small document, whole.
Result<std::string> Download(const std::string& url, const FetchOptions& options, size_t largest,
                             std::string* final_url) {
  Input input(options);
  if (const int error = input.Open(url); error < 0) {
    return Status(error == AVERROR(EACCES) ? Code::kPermissionDenied : Code::kUnavailable,
                  url + ": " + AvError(error));
  }
  if (const std::string moved = input.url(); !moved.empty()) *final_url = moved;
  std::string text;
  std::vector<uint8_t> buffer(65536);
  while (true) {
    const int n = input.Read(&buffer);
    if (n == AVERROR_EOF || n == 0) return text;
    if (n < 0) return Status(Code::kUnavailable, url + ": " + AvError(n));
    text.append(reinterpret_cast<const char*>(buffer.data()), static_cast<size_t>(n));
    if (text.size() > largest) return Status(Code::kTooLarge, url + ": playlist too large");
  }
}

// Copies one opened input to its end. kExitDone: at its end.
int Copy(Input* input, const FetchOptions& options) {
  std::vector<uint8_t> buffer(65536);
  while (true) {
    const int n = input->Read(&buffer);
    if (n <= 0) return ReadFailed(*input, n == 0 ? AVERROR_EOF : n, options);
    if (!Forward(buffer.data(), static_cast<size_t>(n))) return kExitDone;
  }
}

int CopySegment(const std::string& base, const std::string& reference,
                const FetchOptions& options) {
  const Result<std::string> url = ResolveUrl(base, reference);
  if (!url.ok()) return Report(kExitRefused, url.status().message());
  Input input(options);
  if (const int error = input.Open(url.value()); error < 0) {
    return OpenFailed(url.value(), error, options);
  }
  std::vector<uint8_t> buffer(65536);
  while (true) {
    const int n = input.Read(&buffer);
    if (n == AVERROR_EOF || n == 0) return kExitDone;
    if (n < 0) return ReadFailed(input, n, options);
    if (!Forward(buffer.data(), static_cast<size_t>(n))) _exit(kExitDone);
  }
}

constexpr size_t kLargestPlaylist = 1 << 20;
constexpr size_t kFromLiveEdge = 3;  // segments, as RFC 8216 asks of players

int FetchHls(const FetchOptions& options) {
  std::string url = options.url;
  int64_t next = -1;
  std::string map_uri;
  auto advanced = Time::now();
  for (int depth = 0;;) {
    const Result<std::string> text = Download(url, options, kLargestPlaylist, &url);
    if (!text.ok()) {
      return Report(text.status().code() == Code::kPermissionDenied ? kExitRefused : kExitAgain,
                    text.status().message());
    }
    Result<HlsPlaylist> parsed = ParsePlaylist(text.value());
    if (!parsed.ok()) return Report(kExitRefused, parsed.status().message());
    HlsPlaylist& list = parsed.value();
    if (!list.variants.empty()) {
      if (++depth > 2) return Report(kExitRefused, "playlists within playlists");
      // The smallest: what is looked at is at most 960 pixels wide.
      const auto least =
          std::min_element(list.variants.begin(), list.variants.end(),
                           [](const auto& a, const auto& b) { return a.bandwidth < b.bandwidth; });
      Result<std::string> variant = ResolveUrl(url, least->uri);
      if (!variant.ok()) return Report(kExitRefused, variant.status().message());
      url = std::move(variant).value();
      continue;
    }
    if (next < 0 && !list.segments.empty()) {
      const size_t from = list.ended || list.segments.size() <= kFromLiveEdge
                              ? 0
                              : list.segments.size() - kFromLiveEdge;
      next = list.segments[from].sequence;
    }
    for (const HlsSegment& segment : list.segments) {
      if (segment.sequence < next) continue;
      if (!segment.map_uri.empty() && segment.map_uri != map_uri) {
        if (const int code = CopySegment(url, segment.map_uri, options); code != kExitDone) {
          return code;
        }
        map_uri = segment.map_uri;
      }
      if (const int code = CopySegment(url, segment.uri, options); code != kExitDone) return code;
      next = segment.sequence + 1;
      advanced = Time::now();
    }
    if (list.ended) return kExitDone;
    const double target = std::clamp(list.target_seconds, 1.0, 60.0);
    const double stale_s = target + options.read_ms / 1000.0;
    if (std::chrono::duration<double>(Time::now() - advanced).count() > stale_s) {
      return Report(kExitAgain, "the playlist has not grown for " +
                                    std::to_string(static_cast<int>(stale_s)) + " s");
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(target / 2));
  }
}

}  // namespace

// Stands before the C library's for everything in this process, libavformat included: whatever a name
// resolves to, a server redirects to or a playlist names, it is judged here, at the moment it is
// connected to, when no further change is possible. (The resolver's own queries do not pass here.)
extern "C" __attribute__((visibility("default"))) int connect(int fd, const sockaddr* address,
                                                              socklen_t size) {
  if (guard != nullptr && !guard->Allows(address, size)) {
    Report(kExitRefused, "address " + AddressText(address, size) + " is not public, nor allowed");
    errno = EACCES;
    return -1;
  }
  return static_cast<int>(syscall(SYS_connect, fd, address, size));
}

int Fetch(const FetchOptions& options) {
  av_log_set_level(AV_LOG_QUIET);
  avformat_network_init();
  guard = &options.rules;
  if (Status limited = LimitProcess(); !limited.ok())
    return Report(kExitRefused, limited.message());
  if (Status entered = EnterFetchSandbox(); !entered.ok()) {
    return Report(kExitRefused, entered.message());
  }
  const std::string path = options.url.substr(0, options.url.find_first_of("?#"));
  if (path.size() > 5 && path.substr(path.size() - 5) == ".m3u8") return FetchHls(options);
  Input input(options);
  if (const int error = input.Open(options.url); error < 0) {
    return OpenFailed(options.url, error, options);
  }
  return Copy(&input, options);
}

}  // namespace heed::media
