#include "text/transcript.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <fstream>

#include "text/normalize.h"

namespace heed::text {
namespace {

TEST(Transcript, WebVtt) {
  const auto read = ReadWebVtt(
      "\xEF\xBB\xBFWEBVTT - room 7\r\nKind: captions\r\n\r\nNOTE a note\r\nof two lines\r\n\r\n"
      "STYLE\n::cue { color: red }\n\n"
      "intro\n00:01.500 --> 00:03.000 align:start\n<v 小美>大家好 <b>欢迎</b>\n来到直播间\n\n"
      "1:00:00.000 --> 1:00:02.250\n两件 &lt; 100 &amp; 包邮\n",
      "a.vtt");
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  ASSERT_EQ(read.value().size(), 2u);
  EXPECT_EQ(read.value()[0].begin_ms, 1500);
  EXPECT_EQ(read.value()[0].end_ms, 3000);
  EXPECT_EQ(read.value()[0].text, "大家好 欢迎 来到直播间");
  EXPECT_EQ(read.value()[0].speaker, "小美");
  EXPECT_EQ(read.value()[1].begin_ms, 3'600'000);
  EXPECT_EQ(read.value()[1].text, "两件 < 100 & 包邮");
}

TEST(Transcript, SubRipInAnyOrder) {
  const auto read = ReadSrt(
      "2\n00:00:05,000 --> 00:00:06,000\n第二句\n\n\n1\n00:00:01,000 --> 00:00:02,000\n第一句\n",
      "a.srt");
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  ASSERT_EQ(read.value().size(), 2u);
  EXPECT_EQ(read.value()[0].text, "第一句");
}

TEST(Transcript, LinesOfJson) {
  const auto read = ReadTranscriptJsonl(
      "{\"begin_ms\":0,\"end_ms\":900,\"text\":\"今天\",\"final\":false}\n\n"
      "{\"text\":\"今天的价格\",\"begin_ms\":0,\"end_ms\":1500,\"speaker\":\"a\"}\n",
      "a.jsonl");
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  ASSERT_EQ(read.value().size(), 2u);
  EXPECT_FALSE(read.value()[0].final);
  EXPECT_TRUE(read.value()[1].final);
  EXPECT_EQ(read.value()[1].speaker, "a");
}

TEST(Transcript, MistakesNameTheLine) {
  const auto vtt = [](const std::string& text) { return ReadWebVtt(text, "f").status().message(); };
  const auto srt = [](const std::string& text) { return ReadSrt(text, "f").status().message(); };
  const auto jsonl = [](const std::string& text) {
    return ReadTranscriptJsonl(text, "f").status().message();
  };
  EXPECT_EQ(vtt(""), "f:1: no WebVTT: the first line is not 'WEBVTT'");
  EXPECT_EQ(vtt("WEBVTTX\n"), "f:1: no WebVTT: the first line is not 'WEBVTT'");
  EXPECT_EQ(vtt("WEBVTT\n\n00:01.000 -> 00:02.000\nx\n"), "f:4: no 'begin --> end' in 'x'");
  EXPECT_EQ(vtt("WEBVTT\n\n00:61.000 --> 01:02.000\nx\n"),
            "f:3: no 'begin --> end' in '00:61.000 --> 01:02.000'");
  EXPECT_EQ(vtt("WEBVTT\n\n00:03.000 --> 00:02.000\nx\n"), "f:3: a segment ends before it begins");
  EXPECT_EQ(srt("1\n00:00:01,000 --> 00:00:02,000\na\n2\n00:00:02,000 --> 00:00:03,000\nb\n"),
            "f:5: a cue begins before a blank line has ended the one before");
  EXPECT_EQ(srt("one\n"), "f:1: no number of a subtitle: 'one'");
  EXPECT_EQ(jsonl("{\"begin_ms\":0,\"end_ms\":1,\"text\":\"\"}\n{\"begin_ms\":0}\n"),
            "f:2: begin_ms, end_ms and text are needed");
  EXPECT_EQ(jsonl("{\"begin_ms\":0,\"end_ms\":1,\"text\":\"\",\"txt\":1}\n"),
            "f:1: unknown member 'txt'");
  EXPECT_EQ(jsonl("{\"begin_ms\":\"0\"}\n").rfind("f:1: 'begin_ms': ", 0), 0u);
  EXPECT_EQ(jsonl("[1]\n").rfind("f:1: no JSON object", 0), 0u);
}

TEST(Transcript, AFinalSegmentTakesThePlaceOfAPartialOne) {
  Transcript transcript;
  EXPECT_FALSE(transcript.Add({0, 500, "这", "", false}).value());
  EXPECT_FALSE(transcript.Add({0, 900, "这款", "", false}).value());
  ASSERT_TRUE(transcript.partial().has_value());
  EXPECT_EQ(transcript.partial()->text, "这款");
  EXPECT_TRUE(transcript.segments().empty());
  EXPECT_TRUE(transcript.Add({0, 1200, "这款面膜", "", true}).value());
  EXPECT_FALSE(transcript.partial().has_value());
  EXPECT_FALSE(transcript.Add({0, 1200, "这款面膜", "", true}).value());  // said once
  EXPECT_EQ(transcript.segments().size(), 1u);
  EXPECT_EQ(transcript.Add({5, 1, "x", "", true}).status().field(), "/end_ms");
}

TEST(Transcript, KeepsTheLastMinutesByTime) {
  Transcript transcript(10'000);
  EXPECT_TRUE(transcript.Add({4000, 5000, "二", "", true}).value());
  EXPECT_TRUE(transcript.Add({1000, 2000, "一", "", true}).value());
  EXPECT_EQ(transcript.TextBetween(0, 10'000), "一 二");
  EXPECT_EQ(transcript.TextBetween(2000, 4000), "");
  EXPECT_TRUE(transcript.Add({14'000, 15'000, "三", "", true}).value());
  EXPECT_EQ(transcript.segments().size(), 2u);
  EXPECT_FALSE(transcript.Add({0, 100, "零", "", true}).value());  // too late
}

TEST(Transcript, FilesByTheirEnding) {
  const std::string path = testing::TempDir() + "transcript.srt";
  std::ofstream(path) << "1\n00:00:01,000 --> 00:00:02,000\na\n";
  EXPECT_EQ(ReadTranscriptFile(path).value().size(), 1u);
  EXPECT_FALSE(ReadTranscriptFile(path + ".txt").ok());
  EXPECT_EQ(ReadTranscriptFile("/nonexistent.vtt").status().code(), Code::kNotFound);
}

RC_GTEST_PROP(Transcript, WhatIsWrittenIsRead, ()) {
  std::string vtt = "WEBVTT\n\n";
  std::vector<int64_t> begins;
  for (int64_t i = *rc::gen::inRange(0, 20); i > 0; --i) {
    const int64_t begin = *rc::gen::inRange<int64_t>(0, 359'999'999);
    char times[64];
    std::snprintf(times, sizeof times, "%02d:%02d:%02d.%03d", static_cast<int>(begin / 3'600'000),
                  static_cast<int>(begin / 60'000 % 60), static_cast<int>(begin / 1000 % 60),
                  static_cast<int>(begin % 1000));
    vtt += std::string(times) + " --> 100:00:00.000\n" + std::to_string(begin) + "\n\n";
    begins.push_back(begin);
  }
  std::sort(begins.begin(), begins.end());
  const auto read = ReadWebVtt(vtt, "f");
  RC_ASSERT(read.ok());
  RC_ASSERT(read.value().size() == begins.size());
  for (size_t i = 0; i < begins.size(); ++i) {
    RC_ASSERT(read.value()[i].begin_ms == begins[i]);
    RC_ASSERT(read.value()[i].text == std::to_string(begins[i]));
  }
}

}  // namespace
}  // namespace heed::text
