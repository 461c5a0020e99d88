#include "base/file.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>

namespace heed {

Result<std::string> ReadWholeFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return NotFound(path + ": cannot be opened");
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (in.bad()) return IoError(path + ": cannot be read");
  return bytes;
}

Status ReplaceFile(const std::string& path, std::string_view bytes) {
  const std::string partial = path + ".partial";
  std::FILE* file = std::fopen(partial.c_str(), "wb");
  if (file == nullptr) return IoError(partial + ": cannot be opened");
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size() &&
                       std::fflush(file) == 0 && fsync(fileno(file)) == 0;
  const bool closed = std::fclose(file) == 0;
  if (!written || !closed) return IoError(partial + ": cannot be written");
  if (std::rename(partial.c_str(), path.c_str()) != 0) {
    return IoError(path + ": cannot be replaced");
  }
  return {};
}

}  // namespace heed
