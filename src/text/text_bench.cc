// Short comments a second on one core. The ones named Danmaku are of real comments and need HEED_DATA.
#include <benchmark/benchmark.h>

#include "text/classifier.h"
#include "text/danmaku.h"
#include "text/lint.h"
#include "text/questions.h"
#include "text/segmenter.h"
#include "text/word_lists.h"

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

void BM_Score(benchmark::State& state, float linear_share) {
  const std::vector<std::string> comments = Comments();
  ClassifierConfig config;
  config.labels = {"no", "yes"};
  config.linear_share = linear_share;
  config.admit_after = 1;
  const auto classifier = Classifier::Create(config, 1).value();
  TextBatch batch;
  for (const std::string& comment : comments) classifier->Append(comment, &batch);
  classifier->CountNgrams(batch);
  std::vector<uint32_t> labels;
  for (uint32_t i = 0; i < batch.size(); ++i) labels.push_back(i % 2);
  classifier->FitLinear(batch, labels, {});
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
BENCHMARK_CAPTURE(BM_Score, Members, 0.0f);
BENCHMARK_CAPTURE(BM_Score, WithLinear, 0.5f);

std::string DataFolder() {
  const char* data = std::getenv("HEED_DATA");  // NOLINT(concurrency-mt-unsafe): one thread
  return data == nullptr ? "" : data;
}

// Spelling and segmentation, on a list of words as large as jieba's.
void BM_SegmentDanmaku(benchmark::State& state) {
  const std::vector<Danmaku> comments = ReadDanmaku(DataFolder());
  const auto dictionary = Dictionary::ReadFile(DataFolder() + "/jieba/jieba.dict.utf8");
  if (comments.empty() || !dictionary.ok()) {
    state.SkipWithError("HEED_DATA names no folder with danmaku/ and jieba/");
    return;
  }
  const std::vector<Dictionary::Word> room = {{"主播", 1}, {"牛逼", 1}};
  const Segmenter segmenter(dictionary.value(), Dictionary::Make(room));
  Segmenter::Scratch scratch;
  std::vector<Character> characters;
  std::vector<Segmenter::Word> words;
  size_t cut = 0;
  for (auto _ : state) {
    for (const Danmaku& comment : comments) {
      SpellComment(comment.text, 1000, &characters);
      segmenter.Segment(characters, &scratch, &words);
      cut += words.size();
    }
  }
  benchmark::DoNotOptimize(cut);
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * comments.size()));
}
BENCHMARK(BM_SegmentDanmaku)->Unit(benchmark::kMillisecond);

// The benchmarks from here on are run from a checkout's root.
void BM_WordListsDanmaku(benchmark::State& state) {
  const std::vector<Danmaku> comments = ReadDanmaku(DataFolder());
  const auto lists = WordLists::ReadFile("src/text/data/word_lists.toml");
  if (comments.empty() || !lists.ok()) {
    state.SkipWithError("HEED_DATA names no folder with danmaku/, or this is no checkout's root");
    return;
  }
  size_t hits = 0;
  for (auto _ : state) {
    for (const Danmaku& comment : comments) hits += lists.value()->Find(comment.text).size();
  }
  benchmark::DoNotOptimize(hits);
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * comments.size()));
}
BENCHMARK(BM_WordListsDanmaku)->Unit(benchmark::kMillisecond);

void BM_LintDanmaku(benchmark::State& state) {
  const std::vector<Danmaku> comments = ReadDanmaku(DataFolder());
  const auto packs = LintPacks::Open("examples/compliance");
  if (comments.empty() || !packs.ok()) {
    state.SkipWithError("HEED_DATA names no folder with danmaku/, or this is no checkout's root");
    return;
  }
  size_t hits = 0;
  for (auto _ : state) {
    for (const Danmaku& comment : comments) {
      hits += packs.value()->current()->Check(comment.text, 1'795'000'000'000).size();
    }
  }
  benchmark::DoNotOptimize(hits);
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * comments.size()));
}
BENCHMARK(BM_LintDanmaku)->Unit(benchmark::kMillisecond);

// A room in which everybody asks: each comment is a question of a window of 600 seconds.
void BM_QuestionsDanmaku(benchmark::State& state) {
  const std::vector<Danmaku> comments = ReadDanmaku(DataFolder());
  const auto lists = WordLists::ReadFile("src/text/data/word_lists.toml");
  if (comments.empty() || !lists.ok()) {
    state.SkipWithError("HEED_DATA names no folder with danmaku/, or this is no checkout's root");
    return;
  }
  const auto meaning =
      std::make_shared<const QuestionMeaning>(lists.value(), std::span<const std::string>());
  for (auto _ : state) {
    QuestionMiner miner(meaning, {});
    for (size_t i = 0; i < 2000; ++i) {
      miner.Add({comments[i].text, i % 500, static_cast<int64_t>(comments[i].t_s * 1000)});
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * 2000));
}
BENCHMARK(BM_QuestionsDanmaku)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace heed::text
