// What the law forbids to say in a live room, found in speech, hints, cards and lottery terms. The rules
// are packs of data (TOML, docs/compliance.md) with a version and dates; this is the machine that reads
// them. No legal advice. How terms are spelt: text/terms.h.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace heed::text {

// A fact that the caller can show, such as real stock: a rule that names its kind lets the hit pass.
struct LintEvidence {
  std::string kind;  // "stock", "price_history", "ranking", ...
  std::string id;    // of the record that shows it
};

struct LintHit {
  std::string pack, version, rule;  // of the pack that said so
  std::string severity;             // "block", "warn"
  std::string basis;                // article
  uint32_t begin = 0, end = 0;      // bytes of the text
  std::string allowed_by;           // id of the evidence that lets it pass; empty: a violation
};

// Immutable and thread-safe.
class Linter {
 public:
  struct Source {
    std::string name;  // for messages: "cn-advertising.toml"
    std::string toml;
  };
  // Errors are "name:line: ...": a pack is read whole or not at all.
  static Result<std::shared_ptr<const Linter>> Parse(std::span<const Source> packs);
  ~Linter();

  // Hits by place; hits of one rule that overlap are one. Of packs in force at `now_ms`. Any bytes; what
  // follows the first million characters is not read. O(n log n) in the characters.
  std::vector<LintHit> Check(std::string_view text, int64_t now_ms,
                             std::span<const LintEvidence> evidence = {}) const;

  size_t rules() const;

 private:
  struct Rules;
  explicit Linter(std::unique_ptr<const Rules> rules);
  std::unique_ptr<const Rules> rules_;
};

// The packs of a folder (*.toml), read again when asked. Thread-safe.
class LintPacks {
 public:
  static Result<std::unique_ptr<LintPacks>> Open(const std::string& folder);
  // Of no folder: Reload and Refresh change nothing.
  static Result<std::unique_ptr<LintPacks>> Of(std::span<const Linter::Source> packs);

  std::shared_ptr<const Linter> current() const;
  // After an error the packs read before stay in force.
  Status Reload();
  // Reload when a pack has come, gone or changed since they were looked at last. True: they were read anew.
  Result<bool> Refresh();

 private:
  explicit LintPacks(std::string folder) : folder_(std::move(folder)) {}
  Result<std::vector<std::string>> Paths() const;

  const std::string folder_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Linter> current_;
  std::string stamp_;  // names, sizes and times of the files as of the last Refresh
};

}  // namespace heed::text
