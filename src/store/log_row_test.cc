#include "store/log_row.h"

#include <gtest/gtest.h>

#include "store/format_example.h"

namespace heed::store {
namespace {

TEST(LogRowTest, IsWrittenAsTheFormatPageSays) {
  LogRowBuilder builder;
  builder.Add("abc");
  builder.Add("de");
  const std::string value = builder.Finish(258);
  EXPECT_EQ(LogKey(258) + value, FormatExample("event_log.md"));
  const Result<LogRow> row = ParseLogRow(LogKey(258), value);
  ASSERT_TRUE(row.ok());
  EXPECT_EQ(row.value().first_sequence, 258u);
  EXPECT_EQ(row.value().events, (std::vector<std::string_view>{"abc", "de"}));
}

TEST(LogRowTest, IsFullByCountAndByBytes) {
  LogRowBuilder builder;
  for (size_t i = 0; i < LogRowBuilder::kMaxEvents; ++i) {
    EXPECT_FALSE(builder.full());
    builder.Add("x");
  }
  EXPECT_TRUE(builder.full());
  EXPECT_EQ(ParseLogRow(LogKey(1), builder.Finish(1)).value().events.size(), 256u);
  EXPECT_TRUE(builder.empty());
  builder.Add(std::string(LogRowBuilder::kFullBytes, 'x'));
  EXPECT_TRUE(builder.full());
}

TEST(LogRowTest, NoticesEveryFlippedBitAndEveryCut) {
  LogRowBuilder builder;
  for (const char* event : {"first", "", "third"}) builder.Add(event);
  const std::string key = LogKey(77);
  const std::string value = builder.Finish(77);
  ASSERT_TRUE(ParseLogRow(key, value).ok());
  for (size_t bit = 0; bit < 8 * (key.size() + value.size()); ++bit) {
    std::string bytes = key + value;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    const Result<LogRow> row = ParseLogRow(bytes.substr(0, 8), bytes.substr(8));
    EXPECT_EQ(row.status().code(), Code::kCorruption) << bit;
  }
  for (size_t size = 0; size < value.size(); ++size) {
    EXPECT_FALSE(ParseLogRow(key, value.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(ParseLogRow(key, value + "x").ok());
  EXPECT_FALSE(ParseLogRow(key.substr(1), value).ok());
}

}  // namespace
}  // namespace heed::store
