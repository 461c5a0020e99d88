// Writing JSON by hand where it is hot, and reading request objects strictly.
#pragma once

#include <fmt/format.h>

#include <boost/json/value.hpp>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace heed::server {

// `text` in quotes, escaped. Text that is not UTF-8 has its bad bytes replaced by U+FFFD, so that
// what we send is always JSON.
void AppendJsonString(std::string& out, std::string_view text);

template <typename T>
requires(std::is_arithmetic_v<T>) void AppendNumber(std::string& out, T value) {
  if constexpr (std::is_floating_point_v<T>) {
    if (!std::isfinite(value)) {
      out += "null";
      return;
    }
  }
  fmt::format_to(std::back_inserter(out), FMT_STRING("{}"), value);
}

// One JSON value; kInvalidArgument with the byte where it stops being JSON.
Result<boost::json::value> ParseJson(std::string_view text);

// The members of one request object, each asked for by name; Finish refuses what nobody asked for.
// The first mistake wins and is kept; getters after it return the default.
class ObjectReader {
 public:
  // `value` must outlive the reader.
  explicit ObjectReader(const boost::json::value& value);

  std::string Text(const char* name, bool required, std::string otherwise = {});
  int64_t Integer(const char* name, int64_t otherwise, int64_t low, int64_t high);
  // A finite one; nothing when absent.
  std::optional<double> Real(const char* name);
  bool Flag(const char* name, bool otherwise);
  std::vector<std::string> Texts(const char* name, size_t max);
  // One that may be longer than the 256 bytes of Text, or empty.
  std::string LongText(const char* name, bool required, size_t max_bytes);
  // Null when absent, or no array of at most `max` elements.
  const boost::json::array* Array(const char* name, size_t max);

  Status Finish();

 private:
  const boost::json::value* Take(const char* name);
  void Fail(std::string message, std::string field);

  const boost::json::object* object_ = nullptr;
  std::vector<std::string_view> asked_;
  Status status_;
};

// The elements of a JSON array, or the lines of NDJSON, or one object alone, each as its own text
// inside `body`. A body that is not JSON is an error with the line or the byte; what the elements
// are is for the caller to check. Over `max`: kTooLarge.
Result<std::vector<std::string_view>> SplitDocuments(std::string_view body, size_t max);

}  // namespace heed::server
