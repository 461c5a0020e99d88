// Whether a value keeps its rule, and how a refusal reads: "expected a string of 1 to 128
// characters, found an empty string", at "/data/lines/0/product_id".
//
// Both doors into an Event (JSON and the codec) call these checks, so that what one accepts the
// other does too. The checks cost a compare each; words are made only for a refusal.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "event/rules.h"

namespace heed::event {

// How deep objects and lists may nest in an event, the event itself being level 1.
inline constexpr int kMaxDepth = 32;

// Appends "/step" to a JSON pointer, escaped.
void AppendStep(std::string_view step, std::string& pointer);

// What is wrong with an event. Functions that can refuse return false after Say; each caller on the
// way out adds the step it took, so an accepted event pays nothing for pointers.
class Fault {
 public:
  // Each returns false, for `return fault.Say(...)`.
  bool Say(std::string message);
  bool Expected(std::string_view what, std::string_view found);
  bool Under(std::string_view member);
  bool Under(size_t index);

  const std::string& message() const { return message_; }
  const std::string& pointer() const { return pointer_; }
  Status ToStatus(Code code) const { return {code, message_, pointer_}; }

 private:
  std::string message_;
  std::string pointer_;  // RFC 6901
};

// "a string of 1 to 128 characters", for messages.
std::string Describe(const Text& rule);
std::string Describe(const Integer& rule);
std::string Describe(const Number& rule);
std::string Describe(const Flag& rule);
std::string Describe(const Json& rule);
std::string Describe(const Nested& rule);
std::string DescribeChoice(std::span<const std::string_view> names);
std::string DescribeList(size_t min_items);
// A string from outside, in quotes, cut to a length fit for a message.
std::string Quoted(std::string_view text);
std::string Shown(double value);

// `value` must be UTF-8.
bool Check(const Text& rule, std::string_view value, Fault& fault);
bool Check(const Integer& rule, int64_t value, Fault& fault);
// `value` must be finite.
bool Check(const Number& rule, double value, Fault& fault);
bool CheckItems(size_t min_items, size_t count, Fault& fault);

// `x.` and at least one of a-z, 0-9, '_', '.'.
bool IsExtensionType(std::string_view type);
bool CheckType(std::string_view type, Fault& fault);

}  // namespace heed::event
