// Canonical events from and to JSON: the only door by which outside bytes become an Event.
//
// Accepts exactly what the JSON Schema of LCE v1 (docs/spec/events.schema.json) accepts, read as
// Python's jsonschema reads it (1.0 is an integer, lengths count code points), with these stated
// differences, all refusals:
//   - integers beyond int64 and numbers beyond double, anywhere in the event;
//   - a member twice in one object;
//   - times (`ts`, `*_ts`) that look like seconds, microseconds or nanoseconds instead of
//     milliseconds: below 1e11 or above 1e14 (refused, never guessed);
//   - strings that are not Unicode: bytes that are not UTF-8, half a surrogate pair;
//   - a newline at the end of a type or a currency, which Python's `$` lets pass;
//   - nesting deeper than 32 levels, the event being the first.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "event/event.h"

namespace heed::event {

struct Rejected {
  size_t index = 0;  // position in the body, from 0: the element, or the line not counting blanks
  std::string id;    // the event's id where it could be read
  // field() is a JSON pointer inside the event, "/data/product_id"; a missing member's own pointer
  // when it is missing. message() says what was expected and what was found.
  Status status;
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

  // One JSON object. Errors: kInvalidArgument, with the field as in Rejected.
  Result<Event> ReadOne(std::string_view json);
  // A request body: one object, an array of objects, or NDJSON (told apart by the first byte and the
  // newlines). A body that is not JSON is one error with the line and byte; a wrong event inside a
  // well-formed array, or a wrong line of NDJSON even when it is not JSON, is rejected alone. Blank
  // lines are skipped and not counted; CRLF is fine. Over max_events: kTooLarge. The buffers grow to
  // the largest body seen (about 15 bytes for each of its bytes, up to a power of two) and stay: bound
  // bodies before.
  Result<ReadResult> ReadBody(std::string_view body, size_t max_events);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Minified JSON, members in the schema's order; reading it back gives an equal Event.
std::string ToJson(const Event& event);

// The text of a member that the schema does not name; "" where there is none, or it is no text.
std::string TextOf(const Extra& extra, std::string_view member);
// The number of a member of an object; nothing where there is none, or it is no number.
std::optional<double> NumberOf(const RawJson& object, std::string_view member);

// "viewer.enter"; for an Extension its own type.
std::string_view TypeName(const Data& data);

}  // namespace heed::event
