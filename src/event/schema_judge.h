// A tiny JSON Schema evaluator for tests: the keywords docs/spec/events.schema.json uses, and none
// of the code under test, so that the two can be compared.
#pragma once

#include <boost/json.hpp>
#include <set>
#include <string>

namespace heed::event {

struct Judgement {
  std::set<std::string> errors;  // JSON pointers of what the schema refuses
  // JSON pointers of what the schema takes and json.h says the reader refuses: integers beyond
  // int64, times in another unit, nesting that is too deep.
  std::set<std::string> stated;
};

// Throws std::runtime_error on a keyword it does not know.
Judgement Judge(const boost::json::value& schema, const boost::json::value& event);

// A member's pointer under `parent`, escaped.
std::string PointerTo(const std::string& parent, std::string_view member);

}  // namespace heed::event
