// The [online] table of a recipe. docs/learning.md lists every key.
#pragma once

#include <string>
#include <vector>

#include "train/online_trainer.h"
#include "train/toml_table.h"

namespace heed::train {

// The same window for every task. Mistakes are the table's (TomlTable::Finish).
OnlineOptions ReadOnline(const TomlTable& table, size_t tasks);

}  // namespace heed::train
