#include "base/toml_table.h"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>
#include <toml.hpp>

#include "base/suggest.h"

namespace heed {
namespace {

// TOML is UTF-8, and toml11 3.7 reads past the end of some files that are not. Line by line, for the message:
// no byte of a longer sequence is a line's end.
Status CheckUtf8(std::string_view text, const std::string& file_name) {
  for (size_t line = 1; !text.empty(); ++line) {
    const size_t length = std::min(text.size(), text.find('\n'));
    if (!simdjson::validate_utf8(text.data(), length)) {
      return InvalidArgument(file_name + ":" + std::to_string(line) + ": not valid UTF-8");
    }
    text.remove_prefix(std::min(text.size(), length + 1));
  }
  return {};
}

// toml11 descends once for each bracket and takes the cube of a dotted key's parts: a few kilobytes of either
// would end the process or keep it for minutes. Nobody's configuration is 64 deep.
Status CheckDepth(std::string_view text, const std::string& file_name) {
  constexpr size_t kDeepest = 64;
  size_t line = 1, brackets = 0, dots = 0;
  const auto starts = [&](size_t at, std::string_view what) {
    return text.substr(at, what.size()) == what;
  };
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '\n') ++line;
    if (c == '"' || c == '\'') {  // to the string's end; an open one is the parser's to report
      const std::string_view quotes = text.substr(at, starts(at, std::string(3, c)) ? 3 : 1);
      for (at += quotes.size(); at < text.size() && !starts(at, quotes); ++at) {
        if (c == '"' && text[at] == '\\') ++at;
        if (at < text.size() && text[at] == '\n') {
          ++line;
          if (quotes.size() == 1) break;
        }
      }
      if (at < text.size() && text[at] == c) at += quotes.size() - 1;
    } else if (c == '#') {
      at = std::min(text.size(), text.find('\n', at)) - 1;
    } else if (c == '[' || c == '{') {
      ++brackets;
    } else if (c == ']' || c == '}') {
      brackets -= std::min<size_t>(brackets, 1);
    } else if (c == '.') {
      ++dots;
    }
    if (std::string_view("=,[{\n").find(c) != std::string_view::npos) dots = 0;
    if (brackets > kDeepest || dots > kDeepest) {
      return InvalidArgument(file_name + ":" + std::to_string(line) + ": nested more than " +
                             std::to_string(kDeepest) + " deep");
    }
  }
  return {};
}

}  // namespace

struct TomlTable::Node {
  toml::value value;
  std::string file;
  std::shared_ptr<Status> error;  // of the whole file
  std::set<std::string> asked;
  std::vector<std::shared_ptr<Node>> children;

  const toml::value* Find(const std::string& key) {
    asked.insert(key);
    if (!value.is_table()) return nullptr;
    const auto& table = value.as_table();
    const auto found = table.find(key);
    return found == table.end() ? nullptr : &found->second;
  }
  std::string WhereIs(const toml::value& at) const {
    return file + ":" + std::to_string(at.location().line());
  }
  void Fail(const toml::value& at, const std::string& key, const std::string& what) const {
    if (error->ok()) *error = InvalidArgument(WhereIs(at) + ": " + what, key);
  }
  std::shared_ptr<Node> Child(toml::value child) {
    auto node = std::make_shared<Node>();
    node->value = std::move(child);
    node->file = file;
    node->error = error;
    children.push_back(node);
    return node;
  }
  void FindUnknown() const {
    if (value.is_table()) {
      // In the order of the file: an unordered map would name another key on another day.
      const std::pair<const std::string, toml::value>* first = nullptr;
      for (const auto& entry : value.as_table()) {
        if (asked.contains(entry.first)) continue;
        if (first == nullptr || entry.second.location().line() < first->second.location().line()) {
          first = &entry;
        }
      }
      if (first != nullptr) {
        Fail(first->second, first->first,
             "unknown key '" + first->first + "'" +
                 Suggestion(first->first, {asked.begin(), asked.end()}));
      }
    }
    for (const auto& child : children) child->FindUnknown();
  }
};

