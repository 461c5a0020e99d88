// JSON text in its one minified form: what RawJson and Extra hold and ToJson writes.
//
// No spaces; strings escape only what they must; members keep their order; a number keeps its kind
// (1.0 stays "1.0") in its shortest digits. Equal text therefore means equal values.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "event/check.h"
#include "event/event.h"

namespace heed::event {

// In quotes, escaped. `text` must be UTF-8.
void AppendString(std::string_view text, std::string& out);
void AppendInteger(int64_t value, std::string& out);
// A number that reads back as the same double; must be finite.
void AppendNumber(double value, std::string& out);

// Appends `value`, which stands at nesting level `depth`. Refuses what Event does not carry: a
// member twice in one object, integers beyond int64, nesting below kMaxDepth.
bool AppendJson(simdjson::dom::element value, int depth, std::string& out, Fault& fault);
// Refuses an object that holds a member twice, naming it.
bool CheckNoDuplicate(simdjson::dom::object object, Fault& fault);

// Checks text of unknown origin: that it is one value in the minified form, within AppendJson's
// limits at `depth`. Keeps its buffers: one per thread.
class MinifiedChecker {
 public:
  bool Check(std::string_view text, const Json& rule, int depth, Fault& fault);
  // An object with at least one member, and none of `known`. The object stands at `depth`.
  bool CheckExtra(std::string_view text, std::span<const std::string_view> known, int depth,
                  Fault& fault);

 private:
  bool Parse(std::string_view text, int depth, simdjson::dom::element& value, Fault& fault);

  simdjson::dom::parser parser_;
  std::string again_;
};

}  // namespace heed::event
