#include "event/check.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace heed::event {
namespace {

constexpr size_t kShownBytes = 40;

// Of valid UTF-8: every byte that does not continue a character.
size_t CountChars(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

bool IsCurrency(std::string_view value) {
  return value.size() == 3 &&
         std::ranges::all_of(value, [](char c) { return c >= 'A' && c <= 'Z'; });
}

std::string_view UnitOf(int64_t time) {
  if (time < kEarliestMs) return "seconds";
  return time <= kLatestMs * 1000 ? "microseconds" : "nanoseconds";
}

}  // namespace

void AppendStep(std::string_view step, std::string& pointer) {
  pointer += '/';
  for (const char c : step) {
    if (c == '~') {
      pointer += "~0";
    } else if (c == '/') {
      pointer += "~1";
    } else {
      pointer += c;
    }
  }
}

bool Fault::Say(std::string message) {
  message_ = std::move(message);
  return false;
}

bool Fault::Expected(std::string_view what, std::string_view found) {
  message_ = "expected ";
  message_ += what;
  message_ += ", found ";
  message_ += found;
  return false;
}

bool Fault::Under(std::string_view member) {
  std::string step;
  AppendStep(member, step);
  pointer_.insert(0, step);
  return false;
}

bool Fault::Under(size_t index) {
  pointer_.insert(0, "/" + std::to_string(index));
  return false;
}

std::string Shown(double value) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  return {digits, end};
}

std::string Quoted(std::string_view text) {
  if (text.empty()) return "an empty string";
  size_t size = std::min(text.size(), kShownBytes);
  while (size < text.size() && size > 0 &&
         (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) {
    --size;  // not in the middle of a character
  }
  std::string shown = "\"";
  for (const char c : text.substr(0, size)) {
    const bool plain = static_cast<unsigned char>(c) >= 0x20 && c != 0x7F;
    shown += plain ? c : '?';
  }
  shown += size < text.size() ? "...\"" : "\"";
  return shown;
}

std::string Describe(const Text& rule) {
  if (rule.currency) return "a currency of three capital letters, like CNY";
  if (rule.max_chars == std::numeric_limits<size_t>::max()) return "a string";
  const std::string limit = std::to_string(rule.max_chars) + " characters";
  if (rule.min_chars == 0) return "a string of at most " + limit;
  return "a string of " + std::to_string(rule.min_chars) + " to " + limit;
}

std::string Describe(const Integer& rule) {
  if (rule.time) return "a time in milliseconds since the epoch (UTC), an integer";
  if (rule.max == std::numeric_limits<int64_t>::max()) {
    return "an integer of at least " + std::to_string(rule.min);
  }
  return "an integer from " + std::to_string(rule.min) + " to " + std::to_string(rule.max);
}

std::string Describe(const Number& rule) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::string text = "a number";
  if (rule.min > -kInfinity)
    text += (rule.above_min ? " above " : " of at least ") + Shown(rule.min);
  if (rule.max < kInfinity) text += " and at most " + Shown(rule.max);
  return text;
}

std::string Describe(const Flag&) { return "true or false"; }
std::string Describe(const Json& rule) { return rule.object ? "an object" : "a value"; }
std::string Describe(const Nested&) { return "an object"; }

std::string DescribeChoice(std::span<const std::string_view> names) {
  std::string text = "one of ";
  for (const std::string_view name : names) {
    if (name != names.front()) text += ", ";
    text += name;
  }
  return text;
}

std::string DescribeList(size_t min_items) {
  if (min_items == 0) return "a list";
  return "a list of at least " + std::to_string(min_items) + (min_items == 1 ? " item" : " items");
}

bool Check(const Text& rule, std::string_view value, Fault& fault) {
  if (rule.currency && !IsCurrency(value)) return fault.Expected(Describe(rule), Quoted(value));
  if (value.size() < rule.min_chars) return fault.Expected(Describe(rule), Quoted(value));
  if (value.size() <= rule.max_chars) return true;  // never more characters than bytes
  const size_t chars = CountChars(value);
  if (chars <= rule.max_chars) return true;
  return fault.Expected(Describe(rule), "one of " + std::to_string(chars));
}

bool Check(const Integer& rule, int64_t value, Fault& fault) {
  if (value < rule.min || value > rule.max) {
    return fault.Expected(Describe(rule), std::to_string(value));
  }
  if (!rule.time || (value >= kEarliestMs && value <= kLatestMs)) return true;
  return fault.Expected(Describe(rule),
                        std::to_string(value) + ", which looks like " + std::string(UnitOf(value)));
}

bool Check(const Number& rule, double value, Fault& fault) {
  const bool low = rule.above_min ? value <= rule.min : value < rule.min;
  if (!low && value <= rule.max) return true;
  return fault.Expected(Describe(rule), Shown(value));
}

bool CheckItems(size_t min_items, size_t count, Fault& fault) {
  if (count >= min_items) return true;
  return fault.Expected(DescribeList(min_items),
                        count == 0 ? "an empty list" : "one of " + std::to_string(count));
}

bool IsExtensionType(std::string_view type) {
  return type.size() > 2 && type.starts_with("x.") &&
         std::ranges::all_of(type.substr(2), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
         });
}

bool CheckType(std::string_view type, Fault& fault) {
  if (IsExtensionType(type)) return true;
  return fault.Expected("one of the 54 event types of LCE v1, or x.<name> of a-z, 0-9, _ and .",
                        Quoted(type));
}

}  // namespace heed::event
