#include "event/json_event.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <span>

#include "event/json_text.h"
#include "event/layout.h"

namespace heed::event {
namespace {

namespace dom = simdjson::dom;
using dom::element;

std::string Found(element value) {
  switch (value.type()) {
    case dom::element_type::OBJECT: return "an object";
    case dom::element_type::ARRAY: return "a list";
    case dom::element_type::STRING: return Quoted(value.get_string().value_unsafe());
    case dom::element_type::INT64: return std::to_string(value.get_int64().value_unsafe());
    case dom::element_type::UINT64: return std::to_string(value.get_uint64().value_unsafe());
    case dom::element_type::DOUBLE: return Shown(value.get_double().value_unsafe());
    case dom::element_type::BOOL: return value.get_bool().value_unsafe() ? "true" : "false";
    case dom::element_type::NULL_VALUE: return "null";
  }
  return "something else";
}

// ---- Wanted: what a member wants, for a message when it is missing.

template <typename Member, typename RuleType>
std::string Wanted(const RuleType& rule) {
  return Describe(rule);
}
template <typename Member>
std::string Wanted(const Choice&) {
  return DescribeChoice(kNames<Member>);
}
template <typename Member, typename Item>
std::string Wanted(const List<Item>& rule) {
  return DescribeList(rule.min_items);
}

// ---- Read: one value into one member. `depth` is the level the value stands at.

bool Read(element value, const Text& rule, int /*depth*/, std::string& out, Fault& fault) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS) return fault.Expected(Describe(rule), Found(value));
  out.assign(text);
  return Check(rule, text, fault);
}

bool Read(element value, const Integer& rule, int /*depth*/, int64_t& out, Fault& fault) {
  if (value.is<int64_t>()) {
    out = value.get_int64().value_unsafe();
    return Check(rule, out, fault);
  }
  double number = 0;
  if (!value.is<double>() || value.get(number) != simdjson::SUCCESS ||
      number != std::trunc(number)) {
    std::string found = Found(value);
    if (value.is<uint64_t>()) found += ", which does not fit 64 signed bits";
    return fault.Expected(Describe(rule), found);
  }
  // JSON Schema counts 3.0 among the integers.
  if (number < -0x1p63 || number >= 0x1p63) {
    return fault.Expected(Describe(rule), Shown(number) + ", which does not fit 64 signed bits");
  }
  out = static_cast<int64_t>(number);
  return Check(rule, out, fault);
}

bool Read(element value, const Number& rule, int /*depth*/, double& out, Fault& fault) {
  if (value.is<int64_t>()) {
    out = static_cast<double>(value.get_int64().value_unsafe());
  } else if (value.type() == dom::element_type::DOUBLE) {
    out = value.get_double().value_unsafe();
  } else {
    std::string found = Found(value);
    if (value.is<uint64_t>()) found += ", which does not fit 64 signed bits";
    return fault.Expected(Describe(rule), found);
  }
  return Check(rule, out, fault);
}

bool Read(element value, const Flag& rule, int /*depth*/, bool& out, Fault& fault) {
  if (value.get(out) == simdjson::SUCCESS) return true;
  return fault.Expected(Describe(rule), Found(value));
}

bool Read(element value, const Json& rule, int depth, RawJson& out, Fault& fault) {
  if (rule.object && !value.is_object()) return fault.Expected(Describe(rule), Found(value));
  return AppendJson(value, depth, out.text, fault);
}

template <typename E>
requires(std::is_enum_v<E>) bool Read(element value, const Choice&, int /*depth*/, E& out,
                                      Fault& fault) {
  std::string_view name;
  if (value.get(name) == simdjson::SUCCESS) {
    const auto found = std::ranges::find(kNames<E>, name);
    if (found != kNames<E>.end()) {
      out = static_cast<E>(found - kNames<E>.begin());
      return true;
    }
  }
  return fault.Expected(DescribeChoice(kNames<E>), Found(value));
}

