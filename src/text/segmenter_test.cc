#include "text/segmenter.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>
#include <filesystem>
#include <map>

#include "text/test_data.h"

namespace heed::text {
namespace {

std::string Spelt(const std::string& text) {
  std::vector<Character> characters;
  SpellComment(text, 1000, &characters);
  std::string out;
  for (const Character& c : characters) AppendUtf8(c.code, &out);
  return out;
}

std::vector<std::string> Words(const Segmenter& segmenter, const std::string& text) {
  std::vector<Character> characters;
  SpellComment(text, 1000, &characters);
  Segmenter::Scratch scratch;
  std::vector<Segmenter::Word> words;
  segmenter.Segment(characters, &scratch, &words);
  std::vector<std::string> out;
  for (const auto& word : words) {
    out.emplace_back();
    for (uint32_t i = word.begin; i < word.end; ++i) AppendUtf8(characters[i].code, &out.back());
  }
  return out;
}

std::shared_ptr<const Dictionary> Parse(const std::string& lines) {
  auto parsed = Dictionary::Parse(lines, "words");
  EXPECT_TRUE(parsed.ok()) << parsed.status().ToString();
  return parsed.value();
}

using List = std::vector<std::string>;

TEST(SpellComment, RepeatsEmojiAndTraditionalCharacters) {
  EXPECT_EQ(Spelt("哈哈哈哈哈哈哈好好好"), "哈哈哈好好好");
  EXPECT_EQ(Spelt("這個還有貨嗎？？？？？"), "这个还有货吗???");
  EXPECT_EQ(Spelt("😍😍😍好看👍👍"), "😍好看👍");
  EXPECT_EQ(Spelt("１０００００"), "100000");  // a number keeps its digits
  std::vector<Character> characters;
  SpellComment("啊啊啊啊啊", 100, &characters);
  ASSERT_EQ(characters.size(), 3u);
  EXPECT_EQ(characters[2].end, 15u);  // covers those left out
}

TEST(Segmenter, TheLikeliestCut) {
  // 研究/生命 (20·10) against 研究生/命 (5·8) over 100 each: jieba's own example.
  const Segmenter segmenter(
      Parse("研究 20 v\n研究生 5 n\n生命 10 n\n命 8 n\n究 1\n生 9\n其他 48\n"));
  EXPECT_EQ(Words(segmenter, "研究生命"), (List{"研究", "生命"}));
  EXPECT_EQ(Words(segmenter, "研究生"), (List{"研究生"}));
}

TEST(Segmenter, LettersDigitsAndBlanks) {
  const Segmenter segmenter(Parse("T恤 4 n\n多少 100\n钱 50\n码 20\n"));
  EXPECT_EQ(Words(segmenter, "T恤多少钱"), (List{"t恤", "多少", "钱"}));
  EXPECT_EQ(Words(segmenter, "165 120斤xl码"), (List{"165", "120", "斤", "xl", "码"}));
  EXPECT_EQ(Words(segmenter, "XT恤"), (List{"xt", "恤"}));  // nothing begins inside of a run
  EXPECT_EQ(Words(segmenter, "   "), List{});
}

TEST(Segmenter, ARoomsWordsWin) {
  const auto base = Parse("小 1000\n棕 100\n瓶 1000\n小棕 1\n");
  EXPECT_EQ(Words(Segmenter(base), "小棕瓶"), (List{"小", "棕", "瓶"}));
  EXPECT_EQ(Words(Segmenter(base, Parse("小棕瓶\n")), "小棕瓶多少"), (List{"小棕瓶", "多", "少"}));
}

TEST(Dictionary, MistakesNameTheLine) {
  EXPECT_EQ(Dictionary::Parse("a 1 n\n\nb x n\n", "d").status().message(),
            "d:3: 'x' is no frequency");
  EXPECT_EQ(Dictionary::Parse(" a\n", "d").status().message(), "d:1: begins with a blank");
  EXPECT_FALSE(Dictionary::Parse("a -1\n", "d").ok());
  EXPECT_EQ(Parse("甲 1\r\n甲 2\n")->words(), 1u);
}

// Against every cut of short texts over a small alphabet, scored on its own.
RC_GTEST_PROP(Segmenter, NoCutIsLikelier, ()) {
  const auto letters = [](size_t longest) {
    std::string text;
    const auto numbers = *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 3));
    for (size_t i = 0; i < std::min(longest, numbers.size()); ++i) {
      text += std::vector<std::string>{"甲", "乙", "丙"}[static_cast<size_t>(numbers[i])];
    }
    return text;
  };
  std::map<std::string, double> frequencies;
  for (int i = *rc::gen::inRange(1, 10); i > 0; --i) {
    const std::string word = letters(3);
    if (!word.empty()) frequencies[word] = *rc::gen::inRange(1, 50);
  }
  RC_PRE(!frequencies.empty());
  double total = 0;
  std::vector<Dictionary::Word> words;
  for (const auto& [word, frequency] : frequencies) {
    words.push_back({word, frequency});
    total += frequency;
  }
  const std::string text = letters(8);
  // The spelling drops a fourth repeat; leave such texts out.
  RC_PRE(Spelt(text) == text);
  const auto score = [&](const std::string& word) {
    const auto found = frequencies.find(word);
    if (found != frequencies.end()) return std::log(found->second / total);
    return word.size() == 3 ? -std::log(total) : -1e30;
  };
  std::vector<double> best(text.size() + 3, -1e30);  // of the first i bytes
  best[0] = 0;
  for (size_t end = 3; end <= text.size(); end += 3) {
    for (size_t begin = 0; begin < end; begin += 3) {
      best[end] = std::max(best[end], best[begin] + score(text.substr(begin, end - begin)));
    }
  }
  double got = 0;
  std::string joined;
  for (const std::string& word : Words(Segmenter(Dictionary::Make(words)), text)) {
    got += score(word);
    joined += word;
  }
  RC_ASSERT(joined == text);
  RC_ASSERT(std::abs(got - best[text.size()]) < 1e-4);
}

TEST(Segmenter, JiebasWordList) {
  const std::string path = Environment("HEED_DATA") + "/jieba/jieba.dict.utf8";
  if (Environment("HEED_DATA").empty() && Environment("CI") != "true") {
    GTEST_SKIP() << "HEED_DATA is not set: the folder with jieba/";
  }
  ASSERT_TRUE(std::filesystem::exists(path)) << path;
  const auto start = std::chrono::steady_clock::now();
  const auto read = Dictionary::ReadFile(path);
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  std::printf(
      "read in %.0f ms, %zu words\n",
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count(),
      read.value()->words());
  EXPECT_GT(read.value()->words(), 340000u);
  const Segmenter segmenter(read.value());
  EXPECT_EQ(Words(segmenter, "我来到北京清华大学"), (List{"我", "来到", "北京", "清华大学"}));
  // The list is of 2012 and older: what it lacks belongs into the room's words.
  EXPECT_EQ(Words(segmenter, "主播"), (List{"主", "播"}));
  EXPECT_EQ(Words(Segmenter(read.value(), Parse("主播\n")), "主播这件衣服多少钱"),
            (List{"主播", "这件", "衣服", "多少", "钱"}));
}

}  // namespace
}  // namespace heed::text
