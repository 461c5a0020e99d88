// Canonical events from and to JSON: the only door by which outside bytes become an Event.
//
// Accepts exactly what spec's JSON Schema (LCE v1) accepts, with these stated differences, all
// refusals: integers beyond int64; a member twice in one object; times that look like seconds or
// microseconds instead of milliseconds (refused, never guessed).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "event/event.h"

namespace heed::event {

struct Rejected {
  size_t index = 0;  // position in the body, from 0
  std::string id;    // the event's id where it could be read
  Status status;     // its field() is a JSON pointer inside the event: "/data/product_id"
};

struct ReadResult {
  std::vector<Event> events;
  std::vector<size_t> positions;  // events[i] stood at positions[i] of the body
  std::vector<Rejected> rejected;
};

// Keeps the parser's buffers between calls: one per thread, not thread-safe. About 1 µs an event.
class JsonReader {
 public:
  JsonReader();
  ~JsonReader();

  // One JSON object.
  Result<Event> ReadOne(std::string_view json);
  // A request body: one object, an array of objects, or NDJSON (told apart by the first byte and the
  // newlines). A body that is not JSON is one error with the line or byte; a wrong event inside a
  // well-formed array or a wrong line of NDJSON is rejected alone. Over max_events: kTooLarge.
  Result<ReadResult> ReadBody(std::string_view body, size_t max_events);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Minified JSON, members in the schema's order; reading it back gives an equal Event.
std::string ToJson(const Event& event);

// "viewer.enter"; for an Extension its own type.
std::string_view TypeName(const Data& data);

}  // namespace heed::event
