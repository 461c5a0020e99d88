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

// Rows of a table: all of them, or those of a change.
struct RowSpans {
  std::span<const uint64_t> keys;
  std::span<const nn::EmbeddingTable::Waiting> waiting;
  std::span<const float> values, moment1, moment2, squares;
  std::span<const uint32_t> counted_at;
};

void WriteRows(const RowSpans& rows, uint64_t width, const std::string& name,
               nn::TensorWriter* out) {
  std::vector<uint64_t> waiting_keys;
  std::vector<uint32_t> waiting_counts;
  for (const auto& waiting : rows.waiting) {
    waiting_keys.push_back(waiting.key);
    waiting_counts.push_back(waiting.count);
  }
  out->Uint64s(name + ".keys", rows.keys);
  out->Uint64s(name + ".waiting.keys", waiting_keys);
  out->Uint32s(name + ".waiting.counts", waiting_counts);
  const auto matrix = [&](const char* part, std::span<const float> values) {
    out->Floats(name + part, values, {values.size() / width, width});
  };
  matrix(".values", rows.values);
  matrix(".moment1", rows.moment1);
  matrix(".moment2", rows.moment2);
  out->Floats(name + ".squares", rows.squares, {rows.squares.size()});
  if (!rows.counted_at.empty()) out->Uint32s(name + ".counted_at", rows.counted_at);
}

// Sizes are checked by whoever puts them into a table.
Status ReadRows(const nn::TensorReader& in, uint64_t width, const std::string& name,
                size_t* tensors, nn::EmbeddingTable::Stored* rows) {
  HEED_ASSIGN_OR_RETURN(rows->keys, in.Uint64s(name + ".keys"));
  HEED_ASSIGN_OR_RETURN(const auto waiting_keys, in.Uint64s(name + ".waiting.keys"));
  HEED_ASSIGN_OR_RETURN(const auto waiting_counts, in.Uint32s(name + ".waiting.counts"));
  if (waiting_keys.size() != waiting_counts.size()) return Corruption(name + ": waiting keys");
  for (size_t i = 0; i < waiting_keys.size(); ++i) {
    rows->waiting.push_back({waiting_keys[i], waiting_counts[i]});
  }
  const auto read = [&](const char* part, bool matrix, nn::Floats* out) -> Status {
    HEED_ASSIGN_OR_RETURN(const uint64_t length, in.Length(name + part, nn::TensorType::kFloat32));
    // The file holds that many, so allocating them is no attack.
    out->resize(length);
    const std::vector<uint64_t> shape = {length / width, width}, plain = {length};
    return ReadFinite(in, name + part, matrix ? shape : plain, *out);
  };
  HEED_RETURN_IF_ERROR(read(".values", true, &rows->values));
  HEED_RETURN_IF_ERROR(read(".moment1", true, &rows->moment1));
  HEED_RETURN_IF_ERROR(read(".moment2", true, &rows->moment2));
  HEED_RETURN_IF_ERROR(read(".squares", false, &rows->squares));
  *tensors += 7;
  if (auto ages = in.Uint32s(name + ".counted_at"); ages.ok()) {
    if (ages.value().empty()) return Corruption(name + ": no ages where there should be");
    rows->counted_at.assign(ages.value().begin(), ages.value().end());
    ++*tensors;
  }
  return {};
}

// Files of earlier builds have none.
Status ReadBins(const nn::TensorReader& in, uint64_t numerics, size_t* tensors, NumericBins* bins) {
  *bins = {};
  if (numerics == 0 || !in.Length("numeric.edges", nn::TensorType::kFloat32).ok()) return {};
  bins->edges.resize(numerics * (NumericBins::kBins - 1));
  bins->shares.resize(numerics * NumericBins::kShares);
  HEED_RETURN_IF_ERROR(
      ReadFinite(in, "numeric.edges", {numerics, NumericBins::kBins - 1}, bins->edges));
  HEED_RETURN_IF_ERROR(
      ReadFinite(in, "numeric.shares", {numerics, NumericBins::kShares}, bins->shares));
  *tensors += 2;
  return bins->Check(numerics);
}