template <typename T>
bool Read(element value, const Nested& rule, int depth, T& out, Fault& fault);

template <typename T, typename Item>
bool Read(element value, const List<Item>& rule, int depth, std::vector<T>& out, Fault& fault) {
  dom::array array;
  if (value.get(array) != simdjson::SUCCESS) {
    return fault.Expected(DescribeList(rule.min_items), Found(value));
  }
  for (const element item : array) {
    if (!Read(item, rule.item, depth + 1, out.emplace_back(), fault)) {
      return fault.Under(out.size() - 1);
    }
  }
  return CheckItems(rule.min_items, out.size(), fault);
}

// ---- Objects

// Producers keep one order, so the search begins at the field after the last one found.
size_t FindField(std::span<const std::string_view> names, std::string_view key, size_t from) {
  for (size_t i = from; i < names.size(); ++i) {
    if (names[i] == key) return i;
  }
  for (size_t i = 0; i < std::min(from, names.size()); ++i) {
    if (names[i] == key) return i;
  }
  return names.size();
}

// The place to fill: a member itself, or what a new optional holds.
template <typename Member>
auto& Value(Member& member) {
  if constexpr (kIsOptional<Member>) {
    return member.emplace();
  } else {
    return member;
  }
}

template <typename T>
bool ReadField(size_t index, element value, int depth, T& out, Fault& fault) {
  size_t i = 0;
  bool ok = true;
  ForEachField<T>([&](const auto& field) {
    if (i++ != index) return true;
    ok = Read(value, field.rule, depth, Value(out.*field.member), fault);
    return false;
  });
  return ok;
}

template <typename T>
bool MissingField(uint64_t missing, Fault& fault) {
  const auto index = static_cast<size_t>(std::countr_zero(missing));
  size_t i = 0;
  ForEachField<T>([&]<typename Member, typename RuleType>(const Field<T, Member, RuleType>& field) {
    if constexpr (!kIsOptional<Member>) {
      if (i == index) fault.Say("missing; expected " + Wanted<Member>(field.rule));
    }
    return i++ != index;
  });
  return fault.Under(kFieldNames<T>[index]);
}

bool Twice(std::string_view key, Fault& fault) {
  fault.Say("the member stands twice in one object");
  return fault.Under(key);
}

// One unknown member at the end of the open object text `out`.
bool AppendExtra(std::string_view key, element value, int depth, std::string& out, Fault& fault) {
  out += out.empty() ? '{' : ',';
  AppendString(key, out);
  out += ':';
  return AppendJson(value, depth, out, fault) || fault.Under(key);
}

// `depth` is the object's own level.
template <typename T>
bool ReadObject(dom::object object, int depth, T& out, Fault& fault) {
  uint64_t seen = 0;
  size_t next = 0;
  for (const auto [key, value] : object) {
    const size_t index = FindField(kFieldNames<T>, key, next);
    if (index == kFieldCount<T>) {
      if (!AppendExtra(key, value, depth + 1, out.extra.text, fault)) return false;
      continue;
    }
    if ((seen >> index & 1) != 0) return Twice(key, fault);
    seen |= uint64_t{1} << index;
    next = index + 1;
    if (!ReadField(index, value, depth + 1, out, fault)) return fault.Under(key);
  }
  const uint64_t missing = kRequired<T> & ~seen;
  if (missing != 0) return MissingField<T>(missing, fault);
  if (out.extra.text.empty()) return true;
  out.extra.text += '}';
  return CheckNoDuplicate(object, fault);
}

template <typename T>
bool Read(element value, const Nested& rule, int depth, T& out, Fault& fault) {
  dom::object object;
  if (value.get(object) != simdjson::SUCCESS) return fault.Expected(Describe(rule), Found(value));
  return ReadObject(object, depth, out, fault);
}

// ---- The envelope

constexpr size_t kNoType = kTypes;

