// Characters to overlapping n-grams of one, two and three: all a classifier of short Chinese texts
// needs to know about words, without a dictionary.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/normalize.h"

namespace heed::text {

inline constexpr uint32_t kLongestNgram = 3;

struct Ngrams {
  // Parallel. A key is the n-gram itself, 21 bits a character, so no two share one; never 0.
  std::vector<uint64_t> keys;
  // The bytes of the original; empty at an edge of the text for its mark alone.
  std::vector<uint32_t> begins, ends;
  std::vector<uint32_t> counts;       // times that it stands in the text, at least 1
  std::vector<Character> characters;  // scratch, kept for its memory
  std::vector<std::pair<uint64_t, uint32_t>> sorted;
};

// The different n-grams of up to `longest` (1 to 3) characters, each where it comes first, by place,
// the shorter first: who repeats a word 500 times does not shout down the rest. The text's two
// ends take part as marks (U+0002, U+0003, which no normalised text holds) in n-grams of two and more.
// O(n log n) in the n characters read, at most `max_characters`. Thread-safe.
void MakeNgrams(std::string_view text, uint32_t longest, size_t max_characters, Ngrams* out);

// Whether an end's mark is part of the n-gram.
bool HasMark(uint64_t key);
// An n-gram's characters as UTF-8, the marks as "⟨" and "⟩".
std::string NgramText(uint64_t key);

}  // namespace heed::text
