// A model file is only ever read, never trusted: whatever the bytes, Parse answers with a ranker or
// a Status, and a ranker it accepts writes the same bytes again and can score.
#include <cstdlib>
#include <cstring>

#include "base/checksum.h"
#include "model/batch_for_test.h"

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
std::string TinyModel() {
  heed::model::RankerConfig config;
  config.schema.fields = {{"item", "item", heed::model::Side::kCandidate}};
  config.schema.numerics = {{"price", heed::model::Side::kCandidate}};
  config.schema.sequences = {{"views", {"item"}, {"item"}, 3}};
  config.schema.tasks = {{"click"}};
  config.embedding_width = config.attention_width = config.attention_heads = 2;
  config.hidden = {2};
  config.wide = true;
  config.admit_after = 2;
  const auto ranker = heed::model::Ranker::Create(config, 1);
  heed::Random random(1);
  const auto batch = heed::model::RandomBatch(config.schema, {.requests = 3, .keys = 5}, random);
  if (!ranker.ok() || !ranker.value()->CountKeys(batch).ok()) std::abort();
  return ranker.value()->Serialize();
}

}  // namespace

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

// Blind bytes never get past the magic: inputs without it are replaced by a valid file first.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned) {
  static const std::string valid = TinyModel();
  if ((size < 8 || std::memcmp(data, valid.data(), 8) != 0) && max_size >= valid.size()) {
    std::memcpy(data, valid.data(), valid.size());
    size = valid.size();
  }
  return LLVMFuzzerMutate(data, size, max_size);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  Check(bytes);
  if (size < 4) return 0;
  // Once more with a checksum that fits: the reader behind it is what we want to reach.
  bytes.resize(size - 4);
  const uint32_t sum = heed::Crc32(bytes);
  bytes.append(reinterpret_cast<const char*>(&sum), sizeof(sum));
  Check(bytes);
  return 0;
}