Result<TomlTable> TomlTable::Parse(std::string_view text, const std::string& file_name) {
  HEED_RETURN_IF_ERROR(CheckUtf8(text, file_name));
  HEED_RETURN_IF_ERROR(CheckDepth(text, file_name));
  std::istringstream in{std::string(text)};
  auto node = std::make_shared<Node>();
  node->file = file_name;
  node->error = std::make_shared<Status>();
  try {  // the library reports by exception; it stops here
    node->value = toml::parse(in, file_name);
  } catch (const toml::exception& e) {
    std::string first_line = e.what();
    first_line.resize(std::min(first_line.size(), first_line.find('\n')));
    return InvalidArgument(file_name + ":" + std::to_string(e.location().line()) + ": " +
                           first_line);
  } catch (const std::exception& e) {
    return InvalidArgument(file_name + ": " + e.what());
  }
  return TomlTable(std::move(node));
}

Result<TomlTable> TomlTable::ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return NotFound(path + ": cannot be opened");
  std::ostringstream text;
  text << in.rdbuf();
  return Parse(text.str(), path);
}

bool TomlTable::Has(const std::string& key) const { return node_->Find(key) != nullptr; }

std::vector<std::string> TomlTable::Keys() const {
  std::vector<std::string> keys;
  if (!node_->value.is_table()) return keys;
  for (const auto& [key, value] : node_->value.as_table()) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  node_->asked.insert(keys.begin(), keys.end());
  return keys;
}

std::string TomlTable::String(const std::string& key, const std::string& otherwise) const {
  const toml::value* value = node_->Find(key);
  if (value == nullptr) return otherwise;
  if (value->is_string()) return value->as_string().str;
  node_->Fail(*value, key, "'" + key + "' must be a string");
  return otherwise;
}

std::string TomlTable::RequiredString(const std::string& key) const {
  if (!Has(key)) Fail("", "'" + key + "' is missing");
  return String(key, "");
}

double TomlTable::Number(const std::string& key, double otherwise) const {
  const toml::value* value = node_->Find(key);
  if (value == nullptr) return otherwise;
  double number = otherwise;
  if (value->is_floating()) number = value->as_floating();
  if (value->is_integer()) number = static_cast<double>(value->as_integer());
  if (!(value->is_floating() || value->is_integer()) || !std::isfinite(number)) {
    node_->Fail(*value, key, "'" + key + "' must be a number");
    return otherwise;
  }
  return number;
}

double TomlTable::Number(const std::string& key, double otherwise, double low, double high) const {
  const double number = Number(key, otherwise);
  if (number >= low && number <= high) return number;
  std::ostringstream what;
  what << "'" << key << "' is " << number << ", not within [" << low << ", " << high << "]";
  Fail(key, what.str());
  return otherwise;
}

uint64_t TomlTable::Count64(const std::string& key, uint64_t otherwise) const {
  const toml::value* value = node_->Find(key);
  if (value == nullptr) return otherwise;
  if (value->is_integer() && value->as_integer() >= 0) {
    return static_cast<uint64_t>(value->as_integer());
  }
  node_->Fail(*value, key, "'" + key + "' must be a whole number, 0 or more");
  return otherwise;
}

uint32_t TomlTable::Count(const std::string& key, uint32_t otherwise, uint32_t low,
                          uint32_t high) const {
  const uint64_t count = Count64(key, otherwise);
  if (count >= low && count <= high) return static_cast<uint32_t>(count);
  Fail(key, "'" + key + "' is " + std::to_string(count) + ", not within [" + std::to_string(low) +
                ", " + std::to_string(high) + "]");
  return otherwise;
}

