#include "train/csv.h"

#include <gtest/gtest.h>

#include "base/suggest.h"
#include "train/test_files.h"

namespace heed::train {
namespace {

using Rows = std::vector<std::vector<std::string>>;

Result<Rows> ReadAll(const std::string& path, char separator = ',') {
  HEED_ASSIGN_OR_RETURN(CsvReader reader, CsvReader::Open(path, separator));
  Rows rows = {reader.header()};
  std::vector<std::string_view> fields;
  while (true) {
    HEED_ASSIGN_OR_RETURN(const bool any, reader.Next(&fields));
    if (!any) return rows;
    rows.emplace_back(fields.begin(), fields.end());
  }
}

TEST(Csv, QuotesCrlfAndByteOrderMark) {
  const TestFolder folder;
  const auto rows = ReadAll(folder.Write(
      "a.csv", "\xEF\xBB\xBFid,text\r\n1,\"a, \"\"b\"\"\"\r\n\r\n2,\"two\r\nlines\"\r\n3,"));
  ASSERT_TRUE(rows.ok()) << rows.status().ToString();
  EXPECT_EQ(rows.value(),
            (Rows{{"id", "text"}, {"1", "a, \"b\""}, {"2", "two\r\nlines"}, {"3", ""}}));
}

TEST(Csv, TabsAndBlankLinesOfOneColumn) {
  const TestFolder folder;
  EXPECT_EQ(ReadAll(folder.Write("a.tsv", "a\tb\n1,2\t\n"), '\t').value(),
            (Rows{{"a", "b"}, {"1,2", ""}}));
  EXPECT_EQ(ReadAll(folder.Write("b.csv", "a\n1\n\n2\n")).value(),
            (Rows{{"a"}, {"1"}, {""}, {"2"}}));
}

TEST(Csv, ErrorsNameFileAndLine) {
  const TestFolder folder;
  const auto message = [&](const std::string& text) {
    const std::string path = folder.Write("x.csv", text);
    const auto rows = ReadAll(path);
    EXPECT_FALSE(rows.ok()) << text;
    const std::string all = rows.status().message();
    EXPECT_TRUE(all.starts_with(path)) << all;
    return all.substr(std::min(all.size(), path.size()));
  };
  EXPECT_EQ(message("a,b\n1,2\n\n1,2,3\n"), ":4: expected 2 columns, found 3");
  EXPECT_EQ(message("a,b\n1\n"), ":2: expected 2 columns, found 1");
  EXPECT_EQ(message("a,b\n1,2\n3,\"4\n5,6\n"), ":3: a quoted field is not closed");
  EXPECT_EQ(message("a,b\n1,\"2\"x\n"), ":2: text after a closing quote");
  EXPECT_EQ(message("a,a\n"), ":1: column 'a' appears twice");
  EXPECT_EQ(message("a,\n"), ":1: column 2 has no name");
  EXPECT_EQ(message(",a\n1,2,3\n"), ":2: expected 2 columns, found 3");
  EXPECT_EQ(message(""), ":1: the file is empty, a header line was expected");
  EXPECT_EQ(ReadAll(folder.path() + "/none.csv").status().code(), Code::kNotFound);
}

TEST(Suggest, NearNamesOnly) {
  EXPECT_EQ(Suggestion("vidoe_id", {"user_id", "video_id"}), " (did you mean 'video_id'?)");
  EXPECT_EQ(Suggestion("colour", {"user_id", "video_id"}), "");
}

}  // namespace
}  // namespace heed::train
