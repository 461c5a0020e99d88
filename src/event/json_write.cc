#include <type_traits>

#include "event/json.h"
#include "event/json_text.h"
#include "event/layout.h"

namespace heed::event {
namespace {

void Write(const std::string& value, std::string& out) { AppendString(value, out); }
void Write(int64_t value, std::string& out) { AppendInteger(value, out); }
void Write(double value, std::string& out) { AppendNumber(value, out); }
void Write(bool value, std::string& out) { out += value ? "true" : "false"; }
void Write(const RawJson& value, std::string& out) { out += value.text; }

template <typename T>
void WriteMembers(const T& object, std::string& out);

template <typename T>
void Write(const T& value, std::string& out) {
  if constexpr (std::is_enum_v<T>) {
    AppendString(kNames<T>[static_cast<size_t>(value)], out);
  } else {
    out += '{';
    WriteMembers(value, out);
    out += '}';
  }
}

template <typename T>
void Write(const std::vector<T>& items, std::string& out) {
  out += '[';
  bool first = true;
  for (const T& item : items) {
    if (!first) out += ',';
    first = false;
    Write(item, out);
  }
  out += ']';
}

template <typename Member>
void WriteMember(std::string_view name, const Member& value, std::string& out) {
  if constexpr (kIsOptional<Member>) {
    if (value) WriteMember(name, *value, out);
  } else {
    if (out.back() != '{') out += ',';
    out += '"';
    out += name;  // names of the schema need no escapes
    out += "\":";
    Write(value, out);
  }
}

template <typename T>
void WriteMembers(const T& object, std::string& out) {
  ForEachField<T>([&](const auto& field) {
    WriteMember(field.name, object.*field.member, out);
    return true;
  });
  if constexpr (requires { object.extra; }) {
    const std::string_view extra = object.extra.text;
    if (extra.empty()) return;
    if (out.back() != '{') out += ',';
    out += extra.substr(1, extra.size() - 2);
  }
}

}  // namespace

std::string ToJson(const Event& event) {
  std::string out = R"({"v":"1")";
  ForEachField<Event>([&](const auto& field) {
    WriteMember(field.name, event.*field.member, out);
    if (field.name == "id") {
      out += R"(,"type":)";
      AppendString(TypeName(event.data), out);
    }
    return true;
  });
  out += R"(,"data":)";
  std::visit(
      [&]<typename T>(const T& data) {
        if constexpr (std::is_same_v<T, Extension>) {
          out += data.data.text;
        } else {
          Write(data, out);
        }
      },
      event.data);
  out += '}';
  return out;
}

std::string_view TypeName(const Data& data) {
  if (const auto* extension = std::get_if<Extension>(&data)) return extension->type;
  return kTypeNames[data.index()];
}

}  // namespace heed::event
