// The model file: a tensor file (nn/tensor_file.h) whose tensor "config" describes the ranker and
// whose other tensors are its numbers. docs/formats/model.md.
#include "model/ranker_file.h"

#include <algorithm>
#include <cmath>

#include "model/config_codec.h"
#include "nn/tensor_file.h"

namespace heed::model {
namespace {

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
  if (!net.activation_ranges.empty()) vector("activation.ranges", net.activation_ranges);
  for (const nn::Parameter* p : net.Parameters()) {
    const auto matrix = [&](const std::string& name, const nn::Matrix& m) {
      out.Floats(name, {m.data(), m.size()}, {m.rows(), m.cols()});
    };
    matrix(p->name, p->value);
    matrix(p->name + ".moment1", p->moment1);
    matrix(p->name + ".moment2", p->moment2);
  }
  for (const nn::Buffer& buffer : const_cast<Net&>(net).Buffers()) {  // read only
    out.Floats(buffer.name, {buffer.value->data(), buffer.value->size()}, {buffer.value->size()});
  }
  for (size_t i = 0; i < net.tables.size(); ++i) WriteTable(net.tables[i], TableName(i), &out);
  return out.Finish();
}

Result<std::unique_ptr<Net>> DecodeNet(std::string_view bytes) {
  HEED_ASSIGN_OR_RETURN(const nn::TensorReader in, nn::TensorReader::Open(bytes));
  HEED_ASSIGN_OR_RETURN(const std::string_view config_bytes, in.Bytes("config"));
  HEED_ASSIGN_OR_RETURN(const RankerConfig config, DecodeConfig(config_bytes));
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
  const auto ranges = in.Length("activation.ranges", nn::TensorType::kFloat32);
  if (ranges.ok() && ranges.value() > 0) {
    ++tensors;
    net->activation_ranges.resize(ranges.value());  // the file holds that many
    HEED_RETURN_IF_ERROR(vector("activation.ranges", &net->activation_ranges));
    for (const float range : net->activation_ranges) {
      if (range < 0.0f) return Corruption("activation.ranges: negative");
    }
  }
  for (nn::Parameter* p : net->Parameters()) {
    const auto matrix = [&](const std::string& name, nn::Matrix* m) {
      ++tensors;
      return ReadFinite(in, name, {m->rows(), m->cols()}, {m->data(), m->size()});
    };
    HEED_RETURN_IF_ERROR(matrix(p->name, &p->value));
    HEED_RETURN_IF_ERROR(matrix(p->name + ".moment1", &p->moment1));
    HEED_RETURN_IF_ERROR(matrix(p->name + ".moment2", &p->moment2));
  }
  for (const nn::Buffer& buffer : net->Buffers()) {
    ++tensors;
    const std::span<float> values(buffer.value->data(), buffer.value->size());
    HEED_RETURN_IF_ERROR(ReadFinite(in, buffer.name, {values.size()}, values));
    const bool variance = buffer.name.ends_with(".variance");
    if (variance && std::any_of(values.begin(), values.end(), [](float v) { return v < 0.0f; })) {
      return Corruption(buffer.name + ": negative");
    }
  }
  for (size_t i = 0; i < net->tables.size(); ++i) {
    HEED_RETURN_IF_ERROR(ReadTable(in, TableName(i), &net->tables[i]));
    tensors += 7;
  }
  if (tensors != in.count()) return Corruption("model: tensors that do not belong");
  return net;
}

}  // namespace heed::model
