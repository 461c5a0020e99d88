#include "event/json_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace heed::event {
namespace {

namespace dom = simdjson::dom;

// 0: stands for itself; 'u': \u00XX; else the letter after the backslash.
constexpr auto kEscapes = [] {
  std::array<char, 256> table{};
  for (size_t c = 0; c < 0x20; ++c) table[c] = 'u';
  table['\b'] = 'b', table['\f'] = 'f', table['\n'] = 'n', table['\r'] = 'r', table['\t'] = 't';
  table['"'] = '"', table['\\'] = '\\';
  return table;
}();

bool AppendObject(dom::object object, int depth, std::string& out, Fault& fault) {
  if (!CheckNoDuplicate(object, fault)) return false;
  out += '{';
  bool first = true;
  for (const auto [key, value] : object) {
    if (!first) out += ',';
    first = false;
    AppendString(key, out);
    out += ':';
    if (!AppendJson(value, depth + 1, out, fault)) return fault.Under(key);
  }
  out += '}';
  return true;
}

bool AppendArray(dom::array array, int depth, std::string& out, Fault& fault) {
  out += '[';
  size_t index = 0;
  for (const dom::element item : array) {
    if (index > 0) out += ',';
    if (!AppendJson(item, depth + 1, out, fault)) return fault.Under(index);
    ++index;
  }
  out += ']';
  return true;
}

bool TooDeep(Fault& fault) {
  return fault.Say("nested deeper than " + std::to_string(kMaxDepth) + " levels");
}

}  // namespace

void AppendString(std::string_view text, std::string& out) {
  out += '"';
  size_t done = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char escape = kEscapes[static_cast<unsigned char>(text[i])];
    if (escape == 0) continue;
    out.append(text, done, i - done);
    out += '\\';
    out += escape;
    if (escape == 'u') {
      constexpr std::string_view kHex = "0123456789abcdef";
      const auto c = static_cast<unsigned char>(text[i]);
      out += "00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    }
    done = i + 1;
  }
  out.append(text, done, text.size() - done);
  out += '"';
}

void AppendInteger(int64_t value, std::string& out) {
  char digits[24];
  out.append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
}

void AppendNumber(double value, std::string& out) {
  char digits[32];
  const char* end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  const std::string_view text(digits, static_cast<size_t>(end - digits));
  out += text;
  // Without a point or an exponent it would read back as an integer, and -0 as 0.
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
}

bool AppendJson(dom::element value, int depth, std::string& out, Fault& fault) {
  switch (value.type()) {
    case dom::element_type::OBJECT:
      if (depth > kMaxDepth) return TooDeep(fault);
      return AppendObject(value.get_object().value_unsafe(), depth, out, fault);
    case dom::element_type::ARRAY:
      if (depth > kMaxDepth) return TooDeep(fault);
      return AppendArray(value.get_array().value_unsafe(), depth, out, fault);
    case dom::element_type::STRING:
      AppendString(value.get_string().value_unsafe(), out);
      return true;
    case dom::element_type::INT64:
      AppendInteger(value.get_int64().value_unsafe(), out);
      return true;
    case dom::element_type::UINT64:
      return fault.Say("the integer " + std::to_string(value.get_uint64().value_unsafe()) +
                       " does not fit 64 signed bits");
    case dom::element_type::DOUBLE:
      AppendNumber(value.get_double().value_unsafe(), out);
      return true;
    case dom::element_type::BOOL:
      out += value.get_bool().value_unsafe() ? "true" : "false";
      return true;
    case dom::element_type::NULL_VALUE: out += "null"; return true;
  }
  return fault.Say("not a JSON value");
}

bool CheckNoDuplicate(dom::object object, Fault& fault) {
  const auto twice = [&](std::string_view key) {
    fault.Say("the member stands twice in one object");
    return fault.Under(key);
  };
  // Nearly every object is small; a big one must not cost its size squared.
  constexpr size_t kSmall = 16;
  std::array<std::string_view, kSmall> keys;
  size_t count = 0;
  for (const auto [key, value] : object) {
    if (count == kSmall) break;
    if (std::find(keys.begin(), keys.begin() + count, key) != keys.begin() + count) {
      return twice(key);
    }
    keys[count++] = key;
  }
  if (object.size() <= kSmall) return true;
  std::vector<std::string_view> all;
  for (const auto [key, value] : object) all.push_back(key);
  std::ranges::sort(all);
  const auto same = std::ranges::adjacent_find(all);
  return same == all.end() || twice(*same);
}

bool MinifiedChecker::Parse(std::string_view text, int depth, dom::element& value, Fault& fault) {
  if (parser_.parse(text.data(), text.size(), true).get(value) != simdjson::SUCCESS) {
    return fault.Say("not JSON");
  }
  again_.clear();
  if (!AppendJson(value, depth, again_, fault)) return false;
  return again_ == text || fault.Say("JSON not in its minified form");
}

bool MinifiedChecker::Check(std::string_view text, const Json& rule, int depth, Fault& fault) {
  dom::element value;
  if (!Parse(text, depth, value, fault)) return false;
  return !rule.object || value.is_object() || fault.Say("expected an object");
}

bool MinifiedChecker::CheckExtra(std::string_view text, std::span<const std::string_view> known,
                                 int depth, Fault& fault) {
  dom::element value;
  if (!Parse(text, depth, value, fault)) return false;
  dom::object object;
  if (value.get(object) != simdjson::SUCCESS || object.size() == 0) {
    return fault.Say("extra members must be an object that is not empty");
  }
  for (const auto [key, member] : object) {
    if (std::ranges::find(known, key) == known.end()) continue;
    fault.Say("a member that the schema names stands among the extra ones");
    return fault.Under(key);
  }
  return true;
}

}  // namespace heed::event
