#include <algorithm>
#include <cmath>

#include "base/suggest.h"
#include "model/ranker_net.h"

namespace heed::model {
namespace {

bool Within(uint32_t value, uint32_t low, uint32_t high) { return value >= low && value <= high; }

bool AllWithin(const std::vector<uint32_t>& values, uint32_t low, uint32_t high) {
  return std::all_of(values.begin(), values.end(),
                     [&](uint32_t value) { return Within(value, low, high); });
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Status ValidatePool(const PoolConfig& pool) {
  if (pool.kind > PoolKind::kDinSum || pool.activation > nn::ActivationKind::kDice) {
    return InvalidArgument("no such pooling or activation", "pool");
  }
  if (pool.hidden.empty() || pool.hidden.size() > 8 || !AllWithin(pool.hidden, 1, 4096)) {
    return InvalidArgument("not 1 to 8 hidden layers of 1 to 4096", "pool.hidden");
  }
  if (pool.encoder > EncoderKind::kTiSasRec || !Within(pool.encoder_layers, 1, 16) ||
      !Within(pool.encoder_heads, 1, 64)) {
    return InvalidArgument("no such encoder, or not 1..16 layers of 1..64 heads", "pool.encoder");
  }
  return {};
}

bool ReadsFields(const BlockConfig& block) {
  return block.gate || block.kind == BlockKind::kAutoInt || block.kind == BlockKind::kAfm;
}

Status ValidateBlock(const BlockConfig& block, size_t fields) {
  if (block.kind > BlockKind::kAfm || block.activation > nn::ActivationKind::kDice) {
    return InvalidArgument("no such block or activation", "block.kind");
  }
  if (block.hidden.size() > 16 || !AllWithin(block.hidden, 1, 16384)) {
    return InvalidArgument("more than 16 hidden layers or one not in 1..16384 wide",
                           "block.hidden");
  }
  if (!(block.dropout >= 0.0f && block.dropout < 1.0f)) {
    return InvalidArgument("dropout not in [0, 1)", "block.dropout");
  }
  if (!Within(block.layers, 1, 16)) return InvalidArgument("layers not in 1..16", "block.layers");
  if (block.rank > 4096) return InvalidArgument("rank above 4096", "block.rank");
  if (!Within(block.gate_hidden, 1, 4096)) {
    return InvalidArgument("gate not in 1..4096 wide", "block.gate_hidden");
  }
  if (!Within(block.heads, 1, 64) || !Within(block.width, 1, 4096) ||
      (block.kind == BlockKind::kAutoInt && block.width % block.heads != 0)) {
    return InvalidArgument("width not in 1..4096 or no multiple of 1..64 heads", "block.width");
  }
  if (ReadsFields(block) && fields == 0) {
    return InvalidArgument("a block of fields, and the schema has none", "block.kind");
  }
  return {};
}

Status ValidateProjection(const RankerConfig& config) {
  if (config.projection == 0) return {};
  if (config.projection > 4096) return InvalidArgument("wider than 4096", "projection");
  if (config.schema.FieldsOf(Side::kCandidate).empty()) {
    return InvalidArgument("nothing to project: the candidate has no field", "projection");
  }
  for (const BlockConfig& block : config.Blocks()) {
    if (ReadsFields(block)) {
      return InvalidArgument(
          "autoint, afm and gates read fields, which a projection merges into one", "projection");
    }
  }
  return {};
}

Status ValidateLinks(const RankerConfig& config) {
  std::vector<std::string> tasks, linked;
  for (const TaskSpec& task : config.schema.tasks) tasks.push_back(task.name);
  for (const LinkConfig& link : config.links) {
    for (const std::string& name : {link.task, link.given}) {
      if (!Contains(tasks, name)) {
        return InvalidArgument("links '" + name + "', which is no task" + Suggestion(name, tasks),
                               "links");
      }
    }
    for (const TaskSpec& task : config.schema.tasks) {
      if (task.kind == TaskKind::kBinary || (task.name != link.task && task.name != link.given))
        continue;
      return InvalidArgument("links '" + task.name + "', which is no probability", "links");
    }
    // Its probability must be final when a later link reads it, and nothing follows from itself.
    if (link.task == link.given || Contains(linked, link.task)) {
      return InvalidArgument(
          "'" + link.task + "' is linked to itself, twice, or after what follows from it", "links");
    }
    linked.insert(linked.end(), {link.task, link.given});
  }
  return {};
}

Status ValidateFamilies(const RankerConfig& config) {
  HEED_RETURN_IF_ERROR(ValidateProjection(config));
  HEED_RETURN_IF_ERROR(ValidatePool(config.pool));
  std::vector<std::string> names, pooled;
  for (const SequenceSpec& sequence : config.schema.sequences) names.push_back(sequence.name);
  for (const SequencePool& own : config.pools) {
    HEED_RETURN_IF_ERROR(ValidatePool(own.pool));
    if (!Contains(names, own.sequence) || Contains(pooled, own.sequence)) {
      return InvalidArgument("pools '" + own.sequence + "', which is no sequence or has a pool" +
                                 Suggestion(own.sequence, names),
                             "pools");
    }
    pooled.push_back(own.sequence);
  }
  for (size_t s = 0; s < names.size(); ++s) {
    if (config.PoolOf(s).kind != PoolKind::kDot && config.schema.sequences[s].tables.empty()) {
      return InvalidArgument("a DIN unit over tokens without parts", "pool");
    }
    const size_t width = TokenWidthOf(config, s);
    const PoolConfig& pool = config.PoolOf(s);
    if (pool.encoder != EncoderKind::kNone && (width == 0 || width % pool.encoder_heads != 0)) {
      return InvalidArgument("tokens of '" + names[s] + "' are " + std::to_string(width) +
                                 " wide, no multiple of the encoder's heads",
                             "pool.encoder_heads");
    }
  }
  if (config.blocks.size() > 16) return InvalidArgument("more than 16 blocks", "blocks");
  for (const BlockConfig& block : config.Blocks()) {
    HEED_RETURN_IF_ERROR(ValidateBlock(block, config.schema.fields.size()));
  }
  const HeadConfig& head = config.head;
  if (head.kind > HeadKind::kPle || !Within(head.experts, 1, 64) || head.own_experts > 64 ||
      !Within(head.levels, 1, 8) || !Within(head.width, 1, 4096)) {
    return InvalidArgument("no such head, or not 1..64 experts of 1..4096 in 1..8 levels", "head");
  }
  return ValidateLinks(config);
}

}  // namespace

const PoolConfig& RankerConfig::PoolOf(size_t sequence) const {
  for (const SequencePool& own : pools) {
    if (own.sequence == schema.sequences[sequence].name) return own.pool;
  }
  return pool;
}

std::vector<BlockConfig> RankerConfig::Blocks() const {
  if (!blocks.empty()) return blocks;
  BlockConfig mlp;
  mlp.hidden = hidden;
  mlp.dropout = dropout;
  return {mlp};
}

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
  return ValidateFamilies(config);
}

size_t TokenWidthOf(const RankerConfig& config, size_t sequence) {
  if (config.projection > 0) return config.projection;
  return config.schema.sequences[sequence].tables.size() * config.embedding_width;
}

nn::EncoderShape EncoderShapeOf(const RankerConfig& config, size_t sequence) {
  const PoolConfig& pool = config.PoolOf(sequence);
  const SequenceSpec& spec = config.schema.sequences[sequence];
  const size_t width = TokenWidthOf(config, sequence);
  nn::EncoderShape shape{.width = width, .layers = pool.encoder_layers, .hidden = width};
  shape.attention.heads = pool.encoder_heads;
  shape.attention.causal = true;
  shape.attention.positions = std::min<size_t>(spec.max_length, 64);
  if (pool.encoder == EncoderKind::kTiSasRec) {
    shape.attention.intervals = 24;  // doublings from a minute up to some thirty years
    shape.attention.time_scale = 60.0;
  }
  return shape;
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
  item_fields_width = candidate_width;
  if (config.projection > 0) candidate_width = config.projection;
  request_numerics = schema.NumericsOf(Side::kRequest).size();
  candidate_numerics = schema.NumericsOf(Side::kCandidate).size();
  request_numerics_column = take(&request_width, 2 * request_numerics);
  candidate_numerics_column = take(&candidate_width, 2 * candidate_numerics);
  context_width = request_width;
  for (const SequenceSpec& spec : schema.sequences) {
    Sequence sequence;
    for (const std::string& table : spec.tables) sequence.tables.push_back(table_of(table));
    for (const std::string& query : spec.query_fields) {
      for (size_t i = 0; config.projection == 0 && i < schema.fields.size(); ++i) {
        if (schema.fields[i].name == query) sequence.queries.push_back(candidate_index[i]);
      }
    }
    sequence.query_width = config.projection > 0 ? config.projection : sequence.queries.size() * d;
    sequence.token_width = TokenWidthOf(config, sequences.size());
    sequence.length_column = take(&request_width, 1);
    if (config.mean_pool) sequence.mean_column = take(&request_width, sequence.token_width);
    const bool dot = config.PoolOf(sequences.size()).kind == PoolKind::kDot;
    sequence.out_width = dot ? config.attention_width : sequence.token_width;
    sequence.heads = dot ? config.attention_heads : 1;
    sequence.out_column = take(&candidate_width, sequence.out_width);
    sequence.evidence_column = take(&candidate_width, sequence.heads);
    sequences.push_back(std::move(sequence));
  }
  shape = {.request_width = request_width,
           .candidate_width = candidate_width,
           .request_fields = request_fields.size(),
           .candidate_fields = config.projection > 0 ? 0 : candidate_fields.size(),
           .field_width = d};
  for (const BlockConfig& block : config.Blocks()) {
    outputs.push_back(BlockOutputs(block, shape));
    output_width += outputs.back();
  }
  const auto task_of = [&](const std::string& name) {
    const auto found = std::find_if(schema.tasks.begin(), schema.tasks.end(),
                                    [&](const TaskSpec& task) { return task.name == name; });
    return static_cast<size_t>(found - schema.tasks.begin());
  };
  for (const TaskSpec& task : config.schema.tasks) given.push_back(task_of(task.given));
  for (const LinkConfig& link : config.links) {
    links.push_back({task_of(link.task), task_of(link.given)});
  }
}

uint64_t Layout::DenseCount(const RankerConfig& config) const {
  const uint64_t d = config.embedding_width, W = config.attention_width;
  const uint64_t H = config.attention_heads, T = config.schema.tasks.size();
  const uint64_t I = config.projection;
  uint64_t count = I > 0 ? (item_fields_width + 1) * I : 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const Sequence& s = sequences[i];
    const PoolConfig& pool = config.PoolOf(i);
    const uint64_t Dq = s.query_width, Dt = s.token_width;
    if (I > 0) count += (s.tables.size() * d + 1) * I;
    if (pool.encoder != EncoderKind::kNone) {
      const nn::MultiHeadShape own = EncoderShapeOf(config, i).attention;
      const uint64_t biases = own.heads * (own.positions + own.intervals);
      count += pool.encoder_layers * (6 * Dt * Dt + 9 * Dt + biases) + 2 * Dt;
    }
    if (pool.kind == PoolKind::kDot) {
      count += (Dq + 2 * Dt) * W + W + 2 * H;
      if (pool.temperature) count += (context_width + 1) * H;
      continue;
    }
    if (Dq != Dt) count += Dq * Dt;
    if (pool.kind == PoolKind::kDin) count += 2;
    uint64_t width = 4 * Dt;
    const uint64_t extra = pool.activation == nn::ActivationKind::kRelu ? 1 : 2;
    for (const uint64_t next : pool.hidden) {
      count += (width + extra) * next;
      width = next;
    }
    count += width + 1;
  }
  for (const BlockConfig& block : config.Blocks()) count += BlockCount(block, shape);
  count += Head::Count(config.head, output_width, T);
  if (config.wide) count += 2 * (request_numerics + candidate_numerics) * T;
  return count;
}

}  // namespace heed::model
