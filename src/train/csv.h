// Separated text (RFC 4180): quoted fields, doubled quotes, line breaks inside quotes, CRLF, a
// byte-order mark. One record at a time, so a file may be larger than memory.
#pragma once

#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace heed::train {

// Not thread-safe. Every error message begins "path:line: ".
class CsvReader {
 public:
  // Reads the header: names unique and non-empty.
  static Result<CsvReader> Open(const std::string& path, char separator);

  const std::vector<std::string>& header() const { return header_; }
  // The next record, one view a column, valid until the next call; false at the end. A record with
  // another number of columns than the header, or with broken quotes, is kInvalidArgument.
  Result<bool> Next(std::vector<std::string_view>* fields);
  // Where the record just read begins.
  std::string Where() const { return path_ + ":" + std::to_string(record_line_); }

 private:
  CsvReader(std::string path, std::ifstream in, char separator)
      : path_(std::move(path)), in_(std::move(in)), separator_(separator) {}
  Result<bool> ReadRecord();
  bool Split();  // record_ into fields_; false when a quote is still open at its end
  Status Error(const std::string& what) const { return InvalidArgument(Where() + ": " + what); }

  std::string path_;
  std::ifstream in_;
  char separator_;
  std::vector<std::string> header_;
  std::string record_;
  std::vector<std::string> fields_;
  size_t field_count_ = 0;  // of fields_, which keeps its strings' memory
  bool garbage_after_quote_ = false;
  size_t line_ = 0;         // last line read, from 1
  size_t record_line_ = 0;  // first line of the current record
};

}  // namespace heed::train
