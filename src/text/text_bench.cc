// Short comments a second on one core.
#include <benchmark/benchmark.h>

#include "text/classifier.h"

namespace heed::text {
namespace {

std::vector<std::string> Comments() {
  const std::vector<std::string> parts = {"主播",     "这个", "多少钱", "165 120斤",
                                          "穿什么码", "好看", "扣1",    "有没有",
                                          "优惠",     "质量", "怎么样", "喜欢"};
  Random random(1);
  std::vector<std::string> comments;
  for (int i = 0; i < 1024; ++i) {
    std::string text;
    for (uint64_t n = 2 + random.Below(4); n > 0; --n) text += parts[random.Below(parts.size())];
    comments.push_back(text);
  }
  return comments;
}

void BM_Ngrams(benchmark::State& state) {
  const std::vector<std::string> comments = Comments();
  Ngrams ngrams;
  for (auto _ : state) {
    for (const std::string& comment : comments) MakeNgrams(comment, 3, 1000, &ngrams);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * comments.size()));
}
BENCHMARK(BM_Ngrams);

void BM_Score(benchmark::State& state) {
  const std::vector<std::string> comments = Comments();
  ClassifierConfig config;
  config.labels = {"no", "yes"};
  config.admit_after = 1;
  const auto classifier = Classifier::Create(config, 1).value();
  TextBatch batch;
  for (const std::string& comment : comments) classifier->Append(comment, &batch);
  classifier->CountNgrams(batch);
  const ScratchPtr scratch = NewScratch();
  std::vector<float> logits;
  for (auto _ : state) {
    batch = {};
    for (const std::string& comment : comments) classifier->Append(comment, &batch);
    logits.resize(batch.size() * 2);
    classifier->Score(batch, scratch.get(), logits);
    benchmark::DoNotOptimize(logits.data());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * comments.size()));
}
BENCHMARK(BM_Score);

}  // namespace
}  // namespace heed::text
