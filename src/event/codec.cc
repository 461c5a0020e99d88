#include "event/codec.h"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "base/bytes.h"
#include "event/check.h"
#include "event/json_text.h"
#include "event/layout.h"

namespace heed::event {
namespace {

constexpr uint8_t kVersion = 1;
// Far from the others, so that a new type goes before Extension and takes the next index.
constexpr uint8_t kExtensionCode = 255;
static_assert(kTypes < kExtensionCode);
constexpr int kDataDepth = 2;

// Bit 0 of an object's presence word says that extra members follow; bit 1 + i is the i-th optional.
constexpr uint64_t kExtraBit = 1;

template <typename T>
constexpr bool kHasExtra = requires(T object) {
  object.extra;
};

template <typename T>
constexpr uint64_t kPresenceMask = [] {
  uint64_t mask = kHasExtra<T> ? kExtraBit : 0, bit = kExtraBit << 1;
  ForEachField<T>([&](const auto& field) {
    if (!IsRequired(field)) mask |= bit, bit <<= 1;
    return true;
  });
  return mask;
}();

// ---- Encode

template <typename T>
void PutObject(const T& object, ByteWriter& out);

void Put(const std::string& value, ByteWriter& out) { out.String(value); }
void Put(int64_t value, ByteWriter& out) { out.Varint(static_cast<uint64_t>(value)); }
void Put(double value, ByteWriter& out) { out.Fixed(value); }
void Put(bool value, ByteWriter& out) { out.Fixed(static_cast<uint8_t>(value ? 1 : 0)); }
void Put(const RawJson& value, ByteWriter& out) { out.String(value.text); }

template <typename T>
void Put(const T& value, ByteWriter& out) {
  if constexpr (std::is_enum_v<T>) {
    out.Fixed(static_cast<uint8_t>(value));
  } else {
    PutObject(value, out);
  }
}

template <typename T>
void Put(const std::vector<T>& items, ByteWriter& out) {
  out.Varint(items.size());
  for (const T& item : items) Put(item, out);
}

template <typename T>
uint64_t PresenceOf(const T& object) {
  uint64_t presence = 0, bit = kExtraBit << 1;
  if constexpr (kHasExtra<T>) presence = object.extra.text.empty() ? 0 : kExtraBit;
  ForEachField<T>([&]<typename Member, typename R>(const Field<T, Member, R>& field) {
    if constexpr (kIsOptional<Member>) {
      if (object.*field.member) presence |= bit;
      bit <<= 1;
    }
    return true;
  });
  return presence;
}

template <typename T>
void PutObject(const T& object, ByteWriter& out) {
  out.Varint(PresenceOf(object));
  ForEachField<T>([&]<typename Member, typename R>(const Field<T, Member, R>& field) {
    const Member& value = object.*field.member;
    if constexpr (kIsOptional<Member>) {
      if (value) Put(*value, out);
    } else {
      Put(value, out);
    }
    return true;
  });
  if constexpr (kHasExtra<T>) {
    if (!object.extra.text.empty()) out.String(object.extra.text);
  }
}

void PutObject(const Extension& extension, ByteWriter& out) {
  out.String(extension.type);
  out.String(extension.data.text);
}

// ---- Decode. Every Get leaves `in` failed, or has checked the value; `depth` is the JSON nesting
// level the value would stand at, which bounds what raw JSON may hold.

struct Decoder {
  ByteReader in;
  Fault fault;
};

MinifiedChecker& Checker() {
  // Only events with raw JSON come here; one parser a thread, since Decode has no object to keep it.
  thread_local MinifiedChecker checker;
  return checker;
}

bool Truncated(Fault& fault) {
  return fault.Say("truncated, or a number in a longer form than needed");
}

bool GetText(Decoder& decoder, std::string& out) {
  const std::string_view text = decoder.in.String();
  if (!decoder.in.ok()) return Truncated(decoder.fault);
  if (!simdjson::validate_utf8(text.data(), text.size())) return decoder.fault.Say("not UTF-8");
  out.assign(text);
  return true;
}

bool Get(Decoder& decoder, const Text& rule, int /*depth*/, std::string& out) {
  return GetText(decoder, out) && Check(rule, out, decoder.fault);
}

bool Get(Decoder& decoder, const Integer& rule, int /*depth*/, int64_t& out) {
  const uint64_t value = decoder.in.Varint();
  if (!decoder.in.ok()) return Truncated(decoder.fault);
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return decoder.fault.Say("an integer beyond 63 bits");
  }
  out = static_cast<int64_t>(value);
  return Check(rule, out, decoder.fault);
}

bool Get(Decoder& decoder, const Number& rule, int /*depth*/, double& out) {
  out = decoder.in.Fixed<double>();
  if (!decoder.in.ok()) return Truncated(decoder.fault);
  if (!std::isfinite(out)) return decoder.fault.Say("a number that is not finite");
  return Check(rule, out, decoder.fault);
}

bool Get(Decoder& decoder, const Flag&, int /*depth*/, bool& out) {
  const auto value = decoder.in.Fixed<uint8_t>();
  if (!decoder.in.ok()) return Truncated(decoder.fault);
  out = value == 1;
  return value <= 1 || decoder.fault.Say("a flag that is neither 0 nor 1");
}

bool Get(Decoder& decoder, const Json& rule, int depth, RawJson& out) {
  return GetText(decoder, out.text) && Checker().Check(out.text, rule, depth, decoder.fault);
}

template <typename E>
requires(std::is_enum_v<E>) bool Get(Decoder& decoder, const Choice&, int /*depth*/, E& out) {
  const auto value = decoder.in.Fixed<uint8_t>();
  if (!decoder.in.ok()) return Truncated(decoder.fault);
  if (value >= kNames<E>.size()) return decoder.fault.Say("a choice beyond the list");
  out = static_cast<E>(value);
  return true;
}

template <typename T>
bool GetObject(Decoder& decoder, int depth, T& out);

template <typename T>
bool Get(Decoder& decoder, const Nested&, int depth, T& out) {
  return GetObject(decoder, depth, out);
}

template <typename T, typename Item>
bool Get(Decoder& decoder, const List<Item>& rule, int depth, std::vector<T>& out) {
  const uint64_t count = decoder.in.Varint();
  // An item is a byte at least, so a count of more is a lie; nothing is reserved on its word.
  if (!decoder.in.ok() || count > decoder.in.remaining()) return Truncated(decoder.fault);
  for (uint64_t i = 0; i < count; ++i) {
    if (!Get(decoder, rule.item, depth + 1, out.emplace_back())) return decoder.fault.Under(i);
  }
  return CheckItems(rule.min_items, out.size(), decoder.fault);
}

template <typename T>
bool GetObject(Decoder& decoder, int depth, T& out) {
  const uint64_t presence = decoder.in.Varint();
  if (!decoder.in.ok()) return Truncated(decoder.fault);
  if ((presence & ~kPresenceMask<T>) != 0) {
    return decoder.fault.Say("a member that this version does not know");
  }
  uint64_t bit = kExtraBit << 1;
  const bool ok =
      ForEachField<T>([&]<typename Member, typename R>(const Field<T, Member, R>& field) {
        Member& member = out.*field.member;
        bool got = true;
        if constexpr (kIsOptional<Member>) {
          if ((presence & bit) != 0) got = Get(decoder, field.rule, depth + 1, member.emplace());
          bit <<= 1;
        } else {
          got = Get(decoder, field.rule, depth + 1, member);
        }
        return got || decoder.fault.Under(field.name);
      });
  if (!ok) return false;
  if constexpr (kHasExtra<T>) {
    if ((presence & kExtraBit) == 0) return true;
    return GetText(decoder, out.extra.text) &&
           Checker().CheckExtra(out.extra.text, kFieldNames<T>, depth, decoder.fault);
  }
  return true;
}

bool GetExtension(Decoder& decoder, Extension& out) {
  if (!GetText(decoder, out.type)) return false;
  if (!IsExtensionType(out.type)) return decoder.fault.Say("not an extension type");
  return Get(decoder, kObject, kDataDepth, out.data);
}

template <size_t I>
bool GetDataAs(Decoder& decoder, Data& out) {
  auto& data = out.emplace<I>();
  if constexpr (I == kTypes) {
    return GetExtension(decoder, data);
  } else {
    return GetObject(decoder, kDataDepth, data);
  }
}

bool GetEvent(Decoder& decoder, Event& event) {
  static constexpr auto kGetters = []<size_t... I>(std::index_sequence<I...>) {
    return std::array{&GetDataAs<I>...};
  }
  (std::make_index_sequence<kTypes + 1>());
  const auto version = decoder.in.Fixed<uint8_t>();
  const auto type = decoder.in.Fixed<uint8_t>();
  if (!decoder.in.ok()) return Truncated(decoder.fault);
  if (version != kVersion) {
    return decoder.fault.Say("format version " + std::to_string(version) + " is not known here");
  }
  if (type >= kTypes && type != kExtensionCode) {
    return decoder.fault.Say("event type " + std::to_string(type) + " is not known here");
  }
  if (!GetObject(decoder, 1, event)) return false;
  if (!kGetters[std::min<size_t>(type, kTypes)](decoder, event.data))
    return decoder.fault.Under("data");
  if (decoder.in.remaining() != 0) return decoder.fault.Say("bytes after the end of the event");
  return true;
}

}  // namespace

void Encode(const Event& event, std::string& out) {
  ByteWriter writer(out);
  writer.Fixed(kVersion);
  const size_t index = event.data.index();
  writer.Fixed(index < kTypes ? static_cast<uint8_t>(index) : kExtensionCode);
  PutObject(event, writer);
  std::visit([&](const auto& data) { PutObject(data, writer); }, event.data);
}

Result<Event> Decode(std::string_view bytes) {
  Decoder decoder{ByteReader(bytes), {}};
  Event event;
  if (!GetEvent(decoder, event)) return decoder.fault.ToStatus(Code::kCorruption);
  return event;
}

}  // namespace heed::event
