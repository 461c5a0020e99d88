// What a member's value may be, and how a struct's members are listed: the vocabulary of fields.h.
//
// A rule's type fits the member's C++ type (Text a std::string, Integer an int64_t ...), so a list
// that pairs the wrong two does not compile. Everything here is constexpr data.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

namespace heed::event {

struct Text {
  size_t min_chars = 0;  // 0 or 1
  // Unicode code points, as JSON Schema counts.
  size_t max_chars = std::numeric_limits<size_t>::max();
  bool currency = false;  // three capital ASCII letters
};

struct Integer {
  int64_t min = 0;  // never below 0: the codec writes integers unsigned
  int64_t max = std::numeric_limits<int64_t>::max();
  bool time = false;  // milliseconds since the epoch, within kEarliestMs and kLatestMs
};

struct Number {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool above_min = false;  // min itself is refused
};

struct Flag {};    // bool
struct Choice {};  // an enum, by the names in kNames
struct Nested {};  // a struct with its own layout

struct Json {
  bool object = false;  // else any value
};

template <typename Item>
struct List {
  Item item;
  size_t min_items = 0;
};

// A time outside is taken for another unit: below 1973 it is seconds (or nothing), beyond the year
// 5138 microseconds or nanoseconds. Such a time is refused, because guessing wrong is silent.
inline constexpr int64_t kEarliestMs = 100'000'000'000;
inline constexpr int64_t kLatestMs = 100'000'000'000'000;

inline constexpr Text kText;
inline constexpr Text kId{1, 128};
inline constexpr Text kCommentText{0, 2000};
inline constexpr Text kCurrency{.currency = true};
inline constexpr Integer kCount;
inline constexpr Integer kPositive{1};
inline constexpr Integer kPrizeCents{0, 5'000'000};  // the law's 50,000 yuan for one prize
inline constexpr Integer kTime{.time = true};
inline constexpr Number kNumber;
inline constexpr Number kNonNegative{.min = 0};
inline constexpr Number kRate{0, 1};
inline constexpr Number kProbability{0, 1, true};
inline constexpr Flag kBool;
inline constexpr Choice kEnum;
inline constexpr Nested kNested;
inline constexpr Json kObject{true};
inline constexpr Json kAnyJson{false};

template <typename Item>
constexpr List<Item> ListOf(Item item, size_t min_items = 0) {
  return {item, min_items};
}

template <typename Owner, typename Member, typename RuleType>
struct Field {
  std::string_view name;
  Member Owner::*member;
  RuleType rule;
  constexpr Field(std::string_view name_in, Member Owner::*member_in, RuleType rule_in)
      : name(name_in), member(member_in), rule(rule_in) {}
};

template <size_t Index, typename FieldType>
struct Leaf {
  FieldType field;
};

template <typename Indices, typename... Fields>
struct Leaves;
template <size_t... I, typename... Fields>
struct Leaves<std::index_sequence<I...>, Fields...> : Leaf<I, Fields>... {
  constexpr explicit Leaves(Fields... fields) : Leaf<I, Fields>{fields}... {}

  template <typename Use>
  constexpr bool ForEach(Use& use) const {
    return (use(static_cast<const Leaf<I, Fields>&>(*this).field) && ...);
  }
};

// A struct's members in the order of the schema. `label` is what the struct is called outside: an
// event type's name, or a word for messages. Not a std::tuple: visiting 64 of those with std::apply
// costs the compiler a third more time and memory.
template <typename... Fields>
struct Layout {
  static constexpr size_t kCount = sizeof...(Fields);
  std::string_view label;
  Leaves<std::index_sequence_for<Fields...>, Fields...> fields;
  constexpr explicit Layout(std::string_view label_in, Fields... fields_in)
      : label(label_in), fields(fields_in...) {}
};

template <typename T>
inline constexpr bool kIsOptional = false;
template <typename T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

// The layout of T and the names of an enum's values, in fields.h.
template <typename T>
inline constexpr auto kLayout = nullptr;
template <typename E>
inline constexpr auto kNames = nullptr;

}  // namespace heed::event
