#include "text/lint_model.h"

#include <algorithm>
#include <cstdio>

#include "base/checksum.h"
#include "base/file.h"

namespace heed::text {

Result<std::unique_ptr<LintModel>> LintModel::Load(const std::string& path) {
  HEED_ASSIGN_OR_RETURN(const std::string bytes, ReadWholeFile(path));
  return Parse(bytes, path);
}

Result<std::unique_ptr<LintModel>> LintModel::Parse(std::string_view bytes,
                                                    const std::string& name) {
  auto classifier = Classifier::Parse(bytes);
  if (!classifier.ok()) return classifier.status().Within(name);
  const std::vector<std::string>& labels = classifier.value()->config().labels;
  const auto label = std::find(labels.begin(), labels.end(), "violation");
  if (labels.size() != 2 || label == labels.end()) {
    return InvalidArgument(name + ": the classes of a lint model are 'neutral' and 'violation'");
  }
  char version[9];
  std::snprintf(version, sizeof version, "%08x", Crc32(bytes));
  return std::unique_ptr<LintModel>(new LintModel(
      std::move(classifier).value(), static_cast<size_t>(label - labels.begin()), version));
}

float LintModel::Violation(std::string_view text) const {
  return classifier_->Explain(text).probabilities[label_];
}

void LintModel::Check(std::string_view text, std::vector<LintHit>* hits) const {
  if (!hits->empty()) return;
  const Explanation answer = classifier_->Explain(text);
  if (answer.probabilities[label_] < kThreshold || answer.tokens.empty()) return;
  const auto speaks = [&](const Token& token) {
    return token.contributions[label_] - token.contributions[1 - label_];
  };
  const Token& best =
      *std::max_element(answer.tokens.begin(), answer.tokens.end(),
                        [&](const Token& a, const Token& b) { return speaks(a) < speaks(b); });
  // The strongest n-gram and what touches it and speaks half as loud. Tokens come by place, so one pass
  // to the right and one to the left find them.
  uint32_t begin = best.begin, end = best.end;
  const float loud = 0.5f * speaks(best);
  for (const Token& token : answer.tokens) {
    if (speaks(token) >= loud && token.begin <= end && token.begin >= begin) {
      end = std::max(end, token.end);
    }
  }
  for (auto token = answer.tokens.rbegin(); token != answer.tokens.rend(); ++token) {
    if (speaks(*token) >= loud && token->end >= begin && token->end <= end) {
      begin = std::min(begin, token->begin);
    }
  }
  hits->push_back({"model", version_, "heard", "warn", "", begin, end, ""});
}

}  // namespace heed::text