size_t FindType(std::string_view name) {
  static constexpr auto kByName = [] {
    std::array<std::pair<std::string_view, size_t>, kTypes> sorted;
    for (size_t i = 0; i < kTypes; ++i) sorted[i] = {kTypeNames[i], i};
    std::ranges::sort(sorted);
    return sorted;
  }();
  const auto found =
      std::ranges::lower_bound(kByName, name, {}, [](const auto& p) { return p.first; });
  return found != kByName.end() && found->first == name ? found->second : kNoType;
}

constexpr int kDataDepth = 2;

template <size_t I>
bool ReadDataAs(element value, Data& out, Fault& fault) {
  return Read(value, kNested, kDataDepth, out.emplace<I>(), fault);
}

bool ReadData(std::string_view type, element value, Data& out, Fault& fault) {
  static constexpr auto kReaders = []<size_t... I>(std::index_sequence<I...>) {
    return std::array{&ReadDataAs<I>...};
  }
  (std::make_index_sequence<kTypes>());
  const size_t index = FindType(type);
  if (index != kNoType) return kReaders[index](value, out, fault);
  auto& extension = out.emplace<Extension>();
  extension.type = type;
  return Read(value, kObject, kDataDepth, extension.data, fault);
}

bool ReadType(element value, std::string_view& type, Fault& fault) {
  if (value.get(type) != simdjson::SUCCESS) {
    return fault.Expected("an event type, a string", Found(value));
  }
  return FindType(type) != kNoType || CheckType(type, fault);
}

bool ReadVersion(element value, Fault& fault) {
  std::string_view version;
  if (value.get(version) == simdjson::SUCCESS && version == "1") return true;
  return fault.Expected("the string \"1\", the version of the event format", Found(value));
}

// The members of the envelope that are no fields of Event, by name.
enum Special : size_t { kVersion, kType, kData, kSpecials };
constexpr std::array<std::string_view, kSpecials> kSpecialNames{"v", "type", "data"};

bool UnknownMember(std::string_view key, Fault& fault) {
  fault.Say(
      "unknown member; an event takes no others than v, id, type, ts, recv_ts, seq, tenant, room, "
      "session, src, actor, flags and data, and what a producer adds goes into data");
  return fault.Under(key);
}

}  // namespace

bool ReadEvent(element value, Event& event, Fault& fault) {
  dom::object object;
  if (value.get(object) != simdjson::SUCCESS) {
    return fault.Expected("an event, an object", Found(value));
  }
  std::array<element, kSpecials> specials;
  uint64_t seen = 0;
  uint64_t seen_specials = 0;
  size_t next = 0;
  for (const auto [key, member] : object) {
    const size_t index = FindField(kFieldNames<Event>, key, next);
    if (index == kFieldCount<Event>) {
      const size_t special = FindField(kSpecialNames, key, 0);
      if (special == kSpecials) return UnknownMember(key, fault);
      if ((seen_specials >> special & 1) != 0) return Twice(key, fault);
      seen_specials |= uint64_t{1} << special;
      specials[special] = member;
      continue;
    }
    if ((seen >> index & 1) != 0) return Twice(key, fault);
    seen |= uint64_t{1} << index;
    next = index + 1;
    if (!ReadField(index, member, kDataDepth, event, fault)) return fault.Under(key);
  }
  if (const uint64_t missing = kRequired<Event> & ~seen; missing != 0) {
    return MissingField<Event>(missing, fault);
  }
  for (size_t special = 0; special < kSpecials; ++special) {
    if ((seen_specials >> special & 1) != 0) continue;
    fault.Say("missing");
    return fault.Under(kSpecialNames[special]);
  }
  std::string_view type;
  if (!ReadVersion(specials[kVersion], fault)) return fault.Under("v");
  if (!ReadType(specials[kType], type, fault)) return fault.Under("type");
  return ReadData(type, specials[kData], event.data, fault) || fault.Under("data");
}

}  // namespace heed::event
