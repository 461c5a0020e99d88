#include "train/csv.h"

#include <cerrno>
#include <system_error>
#include <unordered_set>

namespace heed::train {
namespace {

// A quote that is never closed would otherwise swallow the rest of the file.
constexpr size_t kMaxRecordBytes = size_t{1} << 22;

}  // namespace

Result<CsvReader> CsvReader::Open(const std::string& path, char separator) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in)
    return NotFound(path + ": " + std::generic_category().message(errno != 0 ? errno : ENOENT));
  CsvReader reader(path, std::move(in), separator);
  HEED_ASSIGN_OR_RETURN(const bool any, reader.ReadRecord());
  if (!any) return InvalidArgument(path + ":1: the file is empty, a header line was expected");
  std::unordered_set<std::string> seen;
  for (size_t i = 0; i < reader.field_count_; ++i) {
    const std::string& name = reader.fields_[i];
    // The first may have none: the row numbers that pandas writes. Nobody can ask for it.
    if (name.empty() && i > 0)
      return reader.Error("column " + std::to_string(i + 1) + " has no name");
    if (!seen.insert(name).second) return reader.Error("column '" + name + "' appears twice");
    reader.header_.push_back(name);
  }
  return reader;
}

Result<bool> CsvReader::Next(std::vector<std::string_view>* fields) {
  HEED_ASSIGN_OR_RETURN(const bool any, ReadRecord());
  if (!any) return false;
  if (field_count_ != header_.size()) {
    return Error("expected " + std::to_string(header_.size()) + " columns, found " +
                 std::to_string(field_count_));
  }
  fields->assign(fields_.begin(), fields_.begin() + static_cast<ptrdiff_t>(field_count_));
  return true;
}

Result<bool> CsvReader::ReadRecord() {
  std::string line;
  do {  // a blank line is no record, except in a file of one column, where it is a missing value
    if (!std::getline(in_, line)) {
      if (in_.bad()) return IoError(path_ + ": " + std::generic_category().message(errno));
      return false;
    }
    ++line_;
    if (line_ == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
  } while (header_.size() != 1 && (line.empty() || line == "\r"));
  record_line_ = line_;
  record_ = std::move(line);
  while (!Split()) {
    if (record_.size() > kMaxRecordBytes || !std::getline(in_, line)) {
      return Error("a quoted field is not closed");
    }
    ++line_;
    record_.append("\n").append(line);
  }
  if (garbage_after_quote_) return Error("text after a closing quote");
  return true;
}

bool CsvReader::Split() {
  std::string_view rest = record_;
  if (rest.ends_with('\r')) rest.remove_suffix(1);
  field_count_ = 0;
  garbage_after_quote_ = false;
  while (true) {
    if (field_count_ == fields_.size()) fields_.emplace_back();
    std::string& field = fields_[field_count_++];
    field.clear();
    if (!rest.starts_with('"')) {
      const size_t end = rest.find(separator_);
      field.assign(rest.substr(0, end));
      if (end == std::string_view::npos) return true;
      rest.remove_prefix(end + 1);
      continue;
    }
    rest.remove_prefix(1);
    while (true) {
      const size_t quote = rest.find('"');
      if (quote == std::string_view::npos) return false;
      field.append(rest.substr(0, quote));
      rest.remove_prefix(quote + 1);
      if (!rest.starts_with('"')) break;
      field.push_back('"');
      rest.remove_prefix(1);
    }
    if (rest.empty()) return true;
    if (rest.front() != separator_) {
      garbage_after_quote_ = true;
      return true;
    }
    rest.remove_prefix(1);
  }
}

}  // namespace heed::train
