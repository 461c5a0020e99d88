// What a comment wants, how it feels, whether it insults, and which words say so: word lists and
// classifiers (docs/text.md).
//
// A model is any text classifier whose classes have the names below; one trained with `word_lists` in its
// recipe is recognised by itself. Without a model the word lists alone answer.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/classifier.h"
#include "text/word_lists.h"

namespace heed::text {

struct AnalyzerFiles {
  std::string word_lists;
  // question, price, size, stock, shipping, purchase, praise, complaint, chat, spam
  std::string intent_model;
  std::string sentiment_model;  // negative, neutral, positive; the neutral one may be missing
  std::string offence_model;    // offensive and another
};

// The same, read already.
struct AnalyzerParts {
  std::shared_ptr<const WordLists> word_lists;
  std::unique_ptr<Classifier> intent, sentiment, offence;  // null: the lists alone
};

// A piece of the text and what it did for the label given.
struct Reason {
  std::string words;            // an n-gram, or the name of a word list in brackets
  uint32_t begin = 0, end = 0;  // bytes of the text
  float weight = 0;             // attention; over all pieces the weights sum to 1
  float contribution = 0;       // to the label's scaled logit, against the mean of all labels
};

// An intent that asks something: question, price, size, stock, shipping.
bool Asks(std::string_view intent);

struct TextLabel {
  std::string name;
  float probability = 0;
  std::vector<Reason> reasons;  // by falling contribution
};

struct CommentAnalysis {
  TextLabel intent, sentiment, offence;  // offence: "offensive" or "clean"
  // That the comment asks something the room can answer: the mass of the asking intents, and of
  // `purchase` where how to buy is asked.
  float asks = 0;
};

// Immutable and thread-safe.
class Analyzer {
 public:
  static Result<std::unique_ptr<Analyzer>> Load(const AnalyzerFiles& files);
  // kInvalidArgument for a class or an intent that is not one of those above.
  static Result<std::unique_ptr<Analyzer>> Make(AnalyzerParts parts);
  ~Analyzer();

  // Without reasons a model answers several times as fast.
  CommentAnalysis Analyze(std::string_view text, bool with_reasons = true) const;
  const WordLists& word_lists() const { return *lists_; }

  // A comment is a question from here on: chosen on comments_valid.tsv.
  static constexpr float kAsks = 0.35f;
  // What a rule is worth: of the comments of the rooms in comments_train.tsv and comments_valid.tsv in which
  // the list `asking` is found, the share that asks; likewise insults and offence (of eight).
  static constexpr float kAskingPrecision = 0.95f, kInsultPrecision = 0.85f;

 private:
  struct Model;
  Analyzer(std::shared_ptr<const WordLists> lists, std::unique_ptr<const Model> intent,
           std::unique_ptr<const Model> sentiment, std::unique_ptr<const Model> offence);

  std::shared_ptr<const WordLists> lists_;
  std::unique_ptr<const Model> intent_, sentiment_, offence_;  // null: by the word lists
};

}  // namespace heed::text
