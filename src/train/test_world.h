// A small made-up world with known truth for the tests of this module: users with a taste for one of
// two kinds of item, clicks by taste, times that often coincide.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "train/dataset.h"
#include "train/test_files.h"

namespace heed::train {

struct WorldRow {
  int user, item, kind;
  int64_t time_ms;
  int click, like;
};

struct World {
  std::vector<WorldRow> rows;  // in the order of time
};

World MakeWorld(uint64_t seed, size_t rows);
std::string WorldSpec();  // TOML; min_count 3 on the table "item"; split by share .6 .2 .2
Result<std::unique_ptr<Dataset>> LoadWorld(const World& world, const TestFolder& folder);

}  // namespace heed::train
