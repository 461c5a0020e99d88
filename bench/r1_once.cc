// Scores one random request of R1: what growth_test.py counts the instructions of.
//   r1_once dot|din EVENTS CANDIDATES
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "infer/compiled_ranker.h"
#include "model/ranker_net.h"
#include "peers/r1_ranker.h"

namespace heed::r1 {
namespace {

int Run(Family family, size_t L, size_t N) {
  const std::shared_ptr<const model::Ranker> ranker =
      model::Ranker::Of(model::Net(ConfigOf(family), 1));
  const auto compiled = infer::CompiledRanker::Compile(ranker, {});
  if (!compiled.ok()) return 1;
  // All keys are unseen ones: what a lookup finds does not change what it and the rest cost.
  model::Batch batch;
  batch.requests = 1;
  batch.candidates = static_cast<uint32_t>(N);
  batch.request_of.assign(N, 0);
  batch.request_keys = {1, 1};
  Random random(2);
  for (size_t i = 0; i < N * kTables; ++i) batch.candidate_keys.push_back(1 + random.Below(1000));
  model::SequenceBatch& history = batch.sequences.emplace_back();
  for (size_t i = 0; i < L * kTables; ++i) history.keys.push_back(1 + random.Below(1000));
  history.age_s.assign(L, 0.0f);
  history.offsets = {0, static_cast<uint32_t>(L)};
  infer::Arena arena;
  std::vector<float> logits(N * kOutputs);
  return compiled.value()->Logits(batch, &arena, logits).ok() ? 0 : 1;
}

}  // namespace
}  // namespace heed::r1

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const auto family =
      std::string(argv[1]) == "dot" ? heed::r1::Family::kDot : heed::r1::Family::kDin;
  return heed::r1::Run(family, std::strtoul(argv[2], nullptr, 10),
                       std::strtoul(argv[3], nullptr, 10));
}
