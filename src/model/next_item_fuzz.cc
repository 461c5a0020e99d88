// Whatever the bytes, Parse answers with a next-item model or a Status, and a model it accepts
// writes the same bytes again and can score.
#include <cstdlib>

#include "model/next_item.h"
#include "nn/tensor_file_for_fuzz.h"

namespace {

using heed::model::NextItemModel;

void Check(std::string_view bytes) {
  const auto model = NextItemModel::Parse(bytes);
  if (!model.ok()) return;
  if (model.value()->Serialize() != bytes) std::abort();
  const std::vector<uint32_t> items = {0, 0};
  if (!model.value()->TopK(items, 2).ok()) std::abort();
  if (!model.value()->Attention(items).ok()) std::abort();
}

// A valid file of under 4096 bytes (libFuzzer's first limit) to start from.
std::string TinyModel() {
  heed::model::NextItemConfig config;
  config.width = config.heads = config.hidden = 2;
  config.layers = 1;
  config.max_length = 3;
  config.relative_positions = 2;
  config.attributes = config.null_slot = config.cosine = true;
  heed::model::ItemCatalog catalog;
  catalog.ids = {"a", "b"};
  catalog.attributes = 1;
  catalog.attribute_offsets = {0, 1, 1};
  catalog.attribute_numbers = {0};
  const auto model = NextItemModel::Create(config, catalog, 1);
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
