// Finding a list of terms, kept as data, in texts as people write them.
//
// Texts and terms are compared in one spelling: NFKC, lower case, simplified characters, blanks and the
// signs that people put between letters (* . - _ ~ · |) left out. In a term `#` stands for a number,
// in digits or Chinese numerals, and `,` for any stop or an end of the text;
// `?` is a question mark alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/aho_corasick.h"

namespace heed::text {

inline constexpr char32_t kStop = U',';

// A text as terms see it, with a stop of no bytes at both ends. Parallel.
struct Reading {
  std::u32string codes;
  std::vector<uint32_t> begins, ends;  // bytes of the original
};
// Any bytes; at most `max_characters` are read. Linear.
Reading Read(std::string_view text, size_t max_characters);

// Add and Build need the object alone; Find is thread-safe after Build.
class TermSet {
 public:
  static constexpr uint32_t kNone = 0xFFFFFFFFu;
  struct Match {
    uint32_t term = 0;
    uint32_t begin = 0, end = 0;  // characters of the Reading
  };

  // Equal terms share a number, from 0. kNone for one without letters.
  uint32_t Add(std::string_view term);
  void Build();
  size_t size() const { return size_; }
  // In no order that means anything. Linear in the characters and the matches.
  void Find(const Reading& reading, std::vector<Match>* out) const;

 private:
  struct Side {  // terms with a number are looked for where numbers are one character
    AhoCorasick automaton;
    std::vector<uint32_t> terms;  // by pattern
  };
  Side plain_, numeric_;
  uint32_t size_ = 0;
};

}  // namespace heed::text
