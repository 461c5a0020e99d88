#include "text/product_names.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "text/segmenter.h"

namespace heed::text {
namespace {

constexpr size_t kMaxCharacters = 200;

bool IsLetter(char32_t c) {
  return (c >= U'a' && c <= U'z') || (c >= U'0' && c <= U'9') || c >= 0x3400;
}

// Neighbouring letters, without those that a topic or filler list covers.
std::set<uint64_t> Pairs(const WordLists& lists, std::string_view text) {
  std::vector<Character> characters;
  SpellComment(text, kMaxCharacters, &characters);
  std::vector<bool> skip(characters.size());
  for (const WordLists::Hit& hit : lists.Find(text)) {
    const WordList& list = lists.all()[hit.list];
    if (!list.topic && !list.filler) continue;
    for (size_t i = 0; i < characters.size(); ++i) {
      if (characters[i].begin >= hit.begin && characters[i].end <= hit.end) skip[i] = true;
    }
  }
  std::set<uint64_t> pairs;
  for (size_t i = 1; i < characters.size(); ++i) {
    const char32_t a = characters[i - 1].code, b = characters[i].code;
    if (skip[i - 1] || skip[i] || !IsLetter(a) || !IsLetter(b)) continue;
    pairs.insert(uint64_t{a} << 21 | b);
  }
  return pairs;
}

}  // namespace

ProductNames::ProductNames(std::shared_ptr<const WordLists> lists,
                           std::span<const std::string> titles)
    : lists_(std::move(lists)), titles_(titles.size()) {
  for (size_t i = 0; i < titles.size(); ++i) {
    for (const uint64_t pair : Pairs(*lists_, titles[i])) {
      titles_with_[pair].push_back(static_cast<uint32_t>(i));
    }
  }
}

std::optional<size_t> ProductNames::Named(std::string_view text) const {
  std::vector<double> score(titles_);
  for (const uint64_t pair : Pairs(*lists_, text)) {
    const auto found = titles_with_.find(pair);
    if (found == titles_with_.end()) continue;
    const double rare =
        std::log(1.0 + static_cast<double>(titles_) / static_cast<double>(found->second.size()));
    for (const uint32_t title : found->second) score[title] += rare;
  }
  const auto best = std::max_element(score.begin(), score.end());
  if (best == score.end() || *best == 0) return std::nullopt;
  if (std::count(score.begin(), score.end(), *best) > 1) return std::nullopt;
  return static_cast<size_t>(best - score.begin());
}

}  // namespace heed::text
