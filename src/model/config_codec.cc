#include "model/config_codec.h"

#include "base/bytes.h"

namespace heed::model {
namespace {

// Version 1 knows no families (families.h), version 2 no projection, version 3 no values; a ranker is
// written in the first that can say it.
constexpr uint64_t kPlain = 1, kFamilies = 2, kProjected = 3, kValues = 4;

void WriteStrings(ByteWriter& out, const std::vector<std::string>& strings) {
  out.Varint(strings.size());
  for (const std::string& s : strings) out.String(s);
}

void WriteWidths(ByteWriter& out, const std::vector<uint32_t>& widths) {
  out.Varint(widths.size());
  for (const uint32_t width : widths) out.Varint(width);
}

void WritePool(ByteWriter& out, const PoolConfig& pool) {
  out.Fixed(static_cast<uint8_t>(pool.kind));
  out.Fixed(static_cast<uint8_t>(pool.temperature));
  WriteWidths(out, pool.hidden);
  out.Fixed(static_cast<uint8_t>(pool.activation));
  out.Fixed(static_cast<uint8_t>(pool.encoder));
  out.Varint(pool.encoder_layers);
  out.Varint(pool.encoder_heads);
}

void WriteFamilies(ByteWriter& out, const RankerConfig& config) {
  WritePool(out, config.pool);
  out.Varint(config.pools.size());
  for (const SequencePool& own : config.pools) {
    out.String(own.sequence);
    WritePool(out, own.pool);
  }
  out.Varint(config.blocks.size());
  for (const BlockConfig& block : config.blocks) {
    out.Fixed(static_cast<uint8_t>(block.kind));
    out.Fixed(static_cast<uint8_t>(block.gate));
    out.Varint(block.gate_hidden);
    WriteWidths(out, block.hidden);
    out.Fixed(static_cast<uint8_t>(block.activation));
    out.Fixed(static_cast<uint8_t>(block.batch_norm));
    out.Fixed(block.dropout);
    for (const uint32_t number : {block.layers, block.rank, block.heads, block.width}) {
      out.Varint(number);
    }
  }
  out.Fixed(static_cast<uint8_t>(config.head.kind));
  const HeadConfig& head = config.head;
  for (const uint32_t number : {head.experts, head.own_experts, head.levels, head.width}) {
    out.Varint(number);
  }
  out.Varint(config.links.size());
  for (const LinkConfig& link : config.links) {
    out.String(link.task);
    out.String(link.given);
  }
}

bool HasFamilies(const RankerConfig& config) {
  return !(config.pool == PoolConfig()) || !config.pools.empty() || !config.blocks.empty() ||
         !(config.head == HeadConfig()) || !config.links.empty();
}

uint64_t VersionOf(const RankerConfig& config) {
  for (const TaskSpec& task : config.schema.tasks) {
    if (task.kind != TaskKind::kBinary) return kValues;
  }
  if (config.projection > 0) return kProjected;
  return HasFamilies(config) ? kFamilies : kPlain;
}

}  // namespace

std::string EncodeConfig(const RankerConfig& config) {
  std::string bytes;
  ByteWriter out(bytes);
  const auto side = [&](Side s) { out.Fixed(static_cast<uint8_t>(s)); };
  const uint64_t version = VersionOf(config);
  out.Varint(version);
  const Schema& schema = config.schema;
  out.Varint(schema.fields.size());
  for (const FieldSpec& field : schema.fields) {
    out.String(field.name);
    out.String(field.table);
    side(field.side);
  }
  out.Varint(schema.numerics.size());
  for (const NumericSpec& numeric : schema.numerics) {
    out.String(numeric.name);
    side(numeric.side);
  }
  out.Varint(schema.sequences.size());
  for (const SequenceSpec& sequence : schema.sequences) {
    out.String(sequence.name);
    WriteStrings(out, sequence.tables);
    WriteStrings(out, sequence.query_fields);
    out.Varint(sequence.max_length);
  }
  out.Varint(schema.tasks.size());
  for (const TaskSpec& task : schema.tasks) {
    out.String(task.name);
    out.Fixed(task.loss_weight);
    out.Fixed(task.value);
  }
  out.Varint(config.embedding_width);
  out.Varint(config.attention_heads);
  out.Varint(config.attention_width);
  WriteWidths(out, config.hidden);
  out.Fixed(static_cast<uint8_t>(config.mean_pool));
  out.Fixed(static_cast<uint8_t>(config.null_slot));
  out.Fixed(static_cast<uint8_t>(config.wide));
  out.Fixed(config.dropout);
  out.Varint(config.admit_after);
  out.Fixed(config.init_deviation);
  out.Fixed(config.initial_decay);
  out.Fixed(config.age_scale_s);
  out.Fixed(config.numeric_clip);
  if (version >= kFamilies) WriteFamilies(out, config);
  if (version >= kProjected) out.Varint(config.projection);
  if (version >= kValues) {
    for (const TaskSpec& task : schema.tasks) {
      out.Fixed(static_cast<uint8_t>(task.kind));
      if (task.kind == TaskKind::kBinary) continue;
      out.Fixed(task.huber_delta);
      out.String(task.given);
    }
  }
  return bytes;
}

namespace {

// Reads what EncodeConfig wrote; a value out of range fails the reader.
struct ConfigReader {
  explicit ConfigReader(std::string_view bytes) : in(bytes) {}

