#include <algorithm>
#include <cmath>

#include "model/ranker_net.h"

namespace heed::model {

Status ValidateConfig(const RankerConfig& config) {
  HEED_RETURN_IF_ERROR(config.schema.Validate());
  const auto within = [](uint32_t value, uint32_t low, uint32_t high) {
    return value >= low && value <= high;
  };
  // The limits are far above any sensible model; they keep a damaged file from asking for the moon.
  if (!within(config.embedding_width, 1, 1024)) {
    return InvalidArgument("embedding width not in 1..1024", "embedding_width");
  }
  if (!within(config.attention_heads, 1, 64) || !within(config.attention_width, 1, 4096) ||
      config.attention_width % config.attention_heads != 0) {
    return InvalidArgument("attention width not in 1..4096 or no multiple of 1..64 heads",
                           "attention_width");
  }
  if (config.hidden.size() > 16 ||
      !std::all_of(config.hidden.begin(), config.hidden.end(),
                   [&](uint32_t width) { return within(width, 1, 16384); })) {
    return InvalidArgument("more than 16 hidden layers or one not in 1..16384 wide", "hidden");
  }
  const Schema& schema = config.schema;
  if (schema.fields.size() > 4096 || schema.numerics.size() > 65536 ||
      schema.sequences.size() > 64 || schema.tasks.size() > 256 ||
      std::any_of(schema.sequences.begin(), schema.sequences.end(), [](const SequenceSpec& s) {
        return s.tables.size() > 64 || s.query_fields.size() > 64 || s.max_length > 65536;
      })) {
    return InvalidArgument("schema too large", "schema");
  }
  if (config.admit_after == 0) return InvalidArgument("admission after 0 sights", "admit_after");
  const auto positive = [](float v) { return std::isfinite(v) && v > 0.0f; };
  if (!(config.dropout >= 0.0f && config.dropout < 1.0f)) {
    return InvalidArgument("dropout not in [0, 1)", "dropout");
  }
  if (!positive(config.age_scale_s)) return InvalidArgument("not positive", "age_scale_s");
  if (!positive(config.numeric_clip)) return InvalidArgument("not positive", "numeric_clip");
  if (!std::isfinite(config.init_deviation) || config.init_deviation < 0.0f) {
    return InvalidArgument("not a deviation", "init_deviation");
  }
  if (!std::isfinite(config.initial_decay) || config.initial_decay < 0.0f) {
    return InvalidArgument("negative or no number", "initial_decay");
  }
  return {};
}

Layout::Layout(const RankerConfig& config) {
  const Schema& schema = config.schema;
  const size_t d = config.embedding_width;
  const auto table_of = [&](const std::string& name) {
    const auto found = std::find(tables.begin(), tables.end(), name);
    if (found != tables.end()) return static_cast<size_t>(found - tables.begin());
    tables.push_back(name);
    return tables.size() - 1;
  };
  const auto take = [](size_t* width, size_t columns) {
    const size_t column = *width;
    *width += columns;
    return column;
  };
  std::vector<size_t> candidate_index(schema.fields.size());
  for (size_t i = 0; i < schema.fields.size(); ++i) {
    const FieldSpec& field = schema.fields[i];
    const bool request = field.side == Side::kRequest;
    auto& fields = request ? request_fields : candidate_fields;
    candidate_index[i] = fields.size();
    fields.push_back({table_of(field.table), take(request ? &request_width : &candidate_width, d)});
  }
  request_numerics = schema.NumericsOf(Side::kRequest).size();
  candidate_numerics = schema.NumericsOf(Side::kCandidate).size();
  request_numerics_column = take(&request_width, 2 * request_numerics);
  candidate_numerics_column = take(&candidate_width, 2 * candidate_numerics);
  for (const SequenceSpec& spec : schema.sequences) {
    Sequence sequence;
    for (const std::string& table : spec.tables) sequence.tables.push_back(table_of(table));
    for (const std::string& query : spec.query_fields) {
      for (size_t i = 0; i < schema.fields.size(); ++i) {
        if (schema.fields[i].name == query) sequence.queries.push_back(candidate_index[i]);
      }
    }
    sequence.length_column = take(&request_width, 1);
    if (config.mean_pool) sequence.mean_column = take(&request_width, spec.tables.size() * d);
    sequence.out_column = take(&candidate_width, config.attention_width);
    sequence.evidence_column = take(&candidate_width, config.attention_heads);
    sequences.push_back(std::move(sequence));
  }
}

uint64_t Layout::DenseCount(const RankerConfig& config) const {
  const uint64_t d = config.embedding_width, W = config.attention_width;
  const uint64_t H = config.attention_heads, T = config.schema.tasks.size();
  uint64_t count = 0, inputs = request_width + candidate_width;
  for (const Sequence& s : sequences) {
    count += (s.queries.size() + 2 * s.tables.size()) * d * W + 2 * H;
  }
  for (const uint64_t width : config.hidden) {
    count += (inputs + 1) * width;
    inputs = width;
  }
  count += (inputs + 1) * T;
  if (config.wide) count += 2 * (request_numerics + candidate_numerics) * T;
  return count;
}

}  // namespace heed::model
