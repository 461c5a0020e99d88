// The ear beside the packs: a classifier that has read sentences with and without violations and hears one
// where no term is met. It warns and never blocks: it names no article, only the words it heard.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/classifier.h"
#include "text/lint.h"

namespace heed::text {

// Immutable and thread-safe.
class LintModel {
 public:
  // A text classifier with the classes "neutral" and "violation" (examples/recipes/lint-lines.toml).
  static Result<std::unique_ptr<LintModel>> Load(const std::string& path);
  // The file's bytes; `name` stands for it in errors.
  static Result<std::unique_ptr<LintModel>> Parse(std::string_view bytes, const std::string& name);

  // Adds a hit of rule "heard" to those of a Linter when they are none and the text sounds like a violation:
  // pack "model", version the file's checksum, the bytes the words that speak most for it.
  void Check(std::string_view text, std::vector<LintHit>* hits) const;
  float Violation(std::string_view text) const;  // probability

  // Chosen on the topics of lint_valid.tsv: .03 of their neutral lines are above it.
  static constexpr float kThreshold = 0.74f;

 private:
  LintModel(std::unique_ptr<Classifier> classifier, size_t label, std::string version)
      : classifier_(std::move(classifier)), label_(label), version_(std::move(version)) {}

  std::unique_ptr<Classifier> classifier_;
  size_t label_;  // of "violation"
  std::string version_;
};

}  // namespace heed::text