  uint32_t Number() {
    const uint64_t value = in.Varint();
    if (value > 0xFFFFFFFFu) in.Fail();
    return static_cast<uint32_t>(value);
  }
  // A count of things of which each takes a byte at least: never more than what is left.
  size_t Count() {
    const uint64_t count = in.Varint();
    if (count > in.remaining()) in.Fail();
    return in.ok() ? count : 0;
  }
  bool Bool() {
    const auto value = in.Fixed<uint8_t>();
    if (value > 1) in.Fail();
    return value == 1;
  }
  std::string Text() { return std::string(in.String()); }
  std::vector<std::string> Texts() {
    std::vector<std::string> texts(Count());
    for (std::string& text : texts) text = Text();
    return texts;
  }

  std::vector<uint32_t> Widths() {
    std::vector<uint32_t> widths(Count());
    for (uint32_t& width : widths) width = Number();
    return widths;
  }
  // A choice that the config's own check knows the limits of.
  template <typename Choice>
  Choice Choose() {
    return static_cast<Choice>(in.Fixed<uint8_t>());
  }
  PoolConfig Pool() {
    PoolConfig pool;
    pool.kind = Choose<PoolKind>();
    pool.temperature = Bool();
    pool.hidden = Widths();
    pool.activation = Choose<nn::ActivationKind>();
    pool.encoder = Choose<EncoderKind>();
    pool.encoder_layers = Number();
    pool.encoder_heads = Number();
    return pool;
  }
  void Families(RankerConfig* config) {
    config->pool = Pool();
    config->pools.resize(Count());
    for (SequencePool& own : config->pools) {
      own.sequence = Text();
      own.pool = Pool();
    }
    config->blocks.resize(Count());
    for (BlockConfig& block : config->blocks) {
      block.kind = Choose<BlockKind>();
      block.gate = Bool();
      block.gate_hidden = Number();
      block.hidden = Widths();
      block.activation = Choose<nn::ActivationKind>();
      block.batch_norm = Bool();
      block.dropout = in.Fixed<float>();
      for (uint32_t* number : {&block.layers, &block.rank, &block.heads, &block.width}) {
        *number = Number();
      }
    }
    HeadConfig& head = config->head;
    head.kind = Choose<HeadKind>();
    for (uint32_t* number : {&head.experts, &head.own_experts, &head.levels, &head.width}) {
      *number = Number();
    }
    config->links.resize(Count());
    for (LinkConfig& link : config->links) {
      link.task = Text();
      link.given = Text();
    }
  }

  RankerConfig Read() {
    RankerConfig config;
    const uint64_t version = in.Varint();
    if (version < kPlain || version > kValues) in.Fail();
    Schema& schema = config.schema;
    schema.fields.resize(Count());
    for (FieldSpec& field : schema.fields) {
      field.name = Text();
      field.table = Text();
      field.side = Bool() ? Side::kCandidate : Side::kRequest;
    }
    schema.numerics.resize(Count());
    for (NumericSpec& numeric : schema.numerics) {
      numeric.name = Text();
      numeric.side = Bool() ? Side::kCandidate : Side::kRequest;
    }
    schema.sequences.resize(Count());
    for (SequenceSpec& sequence : schema.sequences) {
      sequence.name = Text();
      sequence.tables = Texts();
      sequence.query_fields = Texts();
      sequence.max_length = Number();
    }
    schema.tasks.resize(Count());
    for (TaskSpec& task : schema.tasks) {
      task.name = Text();
      task.loss_weight = in.Fixed<float>();
      task.value = in.Fixed<float>();
    }
    config.embedding_width = Number();
    config.attention_heads = Number();
    config.attention_width = Number();
    config.hidden = Widths();
    config.mean_pool = Bool();
    config.null_slot = Bool();
    config.wide = Bool();
    config.dropout = in.Fixed<float>();
    config.admit_after = Number();
    config.init_deviation = in.Fixed<float>();
    config.initial_decay = in.Fixed<float>();
    config.age_scale_s = in.Fixed<float>();
    config.numeric_clip = in.Fixed<float>();
    if (version >= kFamilies) Families(&config);
    if (version >= kProjected) config.projection = Number();
    if (version >= kValues) {
      for (TaskSpec& task : schema.tasks) {
        task.kind = Bool() ? TaskKind::kValue : TaskKind::kBinary;
        if (task.kind == TaskKind::kBinary) continue;
        task.huber_delta = in.Fixed<float>();
        task.given = Text();
      }
    }
    if (version != VersionOf(config)) in.Fail();  // one way to write a config
    if (in.remaining() != 0) in.Fail();
    return config;
  }

  ByteReader in;
};

}  // namespace

Result<RankerConfig> DecodeConfig(std::string_view bytes) {
  ConfigReader reader(bytes);
  RankerConfig config = reader.Read();
  if (!reader.in.ok()) return Corruption("model: config damaged or of another version");
  return config;
}

}  // namespace heed::model
