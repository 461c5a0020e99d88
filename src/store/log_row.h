// One row of the event log: up to 256 encoded events with consecutive sequences under one key and
// one checksum. Format: docs/formats/event_log.md, version 1.
//
// Rows of many events instead of one: at 250,000 events a second RocksDB's cost per key would be the
// larger half of the committer's time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace heed::store {

// Big-endian, so that bytes sort as numbers.
std::string LogKey(uint64_t first_sequence);

// Collects encoded events until the row is full. Not thread-safe.
class LogRowBuilder {
 public:
  static constexpr size_t kMaxEvents = 256;
  static constexpr size_t kFullBytes = 64u << 10;  // full once it holds as many

  void Add(std::string_view encoded_event);
  bool empty() const { return count_ == 0; }
  bool full() const { return count_ == kMaxEvents || events_.size() >= kFullBytes; }
  // The value to store under LogKey(first_sequence); starts the next row.
  std::string Finish(uint64_t first_sequence);

 private:
  size_t count_ = 0;
  std::string events_;
};

struct LogRow {
  uint64_t first_sequence = 0;
  std::vector<std::string_view> events;  // encoded; views into the parsed value; never empty
};

// Never trusts its input: what Finish cannot have made is kCorruption.
Result<LogRow> ParseLogRow(std::string_view key, std::string_view value);

}  // namespace heed::store
