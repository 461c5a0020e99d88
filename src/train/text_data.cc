#include "train/text_data.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/suggest.h"
#include "text/word_lists.h"
#include "train/csv.h"

namespace heed::train {
namespace {

Result<size_t> Column(const CsvReader& reader, const std::string& path, const std::string& name) {
  const auto& header = reader.header();
  const auto found = std::find(header.begin(), header.end(), name);
  if (found != header.end()) return static_cast<size_t>(found - header.begin());
  return NotFound(path + ":1: there is no column '" + name + "'" + Suggestion(name, header));
}

Status ReadOne(const TextSpec& spec, const TextFile& file, const std::string& folder,
               const text::WordLists* lists, TextRows* rows) {
  const std::string path = (std::filesystem::path(folder) / file.path).string();
  HEED_ASSIGN_OR_RETURN(CsvReader reader, CsvReader::Open(path, spec.separator));
  HEED_ASSIGN_OR_RETURN(const size_t text, Column(reader, path, spec.text));
  HEED_ASSIGN_OR_RETURN(const size_t label, Column(reader, path, spec.label));
  size_t only = 0;
  if (!spec.only_column.empty()) {
    HEED_ASSIGN_OR_RETURN(only, Column(reader, path, spec.only_column));
  }
  std::vector<std::string> values;
  for (const TextLabel& one : spec.labels) values.push_back(one.value);
  std::vector<std::string_view> fields;
  while (true) {
    HEED_ASSIGN_OR_RETURN(const bool any, reader.Next(&fields));
    if (!any) return {};
    if (!spec.only_column.empty() &&
        std::find(spec.only.begin(), spec.only.end(), fields[only]) == spec.only.end()) {
      continue;
    }
    const auto found = std::find(values.begin(), values.end(), fields[label]);
    if (found == values.end()) {
      const std::string value(fields[label]);
      return InvalidArgument(reader.Where() + ": '" + value + "' is no [[label]] value" +
                             Suggestion(value, values));
    }
    rows->texts.emplace_back(fields[text]);
    rows->labels.push_back(static_cast<uint32_t>(found - values.begin()));
    uint32_t fold = 0;
    if (spec.by == TextSpec::SplitBy::kHash) fold = Md5Modulo(rows->texts.back(), spec.folds);
    if (spec.by == TextSpec::SplitBy::kFile) {
      fold = file.split == "test" ? 0 : file.split == "valid" ? 1 : 2;
    }
    rows->folds.push_back(fold);
    // After the split, which is of the text alone.
    if (lists != nullptr) rows->texts.back() = lists->WithTokens(rows->texts.back());
  }
}

}  // namespace

TextSpec ReadTextSpec(const TomlTable& root) {
  TextSpec spec;
  const TomlTable data = root.Table("data");
  const TomlTable split = root.Table("split");
  spec.by = static_cast<TextSpec::SplitBy>(split.Choice("by", {"hash", "file", "share"}, 0));
  spec.folds = split.Count("folds", spec.folds, 3, 1000);
  spec.test_fold = split.Count("test", spec.test_fold, 0, spec.folds - 1);
  spec.valid_fold = split.Count("valid", spec.valid_fold, 0, spec.folds - 1);
  if (spec.test_fold == spec.valid_fold) split.Fail("valid", "'valid' is the test fold");
  spec.train_share = split.Number("train_share", spec.train_share, 0.01, 0.99);
  spec.valid_share = split.Number("valid_share", spec.valid_share, 0, 0.98);
  if (spec.train_share + spec.valid_share >= 1) {
    split.Fail("train_share", "nothing is left to test on");
  }
  const std::vector<std::string> splits = {"train", "valid", "test"};
  for (const TomlTable& file : data.Tables("file")) {
    TextFile one{file.RequiredString("path"), ""};
    if (spec.by == TextSpec::SplitBy::kFile) {
      file.RequiredString("split");
      one.split = splits[file.Choice("split", splits, 0)];
    }
    spec.files.push_back(one);
  }
  if (spec.files.empty()) data.Fail("", "[[data.file]] is needed");
  const std::string separator = data.String("separator", ",");
  if (separator == "tab") {
    spec.separator = '\t';
  } else if (separator.size() == 1) {
    spec.separator = separator[0];
  } else {
    data.Fail("separator", "'separator' is one character or \"tab\"");
  }
  spec.text = data.RequiredString("text");
  spec.label = data.RequiredString("label");
  spec.word_lists = data.String("word_lists", "");
  spec.only_column = data.String("only_column", "");
  spec.only = data.Strings("only");
  if (spec.only_column.empty() != spec.only.empty()) {
    data.Fail("only", "'only_column' and 'only' go together");
  }
  for (const TomlTable& label : root.Tables("label")) {
    TextLabel one;
    one.value = label.Text("value");
    one.name = label.String("name", one.value);
    for (const TextLabel& other : spec.labels) {
      if (other.value == one.value || other.name == one.name) {
        label.Fail("value", "label '" + one.name + "' comes twice");
      }
    }
    spec.labels.push_back(one);
  }
  if (spec.labels.size() < 2) root.Fail("", "two [[label]] tables at least");
  return spec;
}

Result<TextRows> ReadTexts(const TextSpec& spec, const std::string& folder) {
  TextRows rows;
  std::shared_ptr<const text::WordLists> lists;
  if (!spec.word_lists.empty()) {
    HEED_ASSIGN_OR_RETURN(lists, text::WordLists::ReadFile(
                                     (std::filesystem::path(folder) / spec.word_lists).string()));
  }
  for (const TextFile& file : spec.files) {
    HEED_RETURN_IF_ERROR(ReadOne(spec, file, folder, lists.get(), &rows));
  }
  if (spec.by == TextSpec::SplitBy::kShare) {
    const auto n = static_cast<double>(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      const double place = (static_cast<double>(i) + 0.5) / n;
      rows.folds[i] = place < spec.train_share                      ? 2
                      : place < spec.train_share + spec.valid_share ? 1
                                                                    : 0;
    }
  }
  return rows;
}

uint32_t Md5Modulo(const std::string& bytes, uint32_t n) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_md5(), nullptr);
  uint64_t rest = 0;
  for (unsigned i = 0; i < size; ++i) rest = (rest << 8 | digest[i]) % n;
  return static_cast<uint32_t>(rest);
}

}  // namespace heed::train
