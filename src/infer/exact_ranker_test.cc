// The exact mode against fp32 on rankings it was not calibrated on.
#include "infer/exact_ranker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "model/batch_for_test.h"
#include "model/ranker_net.h"
#include "nn/loss.h"

namespace heed::infer {
namespace {

using kernels::Precision;
using model::Batch;
using model::Ranker;

model::RankerConfig Config() {
  model::RankerConfig config = model::SmallConfig();
  config.embedding_width = 8;
  config.attention_width = 16;
  config.hidden = {40, 24};
  return config;
}

std::shared_ptr<const Ranker> Trained() {
  auto ranker = Ranker::Create(Config(), 7);
  EXPECT_TRUE(ranker.ok());
  Random random(11);
  model::OptimizerConfig optimizer;
  optimizer.dense_rate = optimizer.table_rate = 0.02f;
  for (int step = 0; step < 20; ++step) {
    const Batch batch =
        model::RandomBatch(Config().schema, {.requests = 8, .per_request = 3}, random);
    EXPECT_TRUE(ranker.value()->TrainStep(batch, optimizer).ok());
  }
  // A task turned round: its highest probability belongs to its lowest logit.
  ranker.value()->SetCalibration({1.3f, -0.8f}, {0.1f, -0.2f});
  return std::move(ranker).value();
}

std::vector<Batch> Requests(uint64_t seed, size_t count, uint32_t candidates) {
  Random random(seed);
  std::vector<Batch> out;
  for (size_t i = 0; i < count; ++i) {
    out.push_back(model::RandomBatch(
        Config().schema, {.requests = 1, .per_request = candidates, .keys = 400}, random));
  }
  return out;
}

std::vector<float> Scores(const Ranker& ranker, std::span<const float> logits,
                          std::span<const float> weights) {
  const size_t T = weights.size();
  std::vector<float> scores(logits.size() / T, 0.0f);
  for (size_t i = 0; i < logits.size(); ++i) {
    const model::Net& net = ranker.net();
    scores[i / T] += weights[i % T] * nn::Sigmoid(net.calibration_scale[i % T] * logits[i] +
                                                  net.calibration_shift[i % T]);
  }
  return scores;
}

std::vector<uint32_t> Best(const std::vector<float>& scores, size_t k) {
  std::vector<uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return scores[a] > scores[b]; });
  order.resize(std::min(k, order.size()));
  return order;
}

std::unique_ptr<ExactRanker> Exact(const std::shared_ptr<const Ranker>& ranker, double coverage) {
  ExactOptions options;
  options.compile.precision = Precision::kInt8;
  options.coverage = coverage;
  auto exact = ExactRanker::Make(ranker, options, Requests(1, 40, 50), Requests(2, 60, 200));
  EXPECT_TRUE(exact.ok()) << exact.status().ToString();
  return std::move(exact).value();
}

TEST(ExactRanker, BestAreThoseOfFp32InItsOrder) {
  const auto ranker = Trained();
  const auto exact = Exact(ranker, 1.0);
  Arena arena;
  size_t differs_without = 0, rescored = 0, candidates = 0;
  for (const std::vector<float>& weights :
       {std::vector<float>{1, 3}, std::vector<float>{0, 1}, std::vector<float>{1, 0}}) {
    for (const Batch& batch : Requests(3, 60, 300)) {
      model::Scores want;
      ASSERT_TRUE(ranker->Forward(batch, false, &want).ok());
      std::vector<float> logits(want.logits.size()), low(want.logits.size());
      ExactRanker::Use use;
      ASSERT_TRUE(exact->Logits(batch, weights, &arena, logits, &use).ok());
      const std::vector<float> scores = Scores(*ranker, want.logits, weights);
      const auto best = Best(scores, 10);
      ASSERT_EQ(Best(Scores(*ranker, logits, weights), 10), best);
      for (const uint32_t i : best) {
        EXPECT_NEAR(logits[2 * i], want.logits[2 * i], 1e-5);
        EXPECT_NEAR(logits[2 * i + 1], want.logits[2 * i + 1], 1e-5);
      }
      ASSERT_TRUE(exact->low().Logits(batch, &arena, low).ok());
      differs_without += Best(Scores(*ranker, low, weights), 10) != best ? 1 : 0;
      rescored += use.rescored, candidates += use.candidates;
    }
  }
  EXPECT_GT(differs_without, 50u) << "int8 alone gives the same: nothing was shown";
  EXPECT_LT(rescored, candidates / 2);
}

TEST(ExactRanker, ASmallerCoverageScoresFewerAgain) {
  const auto ranker = Trained();
  const auto all = Exact(ranker, 1.0), most = Exact(ranker, 0.9);
  ASSERT_EQ(all->bound().size(), 2u);
  Arena arena;
  size_t of_all = 0, of_most = 0;
  for (const Batch& batch : Requests(4, 20, 300)) {
    std::vector<float> logits(batch.candidates * 2);
    ExactRanker::Use use;
    ASSERT_TRUE(all->Logits(batch, std::vector<float>{1, 3}, &arena, logits, &use).ok());
    of_all += use.rescored;
    ASSERT_TRUE(most->Logits(batch, std::vector<float>{1, 3}, &arena, logits, &use).ok());
    of_most += use.rescored;
    EXPECT_GE(use.rescored, 10u);
  }
  for (size_t t = 0; t < 2; ++t) EXPECT_LT(most->bound()[t], all->bound()[t]);
  EXPECT_LT(of_most, of_all);
}

TEST(ExactRanker, FewCandidatesAreAllFp32) {
  const auto ranker = Trained();
  const auto exact = Exact(ranker, 1.0);
  Arena arena;
  for (const uint32_t count : {0u, 1u, 10u}) {
    const Batch batch = Requests(5, 1, count).front();
    std::vector<float> logits(2 * count);
    ExactRanker::Use use;
    ASSERT_TRUE(exact->Logits(batch, std::vector<float>{1, 3}, &arena, logits, &use).ok());
    EXPECT_EQ(use.rescored, count);
  }
}

TEST(ExactRanker, SaysWhatIsWrong) {
  const auto ranker = Trained();
  const auto refused = [&](ExactOptions options, const std::vector<Batch>& requests) {
    options.compile.precision = Precision::kInt8;
    return ExactRanker::Make(ranker, options, Requests(1, 5, 50), requests).status().field();
  };
  EXPECT_EQ(refused({}, {}), "requests");
  EXPECT_EQ(refused({}, Requests(2, 5, 10)), "requests");
  EXPECT_EQ(refused({.k = 0}, Requests(2, 5, 20)), "k");
  EXPECT_EQ(refused({.coverage = 0}, Requests(2, 5, 20)), "coverage");
  const auto exact = Exact(ranker, 1.0);
  Arena arena;
  std::vector<float> logits(40);
  ExactRanker::Use use;
  const Batch batch = Requests(6, 1, 20).front();
  const auto field = [&](const std::vector<float>& weights, const Batch& of) {
    return exact->Logits(of, weights, &arena, logits, &use).field();
  };
  EXPECT_EQ(field({1}, batch), "weights");
  EXPECT_EQ(field({0, 0}, batch), "weights");
  EXPECT_EQ(field({1, -1}, batch), "weights");
  Random random(1);
  EXPECT_EQ(field({1, 1}, model::RandomBatch(Config().schema, {.requests = 2}, random)),
            "requests");
}

}  // namespace
}  // namespace heed::infer
