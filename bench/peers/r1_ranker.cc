#include "peers/r1_ranker.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace heed::r1 {

model::RankerConfig ConfigOf(Family family) {
  model::RankerConfig config;
  config.schema.fields = {{"viewer", "viewer", model::Side::kRequest},
                          {"context", "context", model::Side::kRequest}};
  model::SequenceSpec history{.name = "history", .max_length = 1000};
  for (const char* name : kItemTables) {
    config.schema.fields.push_back({name, name, model::Side::kCandidate});
    history.tables.emplace_back(name);
    history.query_fields.emplace_back(name);
  }
  config.schema.sequences = {history};
  for (size_t t = 0; t < kOutputs; ++t) config.schema.tasks.push_back({fmt::format("task{}", t)});
  config.embedding_width = kWidth;
  config.projection = kWidth;
  config.attention_heads = 4;
  config.attention_width = kWidth;
  config.hidden = {256, 128, 64};
  config.mean_pool = false;
  config.null_slot = false;
  config.initial_decay = 0.0f;
  if (family == Family::kDin) {
    config.pool = {.kind = model::PoolKind::kDin,
                   .hidden = {80, 40},
                   .activation = nn::ActivationKind::kPRelu};
  }
  return config;
}

nn::EmbeddingTable TableOf(const nn::TableShape& shape, const float* values, size_t rows) {
  nn::EmbeddingTable table(shape);
  nn::EmbeddingTable::Stored stored;
  stored.keys.reserve(rows + 2);
  stored.keys = {0, 0};
  for (size_t row = 0; row < rows; ++row) stored.keys.push_back(row + 1);
  stored.values.resize((rows + 2) * shape.width);
  std::copy_n(values, rows * shape.width, stored.values.data() + 2 * shape.width);
  if (!table.Restore(std::move(stored)).ok()) std::abort();
  return table;
}

}  // namespace heed::r1
