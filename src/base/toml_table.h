// Reading a TOML file so that every mistake in it is reported as "file:line: ...": wrong types, wrong
// values, and keys that nobody asked for (with the nearest one that somebody did).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace heed {

// A view of one table. Readers return a default and keep the first error of the whole file, so code
// reads straight through and checks once, with Finish(). Not thread-safe.
class TomlTable {
 public:
  static Result<TomlTable> Parse(std::string_view text, const std::string& file_name);
  static Result<TomlTable> ReadFile(const std::string& path);

  bool Has(const std::string& key) const;
  std::vector<std::string> Keys() const;  // marks all as known: for tables keyed by free names

  std::string String(const std::string& key, const std::string& otherwise) const;
  std::string RequiredString(const std::string& key) const;
  double Number(const std::string& key, double otherwise) const;  // integers are numbers too
  // Within [low, high], else an error.
  double Number(const std::string& key, double otherwise, double low, double high) const;
  uint32_t Count(const std::string& key, uint32_t otherwise, uint32_t low = 0,
                 uint32_t high = 0xFFFFFFFFu) const;
  uint64_t Count64(const std::string& key, uint64_t otherwise) const;
  bool Flag(const std::string& key, bool otherwise) const;
  // One of `choices`; the index. Without the key, `otherwise`.
  size_t Choice(const std::string& key, const std::vector<std::string>& choices,
                size_t otherwise) const;
  // A single string is read as a list of one.
  std::vector<std::string> Strings(const std::string& key) const;
  std::vector<double> Numbers(const std::string& key) const;  // likewise
  // Any scalar as the text it would have in a CSV file.
  std::string Text(const std::string& key) const;

  TomlTable Table(const std::string& key) const;                // empty when absent
  std::vector<TomlTable> Tables(const std::string& key) const;  // [[key]]; empty when absent

  // Records an error about `key` ("" is the table itself) unless there was one before.
  void Fail(const std::string& key, const std::string& what) const;
  std::string Where(const std::string& key) const;  // "file:line"
  // The first error met by any reader of this file, or the first unknown key.
  Status Finish() const;
  Status error() const;  // likewise, without looking for unknown keys

 private:
  struct Node;
  explicit TomlTable(std::shared_ptr<Node> node) : node_(std::move(node)) {}
  std::shared_ptr<Node> node_;
};

}  // namespace heed
