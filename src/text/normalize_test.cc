#include "text/normalize.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>
#include <map>
#include <set>

#include "text/ngrams.h"

namespace heed::text {
namespace {

TEST(Normalize, OneSpellingForWhatReadsTheSame) {
  EXPECT_EQ(Normalize("ＡＢＣ１６５，Ｓｉｚｅ"), "abc165,size");
  EXPECT_EQ(Normalize("Straße ﬁt ① ㎏"), "strasse fit 1 kg");
  EXPECT_EQ(Normalize(" \t这本书\r\n\u3000很\u00A0 好  "), "这本书 很 好");
  EXPECT_EQ(Normalize("\uFEFF推\u200B荐\uFE0F"), "推荐");    // invisible ones vanish
  EXPECT_EQ(Normalize("e\u0301"), "\u00E9");                 // composed
  EXPECT_EQ(Normalize("a\x02\x03\x7Fz"), "a z");             // control characters are spaces
  EXPECT_EQ(Normalize("好\xFF\xE4\xBD"), "好\uFFFD\uFFFD");  // no UTF-8
  EXPECT_EQ(Normalize(""), "");
}

TEST(Normalize, CharactersKnowTheirBytes) {
  const std::string text = "Ａ①２ 好";
  std::vector<Character> characters;
  Normalize(text, 100, &characters);
  ASSERT_EQ(characters.size(), 5u);
  EXPECT_EQ(characters[0].code, U'a');
  EXPECT_EQ(text.substr(characters[1].begin, characters[1].end - characters[1].begin), "①");
  EXPECT_EQ(text.substr(characters[4].begin, characters[4].end - characters[4].begin), "好");
  Normalize(text, 2, &characters);
  EXPECT_EQ(characters.size(), 2u);
}

std::string AnyBytes() {
  const auto bytes = *rc::gen::container<std::string>(rc::gen::arbitrary<char>());
  return *rc::gen::element(bytes, bytes + "真的很好" + bytes, "ｅ\u0301\u0327" + bytes);
}

RC_GTEST_PROP(Normalize, TwiceIsOnce, ()) {
  const std::string once = Normalize(AnyBytes());
  RC_ASSERT(Normalize(once) == once);
}

RC_GTEST_PROP(Normalize, SpansAreInOrderAndInside, ()) {
  const std::string text = AnyBytes();
  std::vector<Character> characters;
  Normalize(text, 1000, &characters);
  uint32_t last = 0;
  for (const Character& c : characters) {
    RC_ASSERT(c.begin >= last);
    RC_ASSERT(c.begin < c.end);
    RC_ASSERT(c.end <= text.size());
    last = c.begin;
  }
}

TEST(Ngrams, OfAShortText) {
  Ngrams ngrams;
  MakeNgrams("好书", 3, 100, &ngrams);
  std::vector<std::string> texts;
  for (const uint64_t key : ngrams.keys) texts.push_back(NgramText(key));
  EXPECT_EQ(texts, (std::vector<std::string>{"⟨好", "⟨好书", "好", "好书", "好书⟩", "书", "书⟩"}));
  EXPECT_EQ(ngrams.begins, (std::vector<uint32_t>{0, 0, 0, 0, 0, 3, 3}));
  EXPECT_EQ(ngrams.ends, (std::vector<uint32_t>{3, 6, 3, 6, 6, 6, 6}));
  MakeNgrams("", 3, 100, &ngrams);
  EXPECT_TRUE(ngrams.keys.empty());
}

TEST(Ngrams, AreCounted) {
  Ngrams ngrams;
  MakeNgrams("看书看书看", 2, 100, &ngrams);
  std::map<std::string, uint32_t> counts;
  for (size_t i = 0; i < ngrams.keys.size(); ++i) {
    const std::string text = NgramText(ngrams.keys[i]);
    counts[text] = ngrams.counts[i];
    EXPECT_EQ(HasMark(ngrams.keys[i]), text.starts_with("⟨") || text.ends_with("⟩")) << text;
  }
  EXPECT_EQ(counts, (std::map<std::string, uint32_t>{
                        {"⟨看", 1}, {"看", 3}, {"看书", 2}, {"书", 2}, {"书看", 2}, {"看⟩", 1}}));
}

RC_GTEST_PROP(Ngrams, EachOnceAndNeverZero, ()) {
  const std::string text = AnyBytes() + AnyBytes();
  Ngrams ngrams;
  MakeNgrams(text, *rc::gen::inRange(1u, 4u), 1000, &ngrams);
  RC_ASSERT(ngrams.counts.size() == ngrams.keys.size());
  const std::set<uint64_t> different(ngrams.keys.begin(), ngrams.keys.end());
  RC_ASSERT(different.size() == ngrams.keys.size());
  RC_ASSERT(!different.contains(0));
  for (size_t i = 0; i < ngrams.keys.size(); ++i) {
    RC_ASSERT(ngrams.begins[i] <= ngrams.ends[i] && ngrams.ends[i] <= text.size());
  }
}

// A megabyte of marks on one letter: quadratic work would take minutes.
TEST(Ngrams, LongRunsOfMarksTakeNoLongerThanOtherTexts) {
  std::string marks = "e";
  while (marks.size() < 1 << 20) marks += "\u0301\u0327";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(Normalize(marks).empty());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

}  // namespace
}  // namespace heed::text
