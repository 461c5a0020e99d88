// A model file is only ever read, never trusted: whatever the bytes, Parse answers with a ranker or
// a Status, and a ranker it accepts writes the same bytes again and can score.
#include <cstdlib>

#include "model/batch_for_test.h"
#include "model/ranker_net.h"
#include "nn/tensor_file_for_fuzz.h"

namespace {

void Check(std::string_view bytes) {
  auto ranker = heed::model::Ranker::Parse(bytes);
  if (!ranker.ok()) return;
  if (ranker.value()->Serialize() != bytes) std::abort();
  heed::Random random(1);
  const heed::model::Batch batch = heed::model::RandomBatch(
      ranker.value()->config().schema, {.requests = 1, .per_request = 2, .labels = false}, random);
  heed::model::Scores scores;
  if (!ranker.value()->Forward(batch, true, &scores).ok()) std::abort();
}

// A valid file of under 4096 bytes (libFuzzer's first limit) to start from.
std::string TinyModel(bool projected) {
  heed::model::RankerConfig config;
  config.schema.fields = {{"item", "item", heed::model::Side::kCandidate}};
  config.schema.numerics = {{"price", heed::model::Side::kCandidate}};
  config.schema.sequences = {{"views", {"item"}, {"item"}, 3}};
  config.schema.tasks = {{"click"}};
  config.embedding_width = config.attention_width = config.attention_heads = 2;
  config.wide = true;
  config.admit_after = 2;
  heed::model::BlockConfig mlp, afm;
  mlp.hidden = {2};
  mlp.batch_norm = true;
  afm.kind = heed::model::BlockKind::kAfm;
  afm.width = 1;
  config.blocks = {mlp, afm};
  if (projected) {
    config.projection = 2;
    config.blocks.pop_back();  // it reads fields
  }
  const auto ranker = heed::model::Ranker::Create(config, 1);
  heed::Random random(1);
  const auto batch = heed::model::RandomBatch(config.schema, {.requests = 3, .keys = 5}, random);
  if (!ranker.ok() || !ranker.value()->CountKeys(batch).ok()) std::abort();
  heed::model::Net net = ranker.value()->net();
  if (projected) net.numeric_bins = heed::model::NumericBins::Of({{0.5f, 1.5f, 2.5f}});
  return heed::model::Ranker::Of(net)->Serialize();
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  static const std::string valid[] = {TinyModel(false), TinyModel(true)};
  return heed::nn::MutateTensorFile(valid[seed % 2], data, size, max_size);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return heed::nn::FuzzTensorFile(data, size, Check);
}
