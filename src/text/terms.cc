#include "text/terms.h"

#include <algorithm>

#include "text/normalize.h"
#include "text/simplified.h"

namespace heed::text {
namespace {

constexpr char32_t kNumber = 0xE000;  // stands for a number; private use, kept out of texts

bool IsLeftOut(char32_t c) {
  switch (c) {
    case U' ':
    case U'*':
    case U'.':
    case U'-':
    case U'_':
    case U'~':
    case U'·':
    case U'|':
    case kNumber: return true;
    default: return false;
  }
}

bool IsStop(char32_t c) {
  switch (c) {
    case kStop:
    case U'。':
    case U'!':
    case U';':
    case U':':
    case U'、':
    case U'…': return true;
    default: return false;
  }
}

bool IsNumeral(char32_t c) {
  return (c >= U'0' && c <= U'9') ||
         (c >= 0x4E00 && std::u32string_view(U"一二三四五六七八九十百千两零几半").find(c) !=
                             std::u32string_view::npos);
}

void Add(char32_t code, uint32_t begin, uint32_t end, Reading* reading) {
  reading->codes += code;
  reading->begins.push_back(begin);
  reading->ends.push_back(end);
}

Reading Letters(std::string_view text, size_t max_characters) {
  std::vector<Character> characters;
  Normalize(text, max_characters, &characters);
  Reading reading;
  for (const Character& c : characters) {
    if (IsLeftOut(c.code)) continue;
    // A question mark is a stop too, and more than one: it stands between two of no bytes.
    if (c.code == U'?') Add(kStop, c.begin, c.begin, &reading);
    Add(IsStop(c.code) ? kStop : Simplified(c.code), c.begin, c.end, &reading);
    if (c.code == U'?') Add(kStop, c.end, c.end, &reading);
  }
  return reading;
}

// Every number as one character, with the place of each character in `codes`. 一 and 几 alone stay: they
// begin 一般, 一定, 一直, 几乎.
struct Numbered {
  std::u32string codes;
  std::vector<uint32_t> begins, ends;
};

Numbered NumbersAsOne(const std::u32string& codes) {
  Numbered out;
  for (size_t i = 0; i < codes.size();) {
    size_t end = i;
    while (end < codes.size() && IsNumeral(codes[end])) ++end;
    const bool alone = end == i + 1 && (codes[i] == U'一' || codes[i] == U'几') &&
                       (end == codes.size() || codes[end] != U'万');
    const bool number = end > i && !alone;
    if (!number) end = i + 1;
    out.codes += number ? kNumber : codes[i];
    out.begins.push_back(static_cast<uint32_t>(i));
    out.ends.push_back(static_cast<uint32_t>(end));
    i = end;
  }
  return out;
}

}  // namespace

Reading Read(std::string_view text, size_t max_characters) {
  Reading reading = Letters(text, max_characters);
  const auto size = static_cast<uint32_t>(std::min<size_t>(text.size(), 0xFFFFFFFFu));
  const uint32_t last = reading.ends.empty() ? size : reading.ends.back();
  reading.codes.insert(reading.codes.begin(), kStop);
  reading.begins.insert(reading.begins.begin(), 0);
  reading.ends.insert(reading.ends.begin(), 0);
  reading.codes += kStop;
  reading.begins.push_back(last);
  reading.ends.push_back(last);
  return reading;
}

uint32_t TermSet::Add(std::string_view term) {
  std::u32string codes = Letters(term, term.size() * 18).codes;
  // In a term a question mark is itself alone.
  for (size_t at = codes.find(U'?'); at != std::u32string::npos; at = codes.find(U'?', at)) {
    codes.erase(at + 1, 1);
    codes.erase(at - 1, 1);
  }
  if (codes.empty()) return kNone;
  const bool numeric = codes.find(U'#') != std::u32string::npos;
  if (numeric) {
    codes = NumbersAsOne(codes).codes;
    std::replace(codes.begin(), codes.end(), U'#', kNumber);
  }
  Side& side = numeric ? numeric_ : plain_;
  const uint32_t pattern = side.automaton.Add(codes);
  if (pattern == side.terms.size()) side.terms.push_back(size_++);
  return side.terms[pattern];
}

void TermSet::Build() {
  plain_.automaton.Build();
  numeric_.automaton.Build();
}

void TermSet::Find(const Reading& reading, std::vector<Match>* out) const {
  out->clear();
  std::vector<AhoCorasick::Match> matches;
  plain_.automaton.Find(reading.codes, &matches);
  for (const auto& match : matches) {
    out->push_back({plain_.terms[match.pattern], match.begin, match.end});
  }
  if (numeric_.terms.empty()) return;
  const Numbered numbered = NumbersAsOne(reading.codes);
  numeric_.automaton.Find(numbered.codes, &matches);
  for (const auto& match : matches) {
    out->push_back({numeric_.terms[match.pattern], numbered.begins[match.begin],
                    numbered.ends[match.end - 1]});
  }
}

}  // namespace heed::text
