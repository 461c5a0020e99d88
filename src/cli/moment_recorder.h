// A file of moments that grows as a broadcast goes on.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "base/status.h"
#include "media/moment.h"

namespace heed::cli {

// docs/formats/moment_file.md. Errors name the file. Not thread-safe.
class MomentRecorder {
 public:
  // What the file held stays; kInvalidArgument when that is no file of moments with this version's columns.
  static Result<MomentRecorder> Open(const std::string& path);
  void Add(const media::Moment& moment);
  // Of all that was written; from the first failure on nothing is.
  const Status& status() const { return status_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  MomentRecorder(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}
  void Write(const std::string& bytes);

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  Status status_;
};

}  // namespace heed::cli
