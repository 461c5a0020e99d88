// docs/formats/text_model.md.
#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "base/file.h"
#include "nn/tensor_file.h"
#include "text/classifier_net.h"

namespace heed::text {
namespace {

constexpr std::string_view kKind = "text classifier";
constexpr uint64_t kVersion = 1, kVersionWithLinear = 2;  // each only ever written for what it is

std::string EncodeConfig(const ClassifierConfig& config) {
  std::string bytes;
  ByteWriter out(bytes);
  out.String(kKind);
  const bool linear = config.linear_share > 0.0f;
  out.Varint(linear ? kVersionWithLinear : kVersion);
  out.Varint(config.labels.size());
  for (const std::string& label : config.labels) out.String(label);
  for (const uint32_t number : {config.ngrams, config.max_characters, config.admit_after,
                                config.width, config.heads, config.members}) {
    out.Varint(number);
  }
  for (const float number : {config.temperature, config.power, config.wide_scale,
                             config.ngram_dropout, config.dropout, config.init_deviation}) {
    out.Fixed(number);
  }
  if (linear) {
    out.Fixed(config.linear_share);
    out.Fixed(config.linear_cost);
  }
  return bytes;
}

Result<ClassifierConfig> DecodeConfig(std::string_view bytes) {
  ByteReader in(bytes);
  if (in.String() != kKind) return Corruption("not a text classifier");
  const uint64_t version = in.Varint();
  if ((version != kVersion && version != kVersionWithLinear) || !in.ok()) {
    return Corruption("text classifier: another version");
  }
  ClassifierConfig config;
  const uint64_t labels = in.Varint();
  for (uint64_t i = 0; i < labels && in.ok(); ++i) config.labels.emplace_back(in.String());
  for (uint32_t* number : {&config.ngrams, &config.max_characters, &config.admit_after,
                           &config.width, &config.heads, &config.members}) {
    const uint64_t value = in.Varint();
    if (value > 0xFFFFFFFFu) in.Fail();
    *number = static_cast<uint32_t>(value);
  }
  for (float* number : {&config.temperature, &config.power, &config.wide_scale,
                        &config.ngram_dropout, &config.dropout, &config.init_deviation}) {
    *number = in.Fixed<float>();
  }
  if (version == kVersionWithLinear) {
    config.linear_share = in.Fixed<float>();
    config.linear_cost = in.Fixed<float>();
    if (!(config.linear_share > 0.0f))
      return Corruption("text classifier: a linear part of nothing");
  }
  if (!in.ok() || in.remaining() != 0) return Corruption("text classifier: config damaged");
  if (Status status = ValidateConfig(config); !status.ok()) {
    return Corruption("text classifier: " + status.message());
  }
  return config;
}

Status ReadFinite(const nn::TensorReader& in, const std::string& name,
                  const std::vector<uint64_t>& dims, std::span<float> out) {
  HEED_RETURN_IF_ERROR(in.Floats(name, dims, out));
  const bool finite = std::all_of(out.begin(), out.end(), [](float v) { return std::isfinite(v); });
  return finite ? Status() : Corruption(name + ": not finite");
}

}  // namespace

std::string Classifier::Serialize() const {
  const nn::EmbeddingTable& table = net_->table;
  nn::TensorWriter out;
  out.Bytes("config", EncodeConfig(net_->config));
  out.Floats("scale", {&net_->scale, 1}, {1});
  out.Uint64s("ngrams", table.keys());
  out.Floats("table", table.values(), {table.rows(), table.width()});
  for (const nn::Parameter* p : net_->Parameters()) {
    out.Floats(p->name, {p->value.data(), p->value.size()}, {p->value.rows(), p->value.cols()});
  }
  if (const LinearPart& linear = net_->linear; linear.table.size() > 0) {
    out.Floats("linear.table", {linear.table.data(), linear.table.size()},
               {linear.table.rows(), linear.table.cols()});
    out.Floats("linear.bias", {linear.bias.data(), linear.bias.size()}, {1, linear.bias.cols()});
  }
  return out.Finish();
}

Result<std::unique_ptr<Classifier>> Classifier::Parse(std::string_view bytes) {
  HEED_ASSIGN_OR_RETURN(const nn::TensorReader in, nn::TensorReader::Open(bytes));
  HEED_ASSIGN_OR_RETURN(const std::string_view config_bytes, in.Bytes("config"));
  HEED_ASSIGN_OR_RETURN(const ClassifierConfig config, DecodeConfig(config_bytes));
  const uint64_t C = config.labels.size(), H = config.heads, M = config.members;
  const uint64_t width = M * (config.width + C);
  // Weights are in the file, so a model larger than it is a lie told before any memory is taken.
  if (2 * width + M * H * config.width * (C + 1) > bytes.size() / sizeof(float)) {
    return Corruption("text classifier: config larger than the file");
  }
  auto net = std::make_unique<Net>(config, 0);
  HEED_RETURN_IF_ERROR(ReadFinite(in, "scale", {1}, {&net->scale, 1}));
  if (net->scale <= 0.0f) return Corruption("scale: not positive");
  nn::EmbeddingTable::Stored stored;
  HEED_ASSIGN_OR_RETURN(stored.keys, in.Uint64s("ngrams"));
  const uint64_t n = stored.keys.size();
  HEED_ASSIGN_OR_RETURN(const uint64_t numbers, in.Length("table", nn::TensorType::kFloat32));
  if (n == 0 || numbers / n != width) return Corruption("table: not as many rows as n-grams");
  stored.values.resize(numbers);
  HEED_RETURN_IF_ERROR(ReadFinite(in, "table", {n, width}, stored.values));
  stored.moment1.resize(numbers);
  stored.moment2.resize(numbers);
  stored.squares.resize(n);
  HEED_RETURN_IF_ERROR(net->table.Restore(std::move(stored)).Within("text classifier"));
  for (nn::Parameter* p : net->Parameters()) {
    HEED_RETURN_IF_ERROR(ReadFinite(in, p->name, {p->value.rows(), p->value.cols()},
                                    {p->value.data(), p->value.size()}));
  }
  size_t tensors = 4 + net->Parameters().size();
  if (config.linear_share > 0.0f) {
    tensors += 2;
    LinearPart& linear = net->linear;
    linear = LinearPart(n, C);
    HEED_RETURN_IF_ERROR(
        ReadFinite(in, "linear.table", {n, 1 + C}, {linear.table.data(), linear.table.size()}));
    HEED_RETURN_IF_ERROR(
        ReadFinite(in, "linear.bias", {1, C}, {linear.bias.data(), linear.bias.size()}));
  }
  if (in.count() != tensors) {
    return Corruption("text classifier: tensors that do not belong");
  }
  return std::unique_ptr<Classifier>(new Classifier(std::move(net)));
}

Status Classifier::Save(const std::string& path) const { return ReplaceFile(path, Serialize()); }

Result<std::unique_ptr<Classifier>> Classifier::Load(const std::string& path) {
  HEED_ASSIGN_OR_RETURN(const std::string bytes, ReadWholeFile(path));
  auto classifier = Parse(bytes);
  if (!classifier.ok()) return classifier.status().Within(path);
  return classifier;
}

}  // namespace heed::text
