// Text files of examples/ that are part of the program; embed.cmake writes the definition at build
// time, so there is one copy of each to edit.
#pragma once

#include <span>
#include <string_view>

namespace heed::train {

struct EmbeddedFile {
  std::string_view path;  // relative to examples/
  std::string_view text;
};

std::span<const EmbeddedFile> EmbeddedFiles();

}  // namespace heed::train
