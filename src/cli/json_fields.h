// Members of a server's answer, as text for people.
#pragma once

#include <fmt/format.h>

#include <boost/json.hpp>
#include <string>

namespace heed::cli {

// "" where there is none.
inline std::string Text(const boost::json::value& object, const char* name) {
  const boost::json::value* value = object.as_object().if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

// A number with so many digits, "-" for what is not known.
inline std::string Number(const boost::json::value& object, const char* name, int digits) {
  const boost::json::value* value = object.as_object().if_contains(name);
  if (value == nullptr || !value->is_number()) return "-";
  return fmt::format("{:.{}f}", value->to_number<double>(), digits);
}

}  // namespace heed::cli
