// A model file is only ever read, never trusted: whatever the bytes, Parse answers with a ranker or
// a Status, and a ranker it accepts writes the same bytes again and can score.
#include <cstdlib>

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

}  // namespace

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
