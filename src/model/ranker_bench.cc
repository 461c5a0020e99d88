// Training and serving speed of the ranker, one core.
//   cmake --build --preset release --target model_bench && build/release/src/model/model_bench
#include <benchmark/benchmark.h>

#include "model/batch_for_test.h"

namespace heed::model {
namespace {

// The shape of the KuaiRand model: 45 fields, one history of 50 tokens in 4 parts, MLP 256-128.
RankerConfig KuaiRandLike() {
  RankerConfig config;
  for (int i = 0; i < 45; ++i) {
    const std::string name = "field" + std::to_string(i);
    config.schema.fields.push_back({name, name, i < 20 ? Side::kCandidate : Side::kRequest});
  }
  for (int i = 0; i < 18; ++i) {
    config.schema.numerics.push_back({"n" + std::to_string(i), Side::kCandidate});
  }
  config.schema.sequences = {
      {"views", {"field0", "field1", "field2", "feedback"}, {"field0", "field1", "field2"}, 50}};
  config.schema.tasks = {{"click"}, {"long"}, {"like"}};
  config.attention_heads = 4;
  config.attention_width = 64;
  return config;
}

// Keys are drawn from 10000 a column: about as many distinct rows a batch as the real data.
void BM_Train(benchmark::State& state) {
  const RankerConfig config = KuaiRandLike();
  const auto ranker = Ranker::Create(config, 1).value()->Copy();
  Random random(1);
  std::vector<Batch> batches;
  const auto rows = static_cast<uint32_t>(state.range(0));
  for (int i = 0; i < 8; ++i) {
    batches.push_back(RandomBatch(
        config.schema, {.requests = rows, .keys = 10000, .full_histories = true}, random));
  }
  for (const Batch& batch : batches) {
    if (!ranker->TrainStep(batch, {}).ok()) return;  // admits the keys, once
  }
  size_t step = 0;
  for ([[maybe_unused]] auto unused : state) {
    auto loss = ranker->TrainStep(batches[step++ % batches.size()], {});
    if (!loss.ok()) state.SkipWithError(loss.status().ToString().c_str());
  }
  state.SetItemsProcessed(static_cast<int64_t>(step) * rows);
}
BENCHMARK(BM_Train)->Arg(512)->Arg(1024)->Unit(benchmark::kMillisecond);

// One request: candidates x history.
void BM_Forward(benchmark::State& state) {
  RankerConfig config = KuaiRandLike();
  config.schema.sequences[0].max_length = static_cast<uint32_t>(state.range(1));
  const auto ranker = Ranker::Create(config, 1).value()->Copy();
  Random random(1);
  const BatchSize size{.requests = 1,
                       .per_request = static_cast<uint32_t>(state.range(0)),
                       .keys = 10000,
                       .labels = false,
                       .full_histories = true};
  for (int i = 0; i < 64; ++i) {
    if (!ranker->CountKeys(RandomBatch(config.schema, size, random)).ok()) return;
  }
  std::vector<Batch> batches;
  for (int i = 0; i < 16; ++i) batches.push_back(RandomBatch(config.schema, size, random));
  Scores scores;
  size_t call = 0;
  for ([[maybe_unused]] auto unused : state) {
    if (!ranker->Forward(batches[call++ % batches.size()], false, &scores).ok()) return;
    benchmark::DoNotOptimize(scores.logits.data());
  }
  state.SetItemsProcessed(static_cast<int64_t>(call) * size.per_request);
}
BENCHMARK(BM_Forward)
    ->Args({500, 100})
    ->Args({50, 50})
    ->Args({1, 50})
    ->Unit(benchmark::kMicrosecond);

void BM_Parse(benchmark::State& state) {
  const RankerConfig config = KuaiRandLike();
  const auto ranker = Ranker::Create(config, 1).value()->Copy();
  Random random(1);
  if (!ranker->CountKeys(RandomBatch(config.schema, {.requests = 4096, .keys = 100000}, random))
           .ok()) {
    return;
  }
  const std::string bytes = ranker->Serialize();
  for ([[maybe_unused]] auto unused : state) benchmark::DoNotOptimize(Ranker::Parse(bytes).ok());
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * bytes.size()));
}
BENCHMARK(BM_Parse)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace heed::model
