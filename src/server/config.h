// Settings: defaults here, then heed.toml, then the environment (HEED_SERVER_PORT=9000), the later
// winning. One table in config.cc describes every key, its range and its meaning; the annotated
// heed.toml at the root of the repository is printed from that table.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "heed/engine.h"  // EngineOptions

#include "base/status.h"

namespace heed {

struct ServerConfig {
  std::string address = "127.0.0.1";
  int64_t port = 7600;                    // 0: any free one
  int64_t threads = 0;                    // 0: one per core
  int64_t rank_threads = 0;               // 0: one per core
  int64_t rank_queue = 32;                // waiting for one of them
  int64_t recommend_deadline_ms = 1'000;  // 0: none
  std::string tls_certificate;
  std::string tls_key;
  int64_t max_connections = 1'024;
  int64_t max_target_bytes = 4'096;
  int64_t max_header_bytes = 16'384;
  int64_t max_body_bytes = 8 << 20;
  int64_t max_decompressed_bytes = 64 << 20;
  int64_t max_bytes_in_flight = 512 << 20;
  int64_t max_events_per_request = 10'000;
  int64_t max_documents_per_request = 10'000;
  int64_t idle_timeout_ms = 60'000;
  int64_t header_timeout_ms = 10'000;
  int64_t body_timeout_ms = 30'000;
  int64_t write_timeout_ms = 30'000;
  int64_t shutdown_timeout_ms = 10'000;
  bool compress_responses = true;
};

struct LogConfig {
  std::string level = "info";
  std::string format = "text";
  int64_t access_every = 0;
};

struct Config {
  ServerConfig server;
  EngineOptions engine = [] {
    EngineOptions options;
    options.directory = "data";
    options.learning.on = true;
    options.text.on = true;
    return options;
  }();
  LogConfig log;
};

// Names and values, as from CurrentEnvironment(); a parameter so that tests need not set them.
using Environment = std::map<std::string, std::string>;
Environment CurrentEnvironment();

// `path` empty: no file. An unknown key, a wrong type, a value out of range and an unknown
// HEED_<SECTION>_… variable are each kInvalidArgument naming file and line (or the variable) and, for
// an unknown name, the nearest known one; field() is the key ("server.port").
Result<Config> LoadConfig(const std::string& path, const Environment& environment);
// The same for text already read; `name` stands for the file in messages.
Result<Config> ParseConfig(std::string_view text, const std::string& name,
                           const Environment& environment);

// `config` as an annotated file: every key with what it means. ParseConfig reads it back unchanged.
std::string ConfigToToml(const Config& config);

}  // namespace heed
