// Whatever the bytes, Parse answers with a moment attention model or a Status, and a model it accepts
// writes the same bytes again and can read a second.
#include <cstdlib>

#include "model/moment_stream.h"
#include "nn/tensor_file_for_fuzz.h"

namespace {

using heed::model::MomentAttention;

void Check(std::string_view bytes) {
  auto parsed = MomentAttention::Parse(bytes);
  if (!parsed.ok()) return;
  const std::shared_ptr<const MomentAttention> model = std::move(parsed).value();
  if (model->Serialize() != bytes) std::abort();
  heed::model::MomentStream stream(model);
  const std::vector<float> values(model->config().features(), 1);
  const std::vector<uint8_t> measured(values.size(), 1);
  for (const int64_t second : {0, 1, 5}) {
    if (!stream.Advance(second, values, measured).ok()) std::abort();
  }
}

// A valid file of under 4096 bytes (libFuzzer's first limit) to start from.
std::string TinyModel() {
  heed::model::MomentAttentionConfig config;
  config.modalities = {{"a", {"x"}}, {"b", {"y", "z"}}};
  config.look_back_s = 3;
  config.encoder_width = config.fusion_width = 2;
  config.phase_knots_s = {0, 9};
  const auto model = MomentAttention::Create(config, 1);
  if (!model.ok()) std::abort();
  return model.value()->Serialize();
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned) {
  static const std::string valid = TinyModel();
  return heed::nn::MutateTensorFile(valid, data, size, max_size);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return heed::nn::FuzzTensorFile(data, size, Check);
}
