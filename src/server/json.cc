#include "server/json.h"

#include <algorithm>
#include <boost/json/parser.hpp>
#include <boost/json/stream_parser.hpp>
#include <cstdint>

namespace heed::server {
namespace {

// Length of the UTF-8 character at the front, or 0 when it is not one (overlong forms, surrogates
// and what lies beyond U+10FFFF included).
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  if (first == 0xE0 && byte(1) < 0xA0) return 0;
  if (first == 0xED && byte(1) > 0x9F) return 0;
  if (first == 0xF0 && byte(1) < 0x90) return 0;
  if (first == 0xF4 && byte(1) > 0x8F) return 0;
  return length;
}

std::string_view SkipSpace(std::string_view text) {
  const size_t start = text.find_first_not_of(" \t\r\n");
  return start == std::string_view::npos ? std::string_view() : text.substr(start);
}

Status NotJson(std::string_view body, size_t offset, const std::string& why) {
  offset = std::min(offset, body.size());
  const auto line = 1 + std::count(body.begin(), body.begin() + offset, '\n');
  return InvalidArgument("not JSON at byte " + std::to_string(offset) + " (line " +
                         std::to_string(line) + "): " + why);
}

const char* KindName(const boost::json::value& value) {
  switch (value.kind()) {
    case boost::json::kind::null: return "null";
    case boost::json::kind::bool_: return "true or false";
    case boost::json::kind::int64:
    case boost::json::kind::uint64:
    case boost::json::kind::double_: return "a number";
    case boost::json::kind::string: return "a text";
    case boost::json::kind::array: return "an array";
    case boost::json::kind::object: return "an object";
  }
  return "something else";
}

// The elements of `array`, the text of a JSON array already known to be well-formed.
std::vector<std::string_view> ElementsOf(std::string_view array) {
  std::vector<std::string_view> out;
  size_t depth = 0, start = 1;
  bool in_string = false;
  const auto finish = [&](size_t end) {
    std::string_view element = SkipSpace(array.substr(start, end - start));
    element = element.substr(0, element.find_last_not_of(" \t\r\n") + 1);
    if (!element.empty()) out.push_back(element);  // empty only between the brackets of []
    start = end + 1;
  };
  for (size_t i = 0; i < array.size(); ++i) {
    const char c = array[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      if (--depth == 0) finish(i);
    } else if (c == ',' && depth == 1) {
      finish(i);
    }
  }
  return out;
}

}  // namespace

void AppendJsonString(std::string& out, std::string_view text) {
  out += '"';
  size_t plain = 0;  // [plain, i) needs no change and is copied in one piece
  const auto flush = [&](size_t i) { out.append(text, plain, i - plain); };
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<uint8_t>(text[i]);
    if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
      ++i;
      continue;
    }
    const size_t length = c < 0x80 ? 1 : Utf8Length(text.substr(i));
    if (length > 1) {
      i += length;
      continue;
    }
    flush(i);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
    } else if (c == '"' || c == '\\') {
      out += '\\', out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else {
      fmt::format_to(std::back_inserter(out), FMT_STRING("\\u{:04x}"), c);
    }
    plain = ++i;
  }
  flush(text.size());
  out += '"';
}

Result<boost::json::value> ParseJson(std::string_view text) {
  boost::json::parser parser;
  boost::json::error_code error;
  const size_t consumed = parser.write_some(text.data(), text.size(), error);
  if (error) return NotJson(text, consumed, error.message());
  if (!SkipSpace(text.substr(consumed)).empty())
    return NotJson(text, consumed, "more after the value");
  return parser.release();
}

ObjectReader::ObjectReader(const boost::json::value& value) : object_(value.if_object()) {
  if (object_ == nullptr) Fail(std::string("must be an object, not ") + KindName(value), "");
}

void ObjectReader::Fail(std::string message, std::string field) {
  if (status_.ok()) status_ = InvalidArgument(std::move(message), std::move(field));
}

const boost::json::value* ObjectReader::Take(const char* name) {
  asked_.emplace_back(name);
  return object_ == nullptr ? nullptr : object_->if_contains(name);
}

std::string ObjectReader::Text(const char* name, bool required, std::string otherwise) {
  const boost::json::value* value = Take(name);
  const std::string field = std::string("/") + name;
  if (value == nullptr) {
    if (required) Fail(std::string(name) + " is required", field);
    return otherwise;
  }
  if (!value->is_string()) {
    Fail(std::string(name) + " must be a text, not " + KindName(*value), field);
    return otherwise;
  }
  const boost::json::string& text = value->get_string();
  if (text.empty()) Fail(std::string(name) + " must not be empty", field);
  if (text.size() > 256) Fail(std::string(name) + " is longer than 256 bytes", field);
  return {text.data(), text.size()};
}

std::string ObjectReader::LongText(const char* name, bool required, size_t max_bytes) {
  const boost::json::value* value = Take(name);
  const std::string field = std::string("/") + name;
  if (value == nullptr) {
    if (required) Fail(std::string(name) + " is required", field);
    return {};
  }
  const boost::json::string* text = value->if_string();
  if (text == nullptr) {
    Fail(std::string(name) + " must be a text, not " + KindName(*value), field);
    return {};
  }
  if (text->size() > max_bytes) {
    Fail(std::string(name) + " is longer than " + std::to_string(max_bytes) + " bytes", field);
  }
  return {text->data(), text->size()};
}

