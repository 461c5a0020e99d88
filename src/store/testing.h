// What tests and benchmarks of this module and those above it share.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "event/event.h"
#include "store/event_log.h"

namespace heed::store {

// A new empty directory, removed with all it holds.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A valid product.click; `number` makes its id ("e<number>"), `variant` only its content.
event::Event SmallEvent(uint64_t number, uint64_t variant = 0, std::string_view tenant = "t1");
std::vector<event::Event> SmallEvents(uint64_t first_number, size_t count);

Result<std::vector<LogRecord>> ReadAll(const EventLog& log, uint64_t from_sequence = 1);

}  // namespace heed::store
