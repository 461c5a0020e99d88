// The model file: a tensor file (nn/tensor_file.h) whose tensor "config" describes the ranker and
// whose other tensors are its numbers. docs/formats/model.md.
#include "model/ranker_file.h"

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "nn/tensor_file.h"

namespace heed::model {
namespace {

constexpr uint64_t kVersion = 1;

void WriteStrings(ByteWriter& out, const std::vector<std::string>& strings) {
  out.Varint(strings.size());
  for (const std::string& s : strings) out.String(s);
}

std::string EncodeConfig(const RankerConfig& config) {
  std::string bytes;
  ByteWriter out(bytes);
  const auto side = [&](Side s) { out.Fixed(static_cast<uint8_t>(s)); };
  out.Varint(kVersion);
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
  out.Varint(config.hidden.size());
  for (const uint32_t width : config.hidden) out.Varint(width);
  out.Fixed(static_cast<uint8_t>(config.mean_pool));
  out.Fixed(static_cast<uint8_t>(config.null_slot));
  out.Fixed(static_cast<uint8_t>(config.wide));
  out.Fixed(config.dropout);
  out.Varint(config.admit_after);
  out.Fixed(config.init_deviation);
  out.Fixed(config.initial_decay);
  out.Fixed(config.age_scale_s);
  out.Fixed(config.numeric_clip);
  return bytes;
}

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

  RankerConfig Read() {
    RankerConfig config;
    if (in.Varint() != kVersion) in.Fail();
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
    config.hidden.resize(Count());
    for (uint32_t& width : config.hidden) width = Number();
    config.mean_pool = Bool();
    config.null_slot = Bool();
    config.wide = Bool();
    config.dropout = in.Fixed<float>();
    config.admit_after = Number();
    config.init_deviation = in.Fixed<float>();
    config.initial_decay = in.Fixed<float>();
    config.age_scale_s = in.Fixed<float>();
    config.numeric_clip = in.Fixed<float>();
    if (in.remaining() != 0) in.Fail();
    return config;
  }

  ByteReader in;
};

bool AllFinite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

// Reads a vector whose length is known beforehand, and refuses NaN and infinity: one of them in a
// weight would make every answer NaN.
Status ReadFinite(const nn::TensorReader& in, const std::string& name,
                  const std::vector<uint64_t>& dims, std::span<float> out) {
  HEED_RETURN_IF_ERROR(in.Floats(name, dims, out));
  return AllFinite(out) ? Status() : Corruption(name + ": not finite");
}

std::string TableName(size_t i) { return "table." + std::to_string(i); }

void WriteTable(const nn::EmbeddingTable& table, const std::string& name, nn::TensorWriter* out) {
  const uint64_t n = table.rows(), width = table.width();
  std::vector<uint64_t> waiting_keys;
  std::vector<uint32_t> waiting_counts;
  for (const auto& waiting : table.waiting()) {
    waiting_keys.push_back(waiting.key);
    waiting_counts.push_back(waiting.count);
  }
  out->Uint64s(name + ".keys", table.keys());
  out->Uint64s(name + ".waiting.keys", waiting_keys);
  out->Uint32s(name + ".waiting.counts", waiting_counts);
  out->Floats(name + ".values", table.values(), {n, width});
  out->Floats(name + ".moment1", table.moment1(), {n, width});
  out->Floats(name + ".moment2", table.moment2(), {n, width});
  out->Floats(name + ".squares", table.squares(), {n});
}

Status ReadTable(const nn::TensorReader& in, const std::string& name, nn::EmbeddingTable* table) {
  nn::EmbeddingTable::Stored stored;
  HEED_ASSIGN_OR_RETURN(stored.keys, in.Uint64s(name + ".keys"));
  HEED_ASSIGN_OR_RETURN(const auto waiting_keys, in.Uint64s(name + ".waiting.keys"));
  HEED_ASSIGN_OR_RETURN(const auto waiting_counts, in.Uint32s(name + ".waiting.counts"));
  if (waiting_keys.size() != waiting_counts.size()) return Corruption(name + ": waiting keys");
  for (size_t i = 0; i < waiting_keys.size(); ++i) {
    stored.waiting.push_back({waiting_keys[i], waiting_counts[i]});
  }
  const uint64_t n = stored.keys.size(), width = table->width();
  const auto read = [&](const char* part, const std::vector<uint64_t>& dims,
                        nn::Floats* out) -> Status {
    HEED_ASSIGN_OR_RETURN(const uint64_t length, in.Length(name + part, nn::TensorType::kFloat32));
    // The file holds that many, so allocating them is no attack.
    out->resize(length);
    return ReadFinite(in, name + part, dims, *out);
  };
  HEED_RETURN_IF_ERROR(read(".values", {n, width}, &stored.values));
  HEED_RETURN_IF_ERROR(read(".moment1", {n, width}, &stored.moment1));
  HEED_RETURN_IF_ERROR(read(".moment2", {n, width}, &stored.moment2));
  HEED_RETURN_IF_ERROR(read(".squares", {n}, &stored.squares));
  return table->Restore(std::move(stored)).Within(name + ": ");
}

}  // namespace