const boost::json::array* ObjectReader::Array(const char* name, size_t max) {
  const boost::json::value* value = Take(name);
  if (value == nullptr) return nullptr;
  const std::string field = std::string("/") + name;
  const boost::json::array* array = value->if_array();
  if (array == nullptr) {
    Fail(std::string(name) + " must be an array, not " + KindName(*value), field);
  } else if (array->size() > max) {
    Fail(std::string(name) + " has " + std::to_string(array->size()) + " elements, at most " +
             std::to_string(max) + " are taken",
         field);
    return nullptr;
  }
  return array;
}

int64_t ObjectReader::Integer(const char* name, int64_t otherwise, int64_t low, int64_t high) {
  const boost::json::value* value = Take(name);
  if (value == nullptr) return otherwise;
  const std::string field = std::string("/") + name;
  const int64_t* integer = value->if_int64();
  if (integer == nullptr && !value->is_uint64()) {
    Fail(std::string(name) + " must be a whole number, not " +
             (value->is_double() ? "a fraction" : KindName(*value)),
         field);
    return otherwise;
  }
  if (integer == nullptr || *integer < low || *integer > high) {
    Fail(std::string(name) + " must be between " + std::to_string(low) + " and " +
             std::to_string(high),
         field);
    return otherwise;
  }
  return *integer;
}

std::optional<double> ObjectReader::Real(const char* name) {
  const boost::json::value* value = Take(name);
  if (value == nullptr) return std::nullopt;
  boost::json::error_code error;
  const auto number = value->is_number() ? value->to_number<double>(error) : NAN;
  if (!error && std::isfinite(number)) return number;
  Fail(std::string(name) + " must be a number, not " + KindName(*value), std::string("/") + name);
  return std::nullopt;
}

bool ObjectReader::Flag(const char* name, bool otherwise) {
  const boost::json::value* value = Take(name);
  if (value == nullptr) return otherwise;
  if (const bool* flag = value->if_bool()) return *flag;
  Fail(std::string(name) + " must be true or false, not " + KindName(*value),
       std::string("/") + name);
  return otherwise;
}

std::vector<std::string> ObjectReader::Texts(const char* name, size_t max) {
  std::vector<std::string> out;
  const boost::json::value* value = Take(name);
  if (value == nullptr) return out;
  const std::string field = std::string("/") + name;
  const boost::json::array* array = value->if_array();
  if (array == nullptr) {
    Fail(std::string(name) + " must be an array of texts, not " + KindName(*value), field);
    return out;
  }
  if (array->size() > max) {
    Fail(std::string(name) + " has " + std::to_string(array->size()) + " elements; at most " +
             std::to_string(max) + " are allowed",
         field);
    return out;
  }
  out.reserve(array->size());
  for (size_t i = 0; i < array->size(); ++i) {
    const boost::json::string* text = (*array)[i].if_string();
    if (text == nullptr || text->empty() || text->size() > 256) {
      Fail("each of " + std::string(name) + " must be a text of 1 to 256 bytes",
           field + "/" + std::to_string(i));
      return out;
    }
    out.emplace_back(text->data(), text->size());
  }
  return out;
}

Status ObjectReader::Finish() {
  if (!status_.ok()) return status_;
  for (const auto& member : *object_) {
    if (std::find(asked_.begin(), asked_.end(), member.key()) != asked_.end()) continue;
    std::string known, pointer = "/";
    for (const std::string_view name : asked_)
      known += (known.empty() ? "" : ", ") + std::string(name);
    for (const char c : std::string_view(member.key()))  // RFC 6901: ~ and / are escaped
      pointer += c == '~' ? std::string("~0") : c == '/' ? std::string("~1") : std::string(1, c);
    return InvalidArgument("unknown field; known are " + known, pointer);
  }
  return {};
}

Result<std::vector<std::string_view>> SplitDocuments(std::string_view body, size_t max) {
  const auto too_many = [max] {
    return Status(Code::kTooLarge, "more than " + std::to_string(max) + " documents in one body");
  };
  std::vector<std::string_view> out;
  boost::json::stream_parser parser;
  std::string_view rest = SkipSpace(body);
  if (rest.empty()) return InvalidArgument("the body is empty");
  while (!rest.empty()) {
    boost::json::error_code error;
    const size_t offset = body.size() - rest.size();
    parser.reset();
    const size_t consumed = parser.write_some(rest.data(), rest.size(), error);
    if (!error && !parser.done()) parser.finish(error);
    if (error) return NotJson(body, offset + consumed, error.message());
    const bool array = rest.front() == '[';
    std::string_view text = rest.substr(0, consumed);
    text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
    rest = SkipSpace(rest.substr(consumed));
    if (array) {
      if (!out.empty() || !rest.empty())
        return NotJson(body, body.size() - rest.size(), "an array must be the whole body");
      out = ElementsOf(text);
    } else {
      out.push_back(text);
    }
    if (out.size() > max) return too_many();
  }
  return out;
}

}  // namespace heed::server
