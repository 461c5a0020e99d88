#include <gtest/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/random.h"
#include "base/status.h"
#include "base/toml_table.h"

namespace heed {
namespace {

Status Fails() { return InvalidArgument("must be positive", "/count"); }
Result<int> Half(int x) {
  if (x % 2 != 0) return InvalidArgument("odd");
  return x / 2;
}
Status UsesMacros(int x, int* out) {
  HEED_ASSIGN_OR_RETURN(*out, Half(x));
  HEED_RETURN_IF_ERROR(*out == 3 ? Fails() : Status());
  return {};
}

TEST(StatusTest, MacrosReturnTheFirstFailure) {
  int out = 0;
  EXPECT_TRUE(UsesMacros(4, &out).ok());
  EXPECT_EQ(out, 2);
  EXPECT_EQ(UsesMacros(5, &out).message(), "odd");
  EXPECT_EQ(UsesMacros(6, &out).field(), "/count");
}

TEST(StatusTest, WithinKeepsCodeAndPrefixesPlace) {
  const Status status = Fails().Within("event 3", "/events/3");
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_EQ(status.ToString(), "invalid argument at /events/3/count: event 3: must be positive");
}

TEST(TomlTableTest, OnlyUtf8IsToml) {
  const auto broken = TomlTable::Parse(
      "a = 1\n'\xf5u'\x95"
      "a",
      "f.toml");
  EXPECT_EQ(broken.status().message(), "f.toml:2: not valid UTF-8");
  const auto chinese = TomlTable::Parse("名 = '直播'\n", "f.toml");
  ASSERT_FALSE(chinese.ok());  // a bare key is ASCII
  const auto quoted = TomlTable::Parse("'名' = '直播'\n", "f.toml");
  ASSERT_TRUE(quoted.ok()) << quoted.status().message();
  EXPECT_EQ(quoted.value().String("名", ""), "直播");
}

TEST(TomlTableTest, RefusesWhatIsTooDeepButNotBracketsInText) {
  const auto message = [](const std::string& text) {
    return TomlTable::Parse(text, "f.toml").status().message();
  };
  EXPECT_EQ(message("a = 1\nb = " + std::string(200000, '[')),
            "f.toml:2: nested more than 64 deep");
  std::string dotted = "a", floats = "a = [0.5";
  for (int i = 0; i < 2000; ++i) dotted += ".b", floats += ", 0.5";
  EXPECT_EQ(message(dotted + " = 1"), "f.toml:1: nested more than 64 deep");
  EXPECT_EQ(message(floats + "]\n"), "");
  const std::string open(100, '[');
  EXPECT_EQ(message("a = \"\\\"" + open + "\" # " + open + "\nb = '" + open + "'\nc = '''\n" +
                    open + "'''\nd = \"\"\"" + open + "\n\"\"\"\n"),
            "");
}

TEST(BytesTest, RoundTripsAndRefusesShortInput) {
  std::string bytes;
  ByteWriter out(bytes);
  const std::vector<uint64_t> values = {0, 1, 127, 128, 300, std::numeric_limits<uint64_t>::max()};
  for (const uint64_t value : values) out.Varint(value);
  out.Signed(-5);
  out.Signed(std::numeric_limits<int64_t>::min());
  out.Fixed(2.5f);
  out.String("直播");
  ByteReader in(bytes);
  for (const uint64_t value : values) EXPECT_EQ(in.Varint(), value);
  EXPECT_EQ(in.Signed(), -5);
  EXPECT_EQ(in.Signed(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(in.Fixed<float>(), 2.5f);
  EXPECT_EQ(in.String(), "直播");
  EXPECT_TRUE(in.ok());
  EXPECT_EQ(in.remaining(), 0u);
  EXPECT_EQ(in.Varint(), 0u);
  EXPECT_FALSE(in.ok());
  for (size_t size = 0; size < bytes.size(); ++size) {  // every truncation is noticed
    ByteReader cut(std::string_view(bytes).substr(0, size));
    for (size_t i = 0; i < values.size(); ++i) cut.Varint();
    cut.Signed();
    cut.Signed();
    cut.Fixed<float>();
    cut.String();
    EXPECT_FALSE(cut.ok()) << size;
  }
}

TEST(BytesTest, RefusesOverlongVarints) {
  ByteReader padded(std::string_view("\x80\x00", 2));
  padded.Varint();
  EXPECT_FALSE(padded.ok());
  const std::string eleven(11, '\xFF');
  ByteReader wide(eleven);
  wide.Varint();
  EXPECT_FALSE(wide.ok());
}

TEST(HashTest, IsFixedForEver) {
  // Written to disk as table keys: a change of these numbers is a change of format.
  EXPECT_EQ(HashBytes("heed"), HashBytes("heed"));
  EXPECT_NE(HashBytes("heed"), HashBytes("heee"));
  EXPECT_EQ(Crc32("123456789"), 0xCBF43926u);
}

TEST(RandomTest, IsReproducibleAndUnbiased) {
  Random a(7), b(7);
  double sum = 0, squares = 0;
  const int n = 200000;
  for (int i = 0; i < n; ++i) {
    const double x = a.Normal();
    EXPECT_EQ(x, b.Normal());
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / n, 0.0, 0.01);
  EXPECT_NEAR(squares / n, 1.0, 0.02);
}

// What is logged may come from a client: a record stays one line, and JSON.
TEST(LogTest, ARecordIsALineWhateverTheTextHolds) {
  const std::string wild = "a\"b\\c\nd 直播";
  const auto logged = [&](const char* format) {
    EXPECT_TRUE(ConfigureLog("info", format).ok());
    testing::internal::CaptureStderr();
    LogError("room '{}' {}", wild, 7);
    LogWarn("{}", "second");
    Log(LogLevel::kDebug, "{}", "not at this level");
    return testing::internal::GetCapturedStderr();
  };
  const std::string json = logged("json");
  simdjson::dom::parser parser;
  simdjson::dom::document_stream records = parser.parse_many(json);
  std::vector<std::string> messages;
  for (auto record : records) {
    std::string_view message, level;
    ASSERT_EQ(record["msg"].get(message), simdjson::SUCCESS) << json;
    ASSERT_EQ(record["level"].get(level), simdjson::SUCCESS);
    messages.push_back(std::string(level) + " " + std::string(message));
  }
  EXPECT_EQ(messages, (std::vector<std::string>{"error room '" + wild + "' 7", "warning second"}));
  const std::string text = logged("text");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
  EXPECT_EQ(ConfigureLog("loud", "text").field(), "log.level");
  EXPECT_EQ(ConfigureLog("info", "xml").field(), "log.format");
}

}  // namespace
}  // namespace heed
