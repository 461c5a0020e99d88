#include "store/testing.h"

#include <stdlib.h>

#include <filesystem>
#include <utility>

namespace heed::store {

TemporaryDirectory::TemporaryDirectory()
    : path_((std::filesystem::temp_directory_path() / "heed-XXXXXX").string()) {
  if (mkdtemp(path_.data()) == nullptr) abort();
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

event::Event SmallEvent(uint64_t number, uint64_t variant, std::string_view tenant) {
  event::Event event;
  event.id = "e" + std::to_string(number);
  event.ts = 1'764'000'000'000 + static_cast<int64_t>(number);
  event.tenant = tenant;
  event.room = "room-" + std::to_string(number % 7);
  event.session = event.room + "-s1";
  event.src.platform = "sim";
  event.src.adapter = "test/1";
  event.actor.emplace();
  event.actor->id = "u:" + std::to_string(number % 1'000);
  event::ProductClick click;
  click.product_id = "p" + std::to_string(number % 50 + 50 * variant);
  event.data = click;
  return event;
}

std::vector<event::Event> SmallEvents(uint64_t first_number, size_t count) {
  std::vector<event::Event> events;
  events.reserve(count);
  for (size_t i = 0; i < count; ++i) events.push_back(SmallEvent(first_number + i));
  return events;
}

Result<std::vector<LogRecord>> ReadAll(const EventLog& log, uint64_t from_sequence) {
  std::vector<LogRecord> records;
  HEED_RETURN_IF_ERROR(log.Read(from_sequence, [&](const LogRecord& record) {
    records.push_back(record);
    return Status();
  }));
  return records;
}

}  // namespace heed::store
