#include "event/schema_judge.h"

#include <cmath>
#include <map>
#include <regex>
#include <stdexcept>

namespace heed::event {
namespace {

namespace json = boost::json;

constexpr double kInt64End = 0x1p63;
constexpr int kDeepest = 32;

bool IsIntegral(const json::value& value) {
  if (value.is_int64() || value.is_uint64()) return true;
  return value.is_double() && std::trunc(value.get_double()) == value.get_double();
}

bool HasType(const json::value& value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_bool();
  if (type == "number") return value.is_number();
  if (type == "integer") return IsIntegral(value);
  throw std::runtime_error("type " + std::string(type));
}

double Chars(std::string_view text) {
  double count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

bool IsTimeName(std::string_view name) { return name == "ts" || name.ends_with("_ts"); }

class Evaluator {
 public:
  explicit Evaluator(Judgement& out) : out_(out) {}

  void Apply(const json::value& schema, const json::value& value, const std::string& at) {
    for (const auto& [keyword, argument] : schema.as_object()) {
      if (!Keyword(keyword, argument, schema, value, at)) out_.errors.insert(at);
    }
  }

  // What the reader refuses wherever it stands.
  void Limits(const json::value& value, const std::string& at, int depth) {
    if (value.is_uint64() && value.get_uint64() > uint64_t{INT64_MAX}) out_.stated.insert(at);
    if (!value.is_structured()) return;
    if (depth > kDeepest) out_.stated.insert(at);
    if (const auto* object = value.if_object()) {
      for (const auto& [name, member] : *object) Limits(member, PointerTo(at, name), depth + 1);
    } else {
      size_t index = 0;
      for (const auto& item : value.get_array()) {
        Limits(item, PointerTo(at, std::to_string(index++)), depth + 1);
      }
    }
  }

 private:
  static bool Passes(const json::value& schema, const json::value& value) {
    Judgement judgement;
    Evaluator(judgement).Apply(schema, value, "");
    return judgement.errors.empty();
  }

  // False: the keyword refuses `value` itself. Faults below it are recorded on the way.
  bool Keyword(std::string_view keyword, const json::value& argument, const json::value& schema,
               const json::value& value, const std::string& at) {
    if (keyword == "type") return Type(argument, value, at);
    if (keyword == "const") return value == argument;
    if (keyword == "enum") return Passes(argument.as_array(), value);
    if (keyword == "properties") return Properties(argument, value, at);
    if (keyword == "required") return Required(argument, value, at);
    if (keyword == "additionalProperties") return Additional(argument, schema, value, at);
    if (keyword == "items") return Items(argument, value, at);
    if (keyword == "allOf") {
      for (const auto& part : argument.as_array()) Apply(part, value, at);
      return true;
    }
    if (keyword == "anyOf") {
      for (const auto& part : argument.as_array()) {
        if (Passes(part, value)) return true;
      }
      return false;
    }
    if (keyword == "if") {
      if (Passes(argument, value)) Apply(schema.at("then"), value, at);
      return true;
    }
    if (keyword == "then" || keyword == "description" || keyword == "title" ||
        keyword.starts_with('$')) {
      return true;
    }
    return Bound(keyword, argument, value);
  }

  static bool Passes(const json::array& choices, const json::value& value) {
    for (const auto& choice : choices) {
      if (choice == value) return true;
    }
    return false;
  }

  static bool Bound(std::string_view keyword, const json::value& argument,
                    const json::value& value) {
    if (keyword == "pattern") {
      if (!value.is_string()) return true;
      static std::map<std::string, std::regex> compiled;
      const std::string pattern(argument.as_string());
      const std::string text(value.get_string());
      return std::regex_search(text, compiled.try_emplace(pattern, pattern).first->second);
    }
    const auto limit = argument.to_number<double>();
    if (keyword == "minLength") return !value.is_string() || Chars(value.get_string()) >= limit;
    if (keyword == "maxLength") return !value.is_string() || Chars(value.get_string()) <= limit;
    if (keyword == "minItems") {
      return !value.is_array() || static_cast<double>(value.get_array().size()) >= limit;
    }
    if (keyword == "minimum") return !value.is_number() || value.to_number<double>() >= limit;
    if (keyword == "maximum") return !value.is_number() || value.to_number<double>() <= limit;
    if (keyword == "exclusiveMinimum") {
      return !value.is_number() || value.to_number<double>() > limit;
    }
    throw std::runtime_error("keyword " + std::string(keyword));
  }

  bool Type(const json::value& type, const json::value& value, const std::string& at) {
    if (!HasType(value, type.as_string())) return false;
    if (type.as_string() == "integer" && value.is_double() &&
        (value.get_double() >= kInt64End || value.get_double() < -kInt64End)) {
      out_.stated.insert(at);
    }
    return true;
  }

  bool Properties(const json::value& schemas, const json::value& value, const std::string& at) {
    if (!value.is_object()) return true;
    for (const auto& [name, schema] : schemas.as_object()) {
      const auto* member = value.get_object().if_contains(name);
      if (member == nullptr) continue;
      const std::string there = PointerTo(at, name);
      Apply(schema, *member, there);
      if (IsTimeName(name) && member->is_number()) {
        const auto time = member->to_number<double>();
        if (time < 1e11 || time > 1e14) out_.stated.insert(there);
      }
    }
    return true;
  }

  bool Required(const json::value& names, const json::value& value, const std::string& at) {
    if (!value.is_object()) return true;
    for (const auto& name : names.as_array()) {
      if (!value.get_object().contains(name.as_string())) {
        out_.errors.insert(PointerTo(at, name.as_string()));
      }
    }
    return true;
  }

  bool Additional(const json::value& allowed, const json::value& schema, const json::value& value,
                  const std::string& at) {
    if (allowed.as_bool() || !value.is_object()) return true;
    for (const auto& [name, member] : value.get_object()) {
      if (!schema.at("properties").as_object().contains(name)) {
        out_.errors.insert(PointerTo(at, name));
      }
    }
    return true;
  }

  bool Items(const json::value& schema, const json::value& value, const std::string& at) {
    if (!value.is_array()) return true;
    size_t index = 0;
    for (const auto& item : value.get_array()) {
      Apply(schema, item, PointerTo(at, std::to_string(index++)));
    }
    return true;
  }

  Judgement& out_;
};

}  // namespace

std::string PointerTo(const std::string& parent, std::string_view member) {
  std::string pointer = parent + "/";
  for (const char c : member) {
    pointer += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  }
  return pointer;
}

Judgement Judge(const json::value& schema, const json::value& event) {
  Judgement judgement;
  Evaluator evaluator(judgement);
  evaluator.Apply(schema, event, "");
  evaluator.Limits(event, "", 1);
  return judgement;
}

}  // namespace heed::event
