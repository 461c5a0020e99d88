// heed-decoder: the part of Heed that reads media, as a process of its own. Started by the engine
// (media/decoder.h); started by hand it shows what the engine would see.
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "media/worker/decode.h"
#include "media/worker/fetch.h"

namespace {

constexpr const char* kHelp =
    "heed-decoder reads media for heed, in a process of its own with next to no rights.\n"
    "\n"
    "  heed-decoder decode [--live] [--no-picture] [--epoch N] [--base-us N] [--from-us N]\n"
    "      bytes on standard input (a file or a pipe), messages on standard output\n"
    "      (docs/formats/decoder_pipe.md)\n"
    "  heed-decoder fetch URL [--allow NETWORK]... [--open-ms N] [--read-ms N]\n"
    "      bytes of an http, https, rtmp or rtmps URL on standard output; only public addresses\n"
    "      and allowed networks (10.1.0.0/16) are connected to\n"
    "\n"
    "Exit codes: 0 the input is over, 3 broken off and worth another try, 4 refused, 64 usage.\n";

int Usage(const std::string& what) {
  std::fprintf(stderr, "heed-decoder: %s\n%s", what.c_str(), kHelp);
  return heed::media::kExitUsage;
}

// The number after `name`, moving on; false when there is none.
bool Number(int argc, char** argv, int* i, int64_t* value) {
  if (*i + 1 >= argc) return false;
  char* end = nullptr;
  *value = std::strtoll(argv[++*i], &end, 10);
  return *end == 0 && end != argv[*i];
}

int RunDecode(int argc, char** argv) {
  heed::media::DecodeOptions options;
  for (int i = 2; i < argc; ++i) {
    const std::string name = argv[i];
    int64_t value = 0;
    if (name == "--live") {
      options.live = true;
    } else if (name == "--no-picture") {
      options.picture = false;
    } else if (!Number(argc, argv, &i, &value)) {
      return Usage("no number after " + name);
    } else if (name == "--epoch" && value >= 0) {
      options.epoch = static_cast<uint32_t>(value);
    } else if (name == "--base-us") {
      options.base_us = value;
    } else if (name == "--from-us") {
      options.from_us = value;
    } else {
      return Usage("unknown option " + name);
    }
  }
  return heed::media::Decode(options);
}

int RunFetch(int argc, char** argv) {
  heed::media::FetchOptions options;
  for (int i = 2; i < argc; ++i) {
    const std::string name = argv[i];
    int64_t value = 0;
    if (name == "--allow" && i + 1 < argc) {
      if (const heed::Status allowed = options.rules.Allow(argv[++i]); !allowed.ok()) {
        return Usage(allowed.message());
      }
    } else if (name.rfind("--", 0) != 0) {
      options.url = name;
    } else if (!Number(argc, argv, &i, &value) || value < 1 || value > 600000) {
      return Usage("no number of milliseconds after " + name);
    } else if (name == "--open-ms") {
      options.open_ms = static_cast<int>(value);
    } else if (name == "--read-ms") {
      options.read_ms = static_cast<int>(value);
    } else {
      return Usage("unknown option " + name);
    }
  }
  return options.url.empty() ? Usage("fetch: no URL") : heed::media::Fetch(options);
}

}  // namespace

#ifdef HEED_SANITIZED
// The leak check starts a tracer at the end, which the sandbox does not allow.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the sanitizer's name
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
#endif

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "decode") return RunDecode(argc, argv);
  if (what == "fetch") return RunFetch(argc, argv);
  if (what == "--help" || what == "help") {
    std::fputs(kHelp, stdout);
    return 0;
  }
  return Usage(what.empty() ? "what to do?" : "unknown command " + what);
}
