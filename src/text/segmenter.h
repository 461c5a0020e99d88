// Words of a comment: the likeliest cut under a dictionary's word frequencies (Viterbi over the graph of
// all dictionary words in it), with a room's own words above it.
//
// Dictionary lines are jieba's: `word [frequency [tag]]`, parted by blanks. A character that begins no word
// is one of its own, a run of Latin letters and digits too, unless a word of the dictionary begins there
// ("t恤"). There is no model for unknown words: names belong into the room's words.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/normalize.h"

namespace heed::text {

// A comment's characters as words are looked up: one spelling (normalize.h), simplified, no character more
// than three times in a row, an emoji not twice; the last one's bytes reach over those left out.
void SpellComment(std::string_view text, size_t max_characters, std::vector<Character>* out);

// Immutable and thread-safe. jieba's list of 348,982 words takes about 15 MB.
class Dictionary {
 public:
  struct Word {
    std::string text;
    double frequency = 1;
  };

  // Errors are "name:line: ...". Words are spelt as comments are; equal ones add their frequencies.
  static Result<std::shared_ptr<const Dictionary>> Parse(std::string_view lines,
                                                         const std::string& name);
  static Result<std::shared_ptr<const Dictionary>> ReadFile(const std::string& path);
  static std::shared_ptr<const Dictionary> Make(std::span<const Word> words);
  ~Dictionary();

  size_t words() const;
  bool Has(std::string_view word) const;

 private:
  friend class Segmenter;
  struct Trie;
  explicit Dictionary(std::unique_ptr<const Trie> trie);
  std::unique_ptr<const Trie> trie_;
};

// Thread-safe as long as each caller has its own Scratch.
class Segmenter {
 public:
  struct Word {
    uint32_t begin = 0, end = 0;  // characters
    bool known = false;           // of a dictionary
  };
  struct Scratch {
    std::vector<float> best;     // log probability from a place to the end
    std::vector<uint32_t> next;  // where the best word at a place ends
    std::vector<uint8_t> known;
    std::vector<uint32_t> runs;  // where the run of letters and digits at a place ends
  };

  // `room`: may be null; its words win over the dictionary's.
  explicit Segmenter(std::shared_ptr<const Dictionary> dictionary,
                     std::shared_ptr<const Dictionary> room = nullptr);

  // Of spelt characters; blanks part words and belong to none. Linear in the characters times the longest
  // word of a dictionary.
  void Segment(std::span<const Character> characters, Scratch* scratch,
               std::vector<Word>* out) const;

 private:
  std::shared_ptr<const Dictionary> dictionary_, room_;
};

}  // namespace heed::text