std::string EncodeNet(const Net& net) {
  nn::TensorWriter out;
  out.Bytes("config", EncodeConfig(net.config));
  out.Uint64s("state", std::vector<uint64_t>{net.seed, net.updates});
  const auto vector = [&](const std::string& name, const std::vector<float>& values) {
    out.Floats(name, values, {values.size()});
  };
  vector("numeric.mean", net.numeric_mean);
  vector("numeric.deviation", net.numeric_deviation);
  vector("calibration.scale", net.calibration_scale);
  vector("calibration.shift", net.calibration_shift);
  for (const nn::Parameter* p : net.Parameters()) {
    const auto matrix = [&](const std::string& name, const nn::Matrix& m) {
      out.Floats(name, {m.data(), m.size()}, {m.rows(), m.cols()});
    };
    matrix(p->name, p->value);
    matrix(p->name + ".moment1", p->moment1);
    matrix(p->name + ".moment2", p->moment2);
  }
  for (size_t i = 0; i < net.tables.size(); ++i) WriteTable(net.tables[i], TableName(i), &out);
  return out.Finish();
}

Result<std::unique_ptr<Net>> DecodeNet(std::string_view bytes) {
  HEED_ASSIGN_OR_RETURN(const nn::TensorReader in, nn::TensorReader::Open(bytes));
  HEED_ASSIGN_OR_RETURN(const std::string_view config_bytes, in.Bytes("config"));
  ConfigReader reader(config_bytes);
  const RankerConfig config = reader.Read();
  if (!reader.in.ok()) return Corruption("model: config damaged or of another version");
  if (Status status = ValidateConfig(config); !status.ok()) return Corruption(status.message());
  // Weights are in the file, so a model larger than it is a lie told before any memory is taken.
  if (Layout(config).DenseCount(config) > bytes.size() / sizeof(float)) {
    return Corruption("model: config larger than the file");
  }
  HEED_ASSIGN_OR_RETURN(const auto state, in.Uint64s("state"));
  if (state.size() != 2) return Corruption("model: state");
  auto net = std::make_unique<Net>(config, state[0]);
  net->updates = state[1];
  const auto vector = [&](const std::string& name, std::vector<float>* values) {
    return ReadFinite(in, name, {values->size()}, *values);
  };
  HEED_RETURN_IF_ERROR(vector("numeric.mean", &net->numeric_mean));
  HEED_RETURN_IF_ERROR(vector("numeric.deviation", &net->numeric_deviation));
  for (const float deviation : net->numeric_deviation) {
    if (deviation <= 0.0f) return Corruption("model: a deviation that is not positive");
  }
  HEED_RETURN_IF_ERROR(vector("calibration.scale", &net->calibration_scale));
  HEED_RETURN_IF_ERROR(vector("calibration.shift", &net->calibration_shift));
  size_t tensors = 6;
  for (nn::Parameter* p : net->Parameters()) {
    const auto matrix = [&](const std::string& name, nn::Matrix* m) {
      ++tensors;
      return ReadFinite(in, name, {m->rows(), m->cols()}, {m->data(), m->size()});
    };
    HEED_RETURN_IF_ERROR(matrix(p->name, &p->value));
    HEED_RETURN_IF_ERROR(matrix(p->name + ".moment1", &p->moment1));
    HEED_RETURN_IF_ERROR(matrix(p->name + ".moment2", &p->moment2));
  }
  for (size_t i = 0; i < net->tables.size(); ++i) {
    HEED_RETURN_IF_ERROR(ReadTable(in, TableName(i), &net->tables[i]));
    tensors += 7;
  }
  if (tensors != in.count()) return Corruption("model: tensors that do not belong");
  return net;
}

}  // namespace heed::model
