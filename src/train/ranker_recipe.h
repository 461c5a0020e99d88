// The [ranker] table of a recipe. docs/model.md lists every key and spells the published families.
#pragma once

#include "base/toml_table.h"
#include "model/ranker.h"

namespace heed::train {

// Without the schema, which the data set brings. Mistakes are the table's (TomlTable::Finish).
model::RankerConfig ReadRanker(const TomlTable& table);

}  // namespace heed::train
