#include "cli/moment_recorder.h"

#include <cerrno>
#include <system_error>

#include "base/file.h"
#include "media/moment_file.h"

namespace heed::cli {

Result<MomentRecorder> MomentRecorder::Open(const std::string& path) {
  const Result<std::string> before = ReadWholeFile(path);
  if (!before.ok() && before.status().code() != Code::kNotFound) return before.status();
  const std::string header = media::MomentFileHeader();
  const bool fresh = !before.ok() || before.value().empty();
  if (!fresh && !before.value().starts_with(header)) {
    return InvalidArgument(path + ": is no file of moments with this version's columns");
  }
  if (!fresh) {
    HEED_ASSIGN_OR_RETURN(media::MomentFileReader reader,
                          media::MomentFileReader::Open(before.value()));
    for (;;) {
      const auto next = reader.Next();
      if (!next.ok()) return next.status().Within(path);
      if (!next.value()) break;
    }
  }
  MomentRecorder out(path, std::fopen(path.c_str(), "ab"));
  if (out.file_ == nullptr) return IoError(path + ": cannot be written");
  if (fresh) out.Write(header);
  return out;
}

void MomentRecorder::Add(const media::Moment& moment) {
  std::string bytes;
  media::AppendMoment(moment, &bytes);
  Write(bytes);
}

void MomentRecorder::Write(const std::string& bytes) {
  if (!status_.ok()) return;
  // Each record at once: what was measured before a crash is there after it.
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) == bytes.size() &&
      std::fflush(file_.get()) == 0) {
    return;
  }
  status_ = IoError(path_ + ": " + std::system_category().message(errno) +
                    "; the records from here on are not in it");
  std::fprintf(stderr, "heed: %s\n", status_.message().c_str());
}

}  // namespace heed::cli
