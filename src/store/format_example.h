// Tests of formats: the worked example of a page in docs/formats, so that page and code cannot part.
#pragma once

#include <cctype>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace heed::store {

// The bytes of the page's ```hex block: two digits each, from `#` to the end of a line is comment.
// Empty when there is no such page or block.
inline std::string FormatExample(const std::string& page) {
  const char* root = std::getenv("HEED_SOURCE_DIR");  // NOLINT(concurrency-mt-unsafe)
  std::ifstream file(std::string(root != nullptr ? root : ".") + "/docs/formats/" + page);
  std::string line;
  while (std::getline(file, line) && line != "```hex") {
  }
  std::string bytes;
  while (std::getline(file, line) && line != "```") {
    std::istringstream words(line.substr(0, line.find('#')));
    for (std::string word; words >> word;) {
      bytes += static_cast<char>(std::stoi(word, nullptr, 16));
    }
  }
  return bytes;
}

}  // namespace heed::store