// All but the tables and the config.
void WriteDense(const Net& net, nn::TensorWriter* out) {
  out->Uint64s("state", std::vector<uint64_t>{net.seed, net.updates});
  const auto vector = [&](const std::string& name, const std::vector<float>& values) {
    out->Floats(name, values, {values.size()});
  };
  vector("numeric.mean", net.numeric_mean);
  vector("numeric.deviation", net.numeric_deviation);
  if (const NumericBins& bins = net.numeric_bins; !bins.empty()) {
    const uint64_t numerics = net.numeric_mean.size();
    out->Floats("numeric.edges", bins.edges, {numerics, NumericBins::kBins - 1});
    out->Floats("numeric.shares", bins.shares, {numerics, NumericBins::kShares});
  }
  vector("calibration.scale", net.calibration_scale);
  vector("calibration.shift", net.calibration_shift);
  if (!net.activation_ranges.empty()) vector("activation.ranges", net.activation_ranges);
  for (const nn::Parameter* p : net.Parameters()) {
    const auto matrix = [&](const std::string& name, const nn::Matrix& m) {
      out->Floats(name, {m.data(), m.size()}, {m.rows(), m.cols()});
    };
    matrix(p->name, p->value);
    matrix(p->name + ".moment1", p->moment1);
    matrix(p->name + ".moment2", p->moment2);
  }
  for (const nn::Buffer& buffer : const_cast<Net&>(net).Buffers()) {  // read only
    out->Floats(buffer.name, {buffer.value->data(), buffer.value->size()}, {buffer.value->size()});
  }
}

Status ReadDense(const nn::TensorReader& in, size_t* tensors, Net* net) {
  HEED_ASSIGN_OR_RETURN(const auto state, in.Uint64s("state"));
  if (state.size() != 2) return Corruption("model: state");
  net->seed = state[0];
  net->updates = state[1];
  const auto vector = [&](const std::string& name, std::vector<float>* values) {
    return ReadFinite(in, name, {values->size()}, *values);
  };
  HEED_RETURN_IF_ERROR(vector("numeric.mean", &net->numeric_mean));
  HEED_RETURN_IF_ERROR(vector("numeric.deviation", &net->numeric_deviation));
  for (const float deviation : net->numeric_deviation) {
    if (deviation <= 0.0f) return Corruption("model: a deviation that is not positive");
  }
  HEED_RETURN_IF_ERROR(ReadBins(in, net->numeric_mean.size(), tensors, &net->numeric_bins));
  HEED_RETURN_IF_ERROR(vector("calibration.scale", &net->calibration_scale));
  HEED_RETURN_IF_ERROR(vector("calibration.shift", &net->calibration_shift));
  *tensors += 5;
  net->activation_ranges.clear();
  const auto ranges = in.Length("activation.ranges", nn::TensorType::kFloat32);
  if (ranges.ok() && ranges.value() > 0) {
    ++*tensors;
    net->activation_ranges.resize(ranges.value());  // the file holds that many
    HEED_RETURN_IF_ERROR(vector("activation.ranges", &net->activation_ranges));
    for (const float range : net->activation_ranges) {
      if (range < 0.0f) return Corruption("activation.ranges: negative");
    }
  }
  for (nn::Parameter* p : net->Parameters()) {
    const auto matrix = [&](const std::string& name, nn::Matrix* m) {
      ++*tensors;
      return ReadFinite(in, name, {m->rows(), m->cols()}, {m->data(), m->size()});
    };
    HEED_RETURN_IF_ERROR(matrix(p->name, &p->value));
    HEED_RETURN_IF_ERROR(matrix(p->name + ".moment1", &p->moment1));
    HEED_RETURN_IF_ERROR(matrix(p->name + ".moment2", &p->moment2));
  }
  for (const nn::Buffer& buffer : net->Buffers()) {
    ++*tensors;
    const std::span<float> values(buffer.value->data(), buffer.value->size());
    HEED_RETURN_IF_ERROR(ReadFinite(in, buffer.name, {values.size()}, values));
    const bool variance = buffer.name.ends_with(".variance");
    if (variance && std::any_of(values.begin(), values.end(), [](float v) { return v < 0.0f; })) {
      return Corruption(buffer.name + ": negative");
    }
  }
  return {};
}

}  // namespace

