// Labelled texts from a CSV file, and which of them train, validate and test.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/toml_table.h"

namespace heed::train {

struct TextLabel {
  std::string value;  // as it stands in the column
  std::string name;   // as it is shown
};

struct TextFile {
  std::string path;   // relative to the data folder
  std::string split;  // "train", "valid", "test" with SplitBy::kFile
};

struct TextSpec {
  enum class SplitBy : uint8_t {
    kHash,   // the MD5 of the text, as a number, modulo `folds`
    kFile,   // each file is one split
    kShare,  // in the order of the file: train, then valid, then test
  };

  std::vector<TextFile> files;
  char separator = ',';
  std::string text, label;  // columns
  std::string word_lists;   // relative to the data folder: their tokens stand before each text
  std::string only_column;  // keep rows whose value there is in `only`; "": all
  std::vector<std::string> only;
  std::vector<TextLabel> labels;  // every value that may occur
  SplitBy by = SplitBy::kHash;
  uint32_t folds = 10, test_fold = 0, valid_fold = 1;
  double train_share = 0.8, valid_share = 0.1;
};

// Reads [data], [[label]] and [split]; errors go to the tables.
TextSpec ReadTextSpec(const TomlTable& root);

struct TextRows {
  std::vector<std::string> texts;
  std::vector<uint32_t> labels;  // index into the spec's
  std::vector<uint32_t> folds;   // kHash: the fold; else 0 test, 1 valid, 2 train

  size_t size() const { return texts.size(); }
};

// Errors are "file:line: ...". A byte-order mark at the start of a text is part of its hash.
Result<TextRows> ReadTexts(const TextSpec& spec, const std::string& folder);

// The 128-bit MD5 of `bytes`, read as one big-endian number, modulo n.
uint32_t Md5Modulo(const std::string& bytes, uint32_t n);

}  // namespace heed::train
