// The moment attention model's file: a tensor file (nn/tensor_file.h). docs/formats/moment_attention.md.
#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "base/file.h"
#include "model/moment_net.h"
#include "nn/tensor_file.h"

namespace heed::model {
namespace {

constexpr std::string_view kKind = "moment attention";
constexpr uint64_t kVersion = 1;

std::string EncodeConfig(const MomentAttentionConfig& config) {
  std::string bytes;
  ByteWriter out(bytes);
  out.String(kKind);
  out.Varint(kVersion);
  out.Varint(config.modalities.size());
  for (const MomentModality& modality : config.modalities) {
    out.String(modality.name);
    out.Varint(modality.features.size());
    for (const std::string& feature : modality.features) out.String(feature);
  }
  for (const uint32_t number :
       {config.look_back_s, config.horizon_s, config.encoder_width, config.fusion_width}) {
    out.Varint(number);
  }
  out.Varint(config.phase_knots_s.size());
  for (const float knot : config.phase_knots_s) out.Fixed(knot);
  for (const float weight : config.highlight) out.Fixed(weight);
  return bytes;
}

Result<MomentAttentionConfig> DecodeConfig(std::string_view bytes) {
  ByteReader in(bytes);
  if (in.String() != kKind) return Corruption("not a moment attention model");
  if (in.Varint() != kVersion || !in.ok()) return Corruption("moment attention: another version");
  MomentAttentionConfig config;
  const uint64_t modalities = in.Varint();
  for (uint64_t m = 0; m < modalities && in.ok(); ++m) {
    MomentModality modality{.name = std::string(in.String()), .features = {}};
    const uint64_t features = in.Varint();
    for (uint64_t f = 0; f < features && in.ok(); ++f) modality.features.emplace_back(in.String());
    config.modalities.push_back(std::move(modality));
  }
  for (uint32_t* number :
       {&config.look_back_s, &config.horizon_s, &config.encoder_width, &config.fusion_width}) {
    const uint64_t value = in.Varint();
    if (value > 0xFFFFFFFFu) in.Fail();
    *number = static_cast<uint32_t>(value);
  }
  const uint64_t knots = in.Varint();
  config.phase_knots_s.clear();
  for (uint64_t c = 0; c < knots && in.ok(); ++c) config.phase_knots_s.push_back(in.Fixed<float>());
  for (float& weight : config.highlight) weight = in.Fixed<float>();
  if (!in.ok() || in.remaining() != 0) return Corruption("moment attention: config damaged");
  if (Status status = ValidateMomentAttention(config); !status.ok()) {
    return Corruption("moment attention: " + status.message());
  }
  return config;
}

// Numbers of the encoders, the fusions and the heads, in double so that no product overflows: nearly all there are.
double Size(const MomentAttentionConfig& config) {
  const double D = config.encoder_width, W = config.fusion_width;
  const auto M = static_cast<double>(config.modalities.size());
  const auto F = static_cast<double>(config.features());
  const auto C = static_cast<double>(config.phase_knots_s.size());
  return 2 * F * D + 2 * (M * D * W + C * W + 2 * W * W + W * C * kMomentOutcomes);
}

}  // namespace

std::string MomentAttention::Serialize() const {
  nn::TensorWriter out;
  out.Bytes("config", EncodeConfig(net_->config));
  for (const nn::Parameter* p : net_->All()) {
    out.Floats(p->name, {p->value.data(), p->value.size()}, {p->value.rows(), p->value.cols()});
  }
  return out.Finish();
}

Result<std::unique_ptr<MomentAttention>> MomentAttention::Parse(std::string_view bytes) {
  HEED_ASSIGN_OR_RETURN(const nn::TensorReader in, nn::TensorReader::Open(bytes));
  HEED_ASSIGN_OR_RETURN(const std::string_view config_bytes, in.Bytes("config"));
  HEED_ASSIGN_OR_RETURN(const MomentAttentionConfig config, DecodeConfig(config_bytes));
  // Weights are in the file, so a model larger than it is a lie told before any memory is taken.
  if (Size(config) * sizeof(float) > static_cast<double>(bytes.size())) {
    return Corruption("moment attention: config larger than the file");
  }
  auto net = std::make_unique<Net>(config, 0);
  const std::vector<nn::Parameter*> all = net->All();
  for (nn::Parameter* p : all) {
    const std::span<float> values(p->value.data(), p->value.size());
    HEED_RETURN_IF_ERROR(in.Floats(p->name, {p->value.rows(), p->value.cols()}, values));
    if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) {
      return Corruption(p->name + ": not finite");
    }
  }
  for (Net::View& view : net->views) {
    for (const nn::LagAttention& lag : view.lags) {
      if (!lag.InRange())
        return Corruption(lag.lag.name + ": lag, slopes or null score out of range");
    }
  }
  if (in.count() != all.size() + 1) {
    return Corruption("moment attention: tensors that do not belong");
  }
  return std::unique_ptr<MomentAttention>(new MomentAttention(std::move(net)));
}

Status MomentAttention::Save(const std::string& path) const {
  return ReplaceFile(path, Serialize());
}

Result<std::unique_ptr<MomentAttention>> MomentAttention::Load(const std::string& path) {
  HEED_ASSIGN_OR_RETURN(const std::string bytes, ReadWholeFile(path));
  auto model = Parse(bytes);
  if (!model.ok()) return model.status().Within(path);
  return model;
}

}  // namespace heed::model
