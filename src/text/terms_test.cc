#include "text/terms.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace heed::text {
namespace {

std::vector<std::string> Found(const std::vector<std::string>& terms, const std::string& text) {
  TermSet set;
  for (const std::string& term : terms) set.Add(term);
  set.Build();
  const Reading reading = Read(text, 1000);
  std::vector<TermSet::Match> matches;
  set.Find(reading, &matches);
  std::vector<std::string> found;
  for (const TermSet::Match& match : matches) {
    const uint32_t begin = reading.begins[match.begin], end = reading.ends[match.end - 1];
    found.push_back(text.substr(begin, end - begin));
  }
  std::sort(found.begin(), found.end());
  return found;
}

using List = std::vector<std::string>;

TEST(Terms, StopsAndQuestionMarks) {
  EXPECT_EQ(Found({"好吗,"}, "好吗"), List{"好吗"});
  EXPECT_EQ(Found({"好吗,"}, "好吗？"), List{"好吗"});
  EXPECT_EQ(Found({"好吗,"}, "好吗。走"), List{"好吗。"});
  EXPECT_EQ(Found({"好吗,"}, "好吗啡"), List{});
  EXPECT_EQ(Found({",1,"}, "1"), List{"1"});
  EXPECT_EQ(Found({",1,"}, "11"), List{});
  // A question mark is not any stop: a term of it alone does not match every end of a text.
  EXPECT_EQ(Found({"?"}, "好。"), List{});
  EXPECT_EQ(Found({"?"}, "好？？"), (List{"？", "？"}));
  EXPECT_EQ(Found({"吗?"}, "好吗"), List{});
}

TEST(Terms, Numbers) {
  EXPECT_EQ(Found({"#斤"}, "我一百二十斤 他120 斤"), (List{"120 斤", "一百二十斤"}));
  EXPECT_EQ(Found({"最后#件"}, "最后一件"), List{});  // 一 alone stays a word
  EXPECT_EQ(Found({"#万"}, "一万"), List{"一万"});
  TermSet set;
  EXPECT_EQ(set.Add("·"), TermSet::kNone);
  EXPECT_EQ(set.Add("甲"), 0u);
  EXPECT_EQ(set.Add("#乙"), 1u);
  EXPECT_EQ(set.Add(" 甲 "), 0u);
}

}  // namespace
}  // namespace heed::text
