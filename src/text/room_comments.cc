#include "text/room_comments.h"

#include <utility>

namespace heed::text {
namespace {

constexpr size_t kMaxComment = 200, kMaxSegment = 4'000;  // characters read
constexpr size_t kMaxNames = 2'000;                       // words of one room's products
constexpr size_t kLongestName = 16;                       // characters of a part of a title

bool IsLetter(char32_t c) {
  return (c >= U'a' && c <= U'z') || (c >= U'0' && c <= U'9') || c >= 0x3400;
}

float Polarity(const TextLabel& sentiment) {
  if (sentiment.name == "positive") return sentiment.probability;
  return sentiment.name == "negative" ? -sentiment.probability : 0;
}

}  // namespace

RoomComments::RoomComments(std::shared_ptr<const QuestionMeaning> meaning,
                           std::shared_ptr<const Dictionary> dictionary,
                           const RoomCommentsConfig& config)
    : dictionary_(dictionary != nullptr ? std::move(dictionary) : Dictionary::Make({})),
      segmenter_(std::make_unique<Segmenter>(dictionary_)),
      questions_(std::move(meaning), config.questions),
      stats_(config.stats) {}

void RoomComments::NameProducts(std::span<const std::string> titles) {
  std::vector<Dictionary::Word> names;
  std::vector<Character> characters;
  for (const std::string& title : titles) {
    SpellComment(title, kMaxComment, &characters);
    Dictionary::Word name;
    size_t length = 0;
    const auto end = [&] {
      if (length > 1 && length <= kLongestName && names.size() < kMaxNames) names.push_back(name);
      name.text.clear();
      length = 0;
    };
    for (const Character& c : characters) {
      if (!IsLetter(c.code)) {
        end();
        continue;
      }
      AppendUtf8(c.code, &name.text);
      ++length;
    }
    end();
  }
  segmenter_ =
      std::make_unique<Segmenter>(dictionary_, names.empty() ? nullptr : Dictionary::Make(names));
}

std::span<const std::string> RoomComments::Words(std::string_view text, size_t max_characters) {
  SpellComment(text, max_characters, &characters_);
  segmenter_->Segment(characters_, &scratch_, &cut_);
  words_.clear();
  seen_.clear();
  const auto append = [&](uint32_t begin, uint32_t end) {
    std::string word;
    for (uint32_t i = begin; i < end; ++i) AppendUtf8(characters_[i].code, &word);
    if (seen_.insert(word).second) words_.push_back(std::move(word));
  };
  // One character says little: where no longer word is known, two neighbours are one.
  const Segmenter::Word* last = nullptr;
  for (const Segmenter::Word& word : cut_) {
    const bool letter = IsLetter(characters_[word.begin].code);
    const bool single = word.end - word.begin == 1;
    if (letter && !single) append(word.begin, word.end);
    if (letter && single && last != nullptr && last->end == word.begin) {
      append(last->begin, word.end);
    }
    last = letter && single ? &word : nullptr;
  }
  return words_;
}

void RoomComments::Add(const RoomComment& comment, const CommentAnalysis& analysis) {
  const std::span<const std::string> words = Words(comment.text, kMaxComment);
  stats_.Add({.t_ms = comment.t_ms,
              .viewer = comment.viewer,
              .intent = analysis.intent.name,
              .sentiment = Polarity(analysis.sentiment),
              .words = words});
  lag_.Commented(words, comment.t_ms);
  if (analysis.intent.name == "purchase") {
    questions_.WantsToBuy(comment.viewer, comment.t_ms, Interest::kSaid);
  }
  if (analysis.asks < Analyzer::kAsks) return;
  // What the analyzer does not read, the miner need not keep.
  std::string_view text = comment.text;
  if (!characters_.empty()) text = text.substr(0, characters_.back().end);
  questions_.Add({text, comment.viewer, comment.t_ms, comment.id, product_});
}

void RoomComments::WantsToBuy(uint64_t viewer, int64_t t_ms, Interest how) {
  questions_.WantsToBuy(viewer, t_ms, how);
}

Result<bool> RoomComments::HostSaid(TranscriptSegment segment) {
  const int64_t begin_ms = segment.begin_ms, end_ms = segment.end_ms;
  const std::string text = segment.text;
  HEED_ASSIGN_OR_RETURN(const bool said, transcript_.Add(std::move(segment)));
  if (!said) return false;
  questions_.HostSaid(text, end_ms);
  lag_.Said(Words(text, kMaxSegment), begin_ms, end_ms);
  return true;
}

void RoomComments::HostWrote(std::string_view text, int64_t t_ms) {
  questions_.HostSaid(text, t_ms);
}

bool RoomComments::MarkAnswered(uint64_t id, std::string_view text, int64_t t_ms) {
  if (questions_.MarkAnswered(id, t_ms)) return true;
  const uint64_t alike = text.empty() ? 0 : questions_.ClusterOf(text);
  return alike != 0 && questions_.MarkAnswered(alike, t_ms);
}

}  // namespace heed::text
