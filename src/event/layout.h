// What the reader, the writer and the codec derive from the field lists at compile time.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "event/fields.h"

namespace heed::event {

// Event types proper; the variant's last alternative is Extension.
inline constexpr size_t kTypes = std::variant_size_v<AnyData> - 1;
static_assert(kTypes == 54 &&
              std::is_same_v<std::variant_alternative_t<kTypes, AnyData>, Extension>);

template <typename T>
inline constexpr size_t kFieldCount = std::remove_cvref_t<decltype(kLayout<T>)>::kCount;

// Calls use(field) for each field of T, in order, until one call returns false.
template <typename T, typename Use>
constexpr bool ForEachField(Use use) {
  return kLayout<T>.fields.ForEach(use);
}

template <typename T>
inline constexpr auto kFieldNames = [] {
  std::array<std::string_view, kFieldCount<T>> names;
  size_t i = 0;
  ForEachField<T>([&](const auto& field) {
    names[i++] = field.name;
    return true;
  });
  return names;
}();

template <typename Owner, typename Member, typename RuleType>
constexpr bool IsRequired(const Field<Owner, Member, RuleType>&) {
  return !kIsOptional<Member>;
}

// Bit i: field i must be there.
template <typename T>
inline constexpr uint64_t kRequired = [] {
  static_assert(kFieldCount<T> < 64);
  uint64_t mask = 0, bit = 1;
  ForEachField<T>([&](const auto& field) {
    if (IsRequired(field)) mask |= bit;
    bit <<= 1;
    return true;
  });
  return mask;
}();

// In the order of Data.
inline constexpr auto kTypeNames = []<size_t... I>(std::index_sequence<I...>) {
  return std::array{kLayout<std::variant_alternative_t<I, AnyData>>.label...};
}
(std::make_index_sequence<kTypes>());

}  // namespace heed::event
