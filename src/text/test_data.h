// Where tests of this module find their files.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "text/labelled_comments.h"

namespace heed::text {

inline std::string Environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return value == nullptr ? "" : value;
}

inline std::string SourcePath(const std::string& path) {
  return Environment("HEED_SOURCE_DIR") + "/" + path;
}

// `which`: "train", "valid" or "held_out".
inline std::vector<LabelledComment> Labelled(const std::string& which) {
  auto read = ReadLabelledComments(SourcePath("src/text/data/comments_" + which + ".tsv"));
  EXPECT_TRUE(read.ok()) << read.status().ToString();
  return read.ok() ? std::move(read).value() : std::vector<LabelledComment>();
}

}  // namespace heed::text
