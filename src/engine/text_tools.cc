#include "engine/text_tools.h"

#include <string>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "engine/builtin_text.h"
#include "text/labelled_comments.h"

namespace heed::engine {
namespace {

// The file's bytes, or those that stand for no file.
Result<std::string> Bytes(const std::string& path, std::string_view builtin) {
  if (path.empty()) return std::string(builtin);
  return ReadWholeFile(path);
}

Result<std::unique_ptr<text::Classifier>> ReadModel(const char* option, const std::string& path,
                                                    std::string_view builtin) {
  HEED_ASSIGN_OR_RETURN(const std::string bytes, Bytes(path, builtin));
  if (bytes.empty()) return std::unique_ptr<text::Classifier>();
  auto model = text::Classifier::Parse(bytes);
  if (!model.ok()) return model.status().Within(std::string("text.") + option + ": " + path);
  return model;
}

}  // namespace

Result<std::unique_ptr<TextTools>> TextTools::Load(const TextOptions& options) {
  const BuiltinText& builtin = Builtin();
  auto tools = std::unique_ptr<TextTools>(new TextTools);
  HEED_ASSIGN_OR_RETURN(const std::string lists, Bytes(options.word_lists, builtin.word_lists));
  HEED_ASSIGN_OR_RETURN(
      tools->word_lists_,
      text::WordLists::Parse(lists,
                             options.word_lists.empty() ? "word_lists.toml" : options.word_lists));
  text::AnalyzerParts parts{.word_lists = tools->word_lists_};
  HEED_ASSIGN_OR_RETURN(parts.intent,
                        ReadModel("intent_model", options.intent_model, builtin.intent_model));
  HEED_ASSIGN_OR_RETURN(parts.sentiment, ReadModel("sentiment_model", options.sentiment_model,
                                                   builtin.sentiment_model));
  HEED_ASSIGN_OR_RETURN(parts.offence, ReadModel("offence_model", options.offence_model, ""));
  auto analyzer = text::Analyzer::Make(std::move(parts));
  if (!analyzer.ok()) return analyzer.status().Within("text", "text.");
  tools->analyzer_ = std::move(analyzer).value();

  // How common an n-gram is in comments: by those that taught the models.
  HEED_ASSIGN_OR_RETURN(const std::vector<text::LabelledComment> comments,
                        text::ParseLabelledComments(builtin.comments, "comments_train.tsv"));
  std::vector<std::string> background;
  background.reserve(comments.size());
  for (const text::LabelledComment& comment : comments) background.push_back(comment.text);
  tools->meaning_ = std::make_shared<const text::QuestionMeaning>(tools->word_lists_, background);
  if (!options.dictionary.empty()) {
    HEED_ASSIGN_OR_RETURN(tools->dictionary_, text::Dictionary::ReadFile(options.dictionary));
  }

  if (options.packs.empty()) {
    std::vector<text::Linter::Source> sources;
    for (const BuiltinText::Pack& pack : builtin.packs) {
      sources.push_back({std::string(pack.name), std::string(pack.toml)});
    }
    HEED_ASSIGN_OR_RETURN(tools->packs_, text::LintPacks::Of(sources));
  } else {
    HEED_ASSIGN_OR_RETURN(tools->packs_, text::LintPacks::Open(options.packs));
  }
  HEED_ASSIGN_OR_RETURN(const std::string lint, Bytes(options.lint_model, builtin.lint_model));
  HEED_ASSIGN_OR_RETURN(tools->lint_model_,
                        text::LintModel::Parse(lint, "text.lint_model: " + options.lint_model));
  tools->RefreshPacks();  // what is there now is what later changes are told from
  return tools;
}

std::vector<text::LintHit> TextTools::Lint(std::string_view text, int64_t now_ms, bool listen,
                                           std::span<const text::LintEvidence> evidence) const {
  std::vector<text::LintHit> hits = packs_->current()->Check(text, now_ms, evidence);
  if (listen) lint_model_->Check(text, &hits);
  return hits;
}

void TextTools::RefreshPacks() {
  const Result<bool> read = packs_->Refresh();
  if (!read.ok()) {
    LogError("compliance packs stay as they were: {}", read.status().ToString());
  } else if (read.value()) {
    LogInfo("compliance packs: {} rules in force", packs_->current()->rules());
  }
}

}  // namespace heed::engine
