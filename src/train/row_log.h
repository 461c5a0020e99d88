// All rows of a data set in the order of time, as columns: text as codes of a dictionary, numbers as
// doubles. What the causal features are computed from.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "train/dataset_spec.h"

namespace heed::train {

class Dictionary {
 public:
  // Code 0 is "missing", the others count up in order of first sight.
  uint32_t Add(std::string_view text);
  uint32_t Find(std::string_view text) const;  // 0 when unknown
  const std::string& text(uint32_t code) const { return texts_[code]; }
  uint32_t size() const { return static_cast<uint32_t>(texts_.size()); }

 private:
  struct Hash {
    using is_transparent = void;  // NOLINT(readability-identifier-naming): the library's name
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, uint32_t, Hash, std::equal_to<>> codes_;
  std::vector<std::string> texts_ = {""};
};

struct TextColumn {
  std::vector<uint32_t> codes;  // [rows]
  Dictionary dictionary;
};
using NumberColumn = std::vector<double>;  // [rows], NaN: missing

struct RowLog {
  std::vector<int64_t> time_ms;     // [rows], ascending
  std::vector<Split> split;         // [rows]; kNone: history only
  std::vector<uint8_t> is_history;  // [rows]: came from a [[history]]
  std::map<std::string, TextColumn> texts;
  std::map<std::string, NumberColumn> numbers;
  std::vector<std::vector<float>> labels;  // [labels][rows], NaN: unknown

  uint32_t rows() const { return static_cast<uint32_t>(time_ms.size()); }
  // The first row at or after `time_ms`: rows before it are the strictly earlier ones.
  uint32_t FirstAtOrAfter(int64_t time) const;
};

// Reads every file the spec names. Errors name file and line; a column without a role, a role
// without a column, and a key twice in a side table are errors.
Result<RowLog> LoadRows(const DatasetSpec& spec, const std::string& folder);

}  // namespace heed::train