std::string EncodeNet(const Net& net) {
  nn::TensorWriter out;
  out.Bytes("config", EncodeConfig(net.config));
  WriteDense(net, &out);
  for (size_t i = 0; i < net.tables.size(); ++i) {
    const nn::EmbeddingTable& table = net.tables[i];
    const std::vector<uint64_t> keys = table.keys();
    const auto waiting = table.waiting();
    WriteRows({keys, waiting, table.values(), table.moment1(), table.moment2(), table.squares(),
               table.counted_at()},
              table.width(), TableName(i), &out);
  }
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
  size_t tensors = 1;
  HEED_RETURN_IF_ERROR(ReadDense(in, &tensors, net.get()));
  for (size_t i = 0; i < net->tables.size(); ++i) {
    nn::EmbeddingTable::Stored rows;
    HEED_RETURN_IF_ERROR(ReadRows(in, net->tables[i].width(), TableName(i), &tensors, &rows));
    HEED_RETURN_IF_ERROR(net->tables[i].Restore(std::move(rows)).Within(TableName(i)));
  }
  if (tensors != in.count()) return Corruption("model: tensors that do not belong");
  return net;
}

std::string EncodeIncrement(Net* net) {
  nn::TensorWriter out;
  WriteDense(*net, &out);
  for (size_t i = 0; i < net->tables.size(); ++i) {
    nn::EmbeddingTable& table = net->tables[i];
    const nn::EmbeddingTable::Change change = table.ChangeOf(table.TakeChanged());
    out.Uint32s(TableName(i) + ".rows", change.rows);
    out.Uint64s(TableName(i) + ".size", std::vector<uint64_t>{change.table_rows, change.moments,
                                                              change.squares, change.ages});
    const nn::EmbeddingTable::Stored& now = change.now;
    WriteRows(
        {now.keys, now.waiting, now.values, now.moment1, now.moment2, now.squares, now.counted_at},
        table.width(), TableName(i), &out);
  }
  return out.Finish();
}

Result<std::unique_ptr<Net>> ApplyIncrement(std::string_view bytes, const Net& before) {
  HEED_ASSIGN_OR_RETURN(const nn::TensorReader in, nn::TensorReader::Open(bytes));
  auto next = std::make_unique<Net>(before);
  size_t tensors = 0;
  HEED_RETURN_IF_ERROR(ReadDense(in, &tensors, next.get()));
  for (size_t i = 0; i < next->tables.size(); ++i) {
    nn::EmbeddingTable::Change change;
    HEED_ASSIGN_OR_RETURN(change.rows, in.Uint32s(TableName(i) + ".rows"));
    HEED_ASSIGN_OR_RETURN(const auto size, in.Uint64s(TableName(i) + ".size"));
    if (size.size() != 4) return Corruption(TableName(i) + ": size");
    change.table_rows = size[0];
    change.moments = size[1] != 0;
    change.squares = size[2] != 0;
    change.ages = size[3] != 0;
    tensors += 2;
    HEED_RETURN_IF_ERROR(
        ReadRows(in, next->tables[i].width(), TableName(i), &tensors, &change.now));
    HEED_RETURN_IF_ERROR(next->tables[i].ApplyChange(std::move(change)).Within(TableName(i)));
  }
  if (tensors != in.count()) return Corruption("increment: tensors that do not belong");
  return next;
}

}  // namespace heed::model
