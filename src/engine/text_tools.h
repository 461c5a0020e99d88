// What reads texts: the analyzer, the meaning of questions, the compliance packs. From the files that the
// configuration names, else from what is part of the program.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "heed/engine.h"

#include "base/status.h"
#include "text/analyzer.h"
#include "text/lint.h"
#include "text/lint_model.h"
#include "text/questions.h"
#include "text/segmenter.h"

namespace heed::engine {

// Thread-safe.
class TextTools {
 public:
  // Errors name the option, the file and, where there is one, the line.
  static Result<std::unique_ptr<TextTools>> Load(const TextOptions& options);

  const text::Analyzer& analyzer() const { return *analyzer_; }
  const std::shared_ptr<const text::WordLists>& word_lists() const { return word_lists_; }
  const std::shared_ptr<const text::QuestionMeaning>& meaning() const { return meaning_; }
  // Null: none.
  const std::shared_ptr<const text::Dictionary>& dictionary() const { return dictionary_; }

  // By the packs in force at `now_ms`; with `listen`, by the model too where they find nothing: for what a
  // host says or writes.
  std::vector<text::LintHit> Lint(std::string_view text, int64_t now_ms, bool listen,
                                  std::span<const text::LintEvidence> evidence = {}) const;
  // Reads the packs again when their files have changed. What cannot be read is told to the log, once, and
  // the packs before stay in force.
  void RefreshPacks();

 private:
  TextTools() = default;

  std::shared_ptr<const text::WordLists> word_lists_;
  std::unique_ptr<text::Analyzer> analyzer_;
  std::shared_ptr<const text::QuestionMeaning> meaning_;
  std::shared_ptr<const text::Dictionary> dictionary_;
  std::unique_ptr<text::LintPacks> packs_;
  std::unique_ptr<text::LintModel> lint_model_;
};

}  // namespace heed::engine
