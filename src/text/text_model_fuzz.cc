// A model file is only ever read, never trusted: whatever the bytes, Parse answers with a classifier
// or a Status, and one that it accepts writes the same bytes again and can answer.
#include <cstdlib>

#include "nn/tensor_file_for_fuzz.h"
#include "text/classifier.h"

namespace {

void Check(std::string_view bytes) {
  const auto classifier = heed::text::Classifier::Parse(bytes);
  if (!classifier.ok()) return;
  if (classifier.value()->Serialize() != bytes) std::abort();
  const heed::text::Explanation answer = classifier.value()->Explain("好书 good");
  if (answer.label >= answer.probabilities.size()) std::abort();
}

// A valid file of under 4096 bytes (libFuzzer's first limit) to start from.
std::string TinyModel(float linear_share) {
  heed::text::ClassifierConfig config;
  config.labels = {"no", "yes"};
  config.admit_after = 1;
  config.width = config.heads = config.members = 2;
  config.linear_share = linear_share;
  const auto classifier = heed::text::Classifier::Create(config, 1);
  heed::text::TextBatch batch;
  classifier.value()->Append("好书 good", &batch);
  classifier.value()->CountNgrams(batch);
  return classifier.value()->Serialize();
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  static const std::string plain = TinyModel(0.0f), linear = TinyModel(0.5f);
  return heed::nn::MutateTensorFile(seed % 2 == 0 ? plain : linear, data, size, max_size);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return heed::nn::FuzzTensorFile(data, size, Check);
}
