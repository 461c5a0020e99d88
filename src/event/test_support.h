// What this module's tests share: the spec's files and its examples.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "event/json.h"

namespace heed::event {

// A file of the repository; ctest says where that is, by hand it is the working directory.
inline std::string ReadSourceFile(const std::string& path) {
  const char* root = std::getenv("HEED_SOURCE_DIR");
  std::ifstream file(std::string(root == nullptr ? "." : root) + "/" + path, std::ios::binary);
  EXPECT_TRUE(file) << "cannot read " << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The spec's 79 examples, one JSON text each; all 54 types are among them.
inline const std::vector<std::string>& ExampleTexts() {
  static const auto texts = [] {
    std::vector<std::string> lines;
    for (const char* name : {"events.examples.jsonl", "events.alltypes.jsonl"}) {
      std::istringstream file(ReadSourceFile(std::string("docs/spec/") + name));
      for (std::string line; std::getline(file, line);) lines.push_back(line);
    }
    return lines;
  }();
  return texts;
}

inline std::vector<Event> Examples() {
  std::vector<Event> events;
  JsonReader reader;
  for (const std::string& text : ExampleTexts()) {
    auto event = reader.ReadOne(text);
    EXPECT_TRUE(event.ok()) << event.status().ToString() << "\n" << text;
    if (event.ok()) events.push_back(std::move(event).value());
  }
  return events;
}

}  // namespace heed::event
