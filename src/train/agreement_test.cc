#include "train/agreement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/random.h"
#include "train/test_world.h"
#include "train/trainer.h"

namespace heed::train {
namespace {

// Places by counting who is better: O(N^2), nothing sorted.
std::vector<size_t> Places(const std::vector<float>& scores) {
  std::vector<size_t> places(scores.size(), 0);
  for (size_t i = 0; i < scores.size(); ++i) {
    for (size_t j = 0; j < scores.size(); ++j) {
      places[i] += scores[j] > scores[i] || (j < i && scores[j] == scores[i]) ? 1 : 0;
    }
  }
  return places;
}

TEST(CompareOrders, EqualsCountingByHand) {
  Random random(1);
  for (int round = 0; round < 300; ++round) {
    const size_t n = random.Below(30), k = 1 + random.Below(12);
    std::vector<float> a(n), b(n);
    for (size_t i = 0; i < n; ++i) {  // few values, so that there are ties
      a[i] = static_cast<float>(random.Below(12));
      b[i] = random.Chance(0.7) ? a[i] : static_cast<float>(random.Below(12));
    }
    const std::vector<size_t> of_a = Places(a), of_b = Places(b);
    const size_t best = std::min(k, n);
    double both = 0, flipped = 0, pairs = 0;
    bool same = true;
    for (size_t i = 0; i < n; ++i) {
      both += of_a[i] < best && of_b[i] < best ? 1 : 0;
      same = same && ((of_a[i] >= best && of_b[i] >= best) || of_a[i] == of_b[i]);
      for (size_t j = i + 1; j < n; ++j) {
        pairs += 1;
        if ((a[i] < a[j] && b[i] > b[j]) || (a[i] > a[j] && b[i] < b[j])) flipped += 1;
        if ((a[i] == a[j]) != (b[i] == b[j])) flipped += 0.5;
      }
    }
    const OrderAgreement got = CompareOrders(a, b, k);
    EXPECT_DOUBLE_EQ(got.overlap, best == 0 ? 1.0 : both / static_cast<double>(best));
    EXPECT_EQ(got.same, same);
    EXPECT_DOUBLE_EQ(got.flipped, flipped);
    EXPECT_DOUBLE_EQ(got.pairs, pairs);
  }
}

model::RankerConfig ConfigOf(const Dataset& data) {
  model::RankerConfig config;
  config.schema = data.schema();
  config.embedding_width = 4;
  config.attention_heads = 2;
  config.attention_width = 8;
  config.hidden = {16};
  return config;
}

class AgreementTest : public testing::Test {
 protected:
  void SetUp() override {
    auto loaded = LoadWorld(MakeWorld(3, 3000), folder_);
    ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
    data_ = std::move(loaded).value();
    auto trained = Train(*data_, ConfigOf(*data_), {.batch_size = 64, .epochs = 1});
    ASSERT_TRUE(trained.ok()) << trained.status().ToString();
    ranker_ = std::move(trained.value().ranker);
  }

  TestFolder folder_;
  std::unique_ptr<Dataset> data_;
  std::unique_ptr<model::Ranker> ranker_;
};

TEST_F(AgreementTest, DrawnRequestsAreMadeOfRowsAndCandidatesDiffer) {
  const std::vector<uint32_t>& samples = data_->samples_of(Split::kTest);
  const auto drawn = DrawRequests(*data_, {}, samples, {.requests = 5, .candidates = 20});
  ASSERT_EQ(drawn.size(), 5u);
  model::Batch rows;
  data_->FillBatch({}, samples, &rows);
  const size_t fields = data_->schema().FieldsOf(model::Side::kCandidate).size();
  std::set<std::vector<model::Key>> known;
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto key = rows.candidate_keys.begin() + static_cast<ptrdiff_t>(i * fields);
    known.insert({key, key + static_cast<ptrdiff_t>(fields)});
  }
  for (const model::Batch& batch : drawn) {
    ASSERT_TRUE(batch.Validate(data_->schema()).ok());
    EXPECT_GT(batch.candidates, 5u);
    std::set<std::vector<model::Key>> seen;
    for (size_t i = 0; i < batch.candidates; ++i) {
      const auto key = batch.candidate_keys.begin() + static_cast<ptrdiff_t>(i * fields);
      const std::vector<model::Key> keys(key, key + static_cast<ptrdiff_t>(fields));
      EXPECT_TRUE(known.count(keys) > 0);
      EXPECT_TRUE(seen.insert(keys).second) << "a candidate twice";
    }
  }
  const auto again = DrawRequests(*data_, {}, samples, {.requests = 5, .candidates = 20});
  EXPECT_EQ(drawn[4].candidate_keys, again[4].candidate_keys);
}

TEST_F(AgreementTest, AgreesWithItselfAndSaysWhatItIsNot) {
  const AgreementOptions options{.plan = {.requests = 10, .candidates = 40}, .k = 5};
  const Scorer self = ScorerOf(*ranker_);
  const auto same = Compare(*data_, *ranker_, self, self, options);
  ASSERT_TRUE(same.ok()) << same.status().ToString();
  const auto judged = Evaluate(*ranker_, *data_, {});
  ASSERT_TRUE(judged.ok());
  ASSERT_EQ(same.value().tasks.size(), judged.value().tasks.size() + 1);  // and the served score
  for (size_t t = 0; t < judged.value().tasks.size(); ++t) {
    const TaskAgreement& task = same.value().tasks[t];
    EXPECT_DOUBLE_EQ(task.auc, judged.value().tasks[t].metrics.auc);
    EXPECT_NEAR(task.log_loss, judged.value().tasks[t].metrics.log_loss, 1e-6);
    EXPECT_EQ(task.auc_loss, 0.0);
    EXPECT_EQ(task.overlap, 1.0);
    EXPECT_EQ(task.flips, 0.0);
    EXPECT_EQ(task.rms, 0.0);
    EXPECT_GT(task.deviation, 0.0);
  }
  // Turned round, every pair that is not tied is flipped, and the AUC is its complement.
  const Scorer turned = [&](const model::Batch& batch, std::span<float> logits) -> Status {
    HEED_RETURN_IF_ERROR(self(batch, logits));
    for (float& logit : logits) logit = -logit;
    return {};
  };
  const auto opposite = Compare(*data_, *ranker_, self, turned, options);
  ASSERT_TRUE(opposite.ok());
  for (const TaskAgreement& task : opposite.value().tasks) {
    EXPECT_GT(task.flips, 0.9) << task.task;
    EXPECT_EQ(task.same_order, 0.0);
    if (task.task == "score") continue;
    EXPECT_NEAR(task.auc_loss, 2 * task.auc - 1, 1e-9);
  }
  EXPECT_EQ(opposite.value().requests, 10u);
}

TEST_F(AgreementTest, RefusesAModelOfAnotherDataSet) {
  model::RankerConfig config = ConfigOf(*data_);
  config.schema.tasks[0].name = "other";
  const auto other = model::Ranker::Create(config, 1);
  ASSERT_TRUE(other.ok());
  const Scorer scorer = ScorerOf(*other.value());
  const auto report = Compare(*data_, *other.value(), scorer, scorer, {});
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.status().message().find("other"), std::string::npos);
}

}  // namespace
}  // namespace heed::train