bool TomlTable::Flag(const std::string& key, bool otherwise) const {
  const toml::value* value = node_->Find(key);
  if (value == nullptr) return otherwise;
  if (value->is_boolean()) return value->as_boolean();
  node_->Fail(*value, key, "'" + key + "' must be true or false");
  return otherwise;
}

size_t TomlTable::Choice(const std::string& key, const std::vector<std::string>& choices,
                         size_t otherwise) const {
  if (!Has(key)) return otherwise;
  const std::string text = String(key, "");
  std::string all;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (choices[i] == text) return i;
    all += (i == 0 ? "" : ", ") + choices[i];
  }
  Fail(key,
       "'" + text + "' is not a known " + key + Suggestion(text, choices) + "; known are: " + all);
  return otherwise;
}

std::vector<std::string> TomlTable::Strings(const std::string& key) const {
  const toml::value* value = node_->Find(key);
  std::vector<std::string> out;
  if (value == nullptr) return out;
  if (value->is_string()) return {value->as_string().str};
  if (value->is_array()) {
    for (const toml::value& element : value->as_array()) {
      if (!element.is_string()) break;
      out.push_back(element.as_string().str);
    }
    if (out.size() == value->as_array().size()) return out;
  }
  node_->Fail(*value, key, "'" + key + "' must be a list of strings");
  return {};
}

std::vector<double> TomlTable::Numbers(const std::string& key) const {
  const toml::value* value = node_->Find(key);
  std::vector<double> out;
  if (value == nullptr) return out;
  const auto take = [&](const toml::value& element) {
    if (element.is_floating()) out.push_back(element.as_floating());
    if (element.is_integer()) out.push_back(static_cast<double>(element.as_integer()));
  };
  size_t expected = 1;
  if (value->is_array()) {
    expected = value->as_array().size();
    for (const toml::value& element : value->as_array()) take(element);
  } else {
    take(*value);
  }
  if (out.size() == expected) return out;
  node_->Fail(*value, key, "'" + key + "' must be a list of numbers");
  return {};
}

std::string TomlTable::Text(const std::string& key) const {
  const toml::value* value = node_->Find(key);
  if (value == nullptr) return "";
  if (value->is_string()) return value->as_string().str;
  if (value->is_integer()) return std::to_string(value->as_integer());
  if (value->is_boolean()) return value->as_boolean() ? "1" : "0";
  if (value->is_floating()) {
    std::ostringstream text;
    text << value->as_floating();
    return text.str();
  }
  node_->Fail(*value, key, "'" + key + "' must be text or a number");
  return "";
}

TomlTable TomlTable::Table(const std::string& key) const {
  const toml::value* value = node_->Find(key);
  if (value != nullptr && !value->is_table()) {
    node_->Fail(*value, key, "'" + key + "' must be a table");
    value = nullptr;
  }
  return TomlTable(node_->Child(value == nullptr ? toml::value(toml::table{}) : *value));
}

std::vector<TomlTable> TomlTable::Tables(const std::string& key) const {
  const toml::value* value = node_->Find(key);
  std::vector<TomlTable> out;
  if (value == nullptr) return out;
  if (value->is_array()) {
    for (const toml::value& element : value->as_array()) {
      if (!element.is_table()) break;
      out.push_back(TomlTable(node_->Child(element)));
    }
    if (out.size() == value->as_array().size()) return out;
  }
  node_->Fail(*value, key, "'" + key + "' must be tables: [[" + key + "]]");
  return {};
}

void TomlTable::Fail(const std::string& key, const std::string& what) const {
  const toml::value* value = key.empty() ? nullptr : node_->Find(key);
  node_->Fail(value == nullptr ? node_->value : *value, key, what);
}

std::string TomlTable::Where(const std::string& key) const {
  const toml::value* value = node_->Find(key);
  return node_->WhereIs(value == nullptr ? node_->value : *value);
}

Status TomlTable::Finish() const {
  node_->FindUnknown();
  return *node_->error;
}

Status TomlTable::error() const { return *node_->error; }

}  // namespace heed
