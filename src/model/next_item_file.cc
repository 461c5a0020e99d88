// The next-item model's file: a tensor file (nn/tensor_file.h). docs/formats/next_item.md.
#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "base/file.h"
#include "model/next_item_net.h"
#include "nn/tensor_file.h"

namespace heed::model {
namespace {

constexpr uint64_t kVersion = 1;

std::string EncodeConfig(const NextItemConfig& config) {
  std::string bytes;
  ByteWriter out(bytes);
  out.Varint(kVersion);
  for (const uint32_t number : {config.width, config.layers, config.heads, config.hidden,
                                config.max_length, config.relative_positions}) {
    out.Varint(number);
  }
  out.Fixed(static_cast<uint8_t>(config.places));
  for (const bool flag :
       {config.pre_norm, config.null_slot, config.attributes, config.scale_input, config.cosine}) {
    out.Fixed(static_cast<uint8_t>(flag));
  }
  for (const float number :
       {config.temperature, config.dropout, config.attention_dropout, config.init_deviation}) {
    out.Fixed(number);
  }
  return bytes;
}

Result<NextItemConfig> DecodeConfig(std::string_view bytes) {
  ByteReader in(bytes);
  NextItemConfig config;
  if (in.Varint() != kVersion) in.Fail();
  for (uint32_t* number : {&config.width, &config.layers, &config.heads, &config.hidden,
                           &config.max_length, &config.relative_positions}) {
    const uint64_t value = in.Varint();
    if (value > 0xFFFFFFFFu) in.Fail();
    *number = static_cast<uint32_t>(value);
  }
  const auto places = in.Fixed<uint8_t>();
  if (places > static_cast<uint8_t>(NextItemConfig::Places::kFromStart)) in.Fail();
  config.places = static_cast<NextItemConfig::Places>(places);
  for (bool* flag : {&config.pre_norm, &config.null_slot, &config.attributes, &config.scale_input,
                     &config.cosine}) {
    const auto value = in.Fixed<uint8_t>();
    if (value > 1) in.Fail();
    *flag = value == 1;
  }
  for (float* number :
       {&config.temperature, &config.dropout, &config.attention_dropout, &config.init_deviation}) {
    *number = in.Fixed<float>();
  }
  if (!in.ok() || in.remaining() != 0) {
    return Corruption("next_item: config damaged or of another version");
  }
  return config;
}

Result<std::vector<std::string>> DecodeIds(std::string_view bytes) {
  ByteReader in(bytes);
  std::vector<std::string> ids;
  while (in.ok() && in.remaining() > 0) ids.emplace_back(in.String());
  if (!in.ok()) return Corruption("next_item: ids");
  return ids;
}

// Numbers the layers would hold, in double so that no product overflows.
double Size(const NextItemConfig& c, const ItemCatalog& catalog) {
  const double W = c.width;
  const double attributes = c.attributes ? catalog.attributes : 0;
  const double places = c.places == NextItemConfig::Places::kNone ? 0 : c.max_length;
  return (static_cast<double>(catalog.ids.size()) + attributes + places) * W +
         static_cast<double>(c.layers) *
             (4 * W * W + 2 * W * c.hidden + static_cast<double>(c.relative_positions) * c.heads);
}

}  // namespace

std::string EncodeNextItem(NextItemNet& net) {
  nn::TensorWriter out;
  std::string ids;
  ByteWriter writer(ids);
  for (const std::string& id : net.catalog.ids) writer.String(id);
  out.Bytes("config", EncodeConfig(net.config));
  out.Bytes("ids", ids);
  out.Uint64s("state", std::vector<uint64_t>{net.seed, net.updates, net.catalog.attributes});
  out.Uint32s("attribute.offsets", net.catalog.attribute_offsets);
  out.Uint32s("attribute.numbers", net.catalog.attribute_numbers);
  for (const nn::Parameter* p : net.All()) {
    out.Floats(p->name, {p->value.data(), p->value.size()}, {p->value.rows(), p->value.cols()});
  }
  return out.Finish();
}

Result<std::unique_ptr<NextItemNet>> DecodeNextItem(std::string_view bytes) {
  HEED_ASSIGN_OR_RETURN(const nn::TensorReader in, nn::TensorReader::Open(bytes));
  HEED_ASSIGN_OR_RETURN(const std::string_view config_bytes, in.Bytes("config"));
  HEED_ASSIGN_OR_RETURN(const NextItemConfig config, DecodeConfig(config_bytes));
  HEED_ASSIGN_OR_RETURN(const std::string_view id_bytes, in.Bytes("ids"));
  ItemCatalog catalog;
  HEED_ASSIGN_OR_RETURN(catalog.ids, DecodeIds(id_bytes));
  HEED_ASSIGN_OR_RETURN(const std::vector<uint64_t> state, in.Uint64s("state"));
  if (state.size() != 3 || state[2] > 0xFFFFFFFFu) return Corruption("next_item: state");
  catalog.attributes = static_cast<uint32_t>(state[2]);
  HEED_ASSIGN_OR_RETURN(catalog.attribute_offsets, in.Uint32s("attribute.offsets"));
  HEED_ASSIGN_OR_RETURN(catalog.attribute_numbers, in.Uint32s("attribute.numbers"));
  if (Status status = ValidateNextItem(config, catalog); !status.ok()) {
    return Corruption(status.message());
  }
  // Weights are in the file, so a model larger than it is a lie told before any memory is taken.
  if (Size(config, catalog) * sizeof(float) > static_cast<double>(bytes.size())) {
    return Corruption("next_item: config larger than the file");
  }
  auto net = std::make_unique<NextItemNet>(config, std::move(catalog), state[0]);
  net->updates = state[1];
  size_t tensors = 5;
  for (nn::Parameter* p : net->All()) {
    const std::span<float> values(p->value.data(), p->value.size());
    HEED_RETURN_IF_ERROR(in.Floats(p->name, {p->value.rows(), p->value.cols()}, values));
    if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) {
      return Corruption(p->name + ": not finite");
    }
    ++tensors;
  }
  if (tensors != in.count()) return Corruption("next_item: tensors that do not belong");
  return net;
}

Status NextItemModel::Save(const std::string& path) const { return ReplaceFile(path, Serialize()); }

}  // namespace heed::model
