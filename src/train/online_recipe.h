// The [online] table of a recipe. docs/learning.md lists every key.
#pragma once

#include <string>
#include <vector>

#include "base/toml_table.h"
#include "train/online_trainer.h"

namespace heed::train {

// The same window for every task. Mistakes are the table's (TomlTable::Finish).
OnlineOptions ReadOnline(const TomlTable& table, size_t tasks);

}  // namespace heed::train
