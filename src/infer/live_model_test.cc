#include "infer/live_model.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "model/batch_for_test.h"
#include "model/ranker_net.h"
#include "nn/loss.h"

namespace heed::infer {
namespace {

using model::Batch;

class LiveModelTest : public testing::Test {
 protected:
  LiveModelTest() {
    auto made = model::Ranker::Create(model::SmallConfig(), 1);
    trained_ = std::move(made).value();
    trained_->TrackKeys();
    Train(3);
    (void)TakeChangedRows();
  }
  Batch Draw(uint64_t keys, bool labels) {
    return model::RandomBatch(trained_->config().schema,
                              {.requests = 3, .per_request = 4, .keys = keys, .labels = labels},
                              random_);
  }
  void Train(int steps) {
    for (int i = 0; i < steps; ++i) {
      const Batch batch = Draw(keys_, true);
      const auto loss = [&](std::span<const float> logits, std::span<float> d_logits) {
        double sum = 0;
        for (size_t j = 0; j < logits.size(); ++j) {
          const float label = std::isnan(batch.labels[j]) ? 0.5f : batch.labels[j];
          d_logits[j] = nn::Sigmoid(logits[j]) - label;
          sum += std::abs(static_cast<double>(d_logits[j]));
        }
        return sum;
      };
      model::StepRecord before;
      ASSERT_TRUE(trained_->TrainStep(batch, {.table_rate = 0.05f}, loss, &before).ok());
      changed_.resize(before.tables.size());
      for (size_t t = 0; t < changed_.size(); ++t) {
        const std::vector<uint32_t>& rows = before.tables[t].rows;
        changed_[t].insert(changed_[t].end(), rows.begin(), rows.end());
      }
    }
  }
  model::TableRows TakeChangedRows() { return std::exchange(changed_, {}); }
  std::vector<float> Expected(const Batch& batch) const {
    model::Scores scores;
    EXPECT_TRUE(trained_->Forward(batch, false, &scores).ok());
    return scores.probabilities;
  }
  static std::vector<float> Served(const ServingModel& model, const Batch& batch) {
    std::vector<float> out(batch.candidates * model.ranker->config().schema.tasks.size());
    EXPECT_TRUE(model.Score(batch, out).ok());
    return out;
  }
  static bool Near(const std::vector<float>& a, const std::vector<float>& b) {
    for (size_t i = 0; i < a.size(); ++i) {
      if (!(std::abs(a[i] - b[i]) <= 2e-5f)) return false;
    }
    return a.size() == b.size();
  }

  Random random_{7};
  uint64_t keys_ = 20;
  std::unique_ptr<model::Ranker> trained_;
  model::TableRows changed_;
  ModelHandle handle_;
};

TEST_F(LiveModelTest, ServesWhatWasTrainedRowsAndAll) {
  LiveModel live(&handle_, *trained_, kernels::Precision::kFp32, "1+0");
  EXPECT_EQ(handle_.Get()->version, "1+0");
  const Batch batch = Draw(40, false);
  EXPECT_TRUE(Near(Served(*handle_.Get(), batch), Expected(batch)));
  for (int round = 1; round <= 8; ++round) {
    keys_ += 3;  // some rows are new: both replicas grow, one round apart
    Train(2);
    live.Publish(*trained_, TakeChangedRows(), /*dense=*/true, std::to_string(round));
    EXPECT_EQ(handle_.Get()->version, std::to_string(round));
    EXPECT_TRUE(Near(Served(*handle_.Get(), batch), Expected(batch))) << round;
  }
}

TEST_F(LiveModelTest, RowsComeAtOnceAndDenseWeightsWhenTold) {
  LiveModel live(&handle_, *trained_, kernels::Precision::kFp32, "1+0");
  const std::unique_ptr<model::Ranker> before = trained_->Copy();
  const Batch batch = Draw(30, false);
  (void)Served(*handle_.Get(), batch);  // fills the caches
  Train(4);
  const model::TableRows changed = TakeChangedRows();
  live.Publish(*trained_, changed, /*dense=*/false, "1+4");
  before->CopyRows(*trained_, changed);  // new rows, old dense weights
  model::Scores scores;
  ASSERT_TRUE(before->Forward(batch, false, &scores).ok());
  EXPECT_TRUE(Near(Served(*handle_.Get(), batch), scores.probabilities));
  EXPECT_FALSE(Near(scores.probabilities, Expected(batch))) << "the steps changed nothing dense";
  live.Publish(*trained_, TakeChangedRows(), /*dense=*/true, "1+5");
  EXPECT_TRUE(Near(Served(*handle_.Get(), batch), Expected(batch)));
}

TEST_F(LiveModelTest, Int8KeepsItsRanges) {
  const std::shared_ptr<const model::Ranker> copy = trained_->Copy();
  const auto ranges = CompiledRanker::MeasureRanges(copy, {Draw(20, false)});
  ASSERT_TRUE(ranges.ok());
  trained_->SetActivationRanges(ranges.value());
  LiveModel live(&handle_, *trained_, kernels::Precision::kInt8, "1+0");
  Train(3);  // empties the trained one's
  live.Publish(*trained_, TakeChangedRows(), /*dense=*/true, "1+5");
  trained_->SetActivationRanges(ranges.value());
  const std::shared_ptr<model::Ranker> now = trained_->CopyToServe();
  now->StoreTables(kernels::Precision::kInt8);
  const auto fresh = CompiledRanker::Compile(now, {.precision = kernels::Precision::kInt8});
  ASSERT_TRUE(fresh.ok()) << fresh.status().ToString();
  const Batch batch = Draw(20, false);
  std::vector<float> wanted(batch.candidates * now->config().schema.tasks.size());
  Arena arena;
  ASSERT_TRUE(fresh.value()->Score(batch, &arena, wanted).ok());
  ASSERT_EQ(handle_.Get()->compiled->options().precision, kernels::Precision::kInt8);
  EXPECT_EQ(Served(*handle_.Get(), batch), wanted);
}

// A model in low precision holds its tables in it, and what training changes arrives rounded.
TEST_F(LiveModelTest, TablesFollowInTheModelsPrecision) {
  const std::vector<float> ranges =
      CompiledRanker::MeasureRanges(std::shared_ptr(trained_->Copy()), {Draw(20, false)}).value();
  for (const auto& [precision, near] : {std::pair{kernels::Precision::kFp32, 1e-7f},
                                        {kernels::Precision::kBf16, 2e-2f},
                                        {kernels::Precision::kInt8, 6e-2f}}) {
    trained_->SetActivationRanges(ranges);  // training empties them
    LiveModel live(&handle_, *trained_, precision, "1");
    ASSERT_EQ(handle_.Get()->compiled->options().precision, precision);
    (void)TakeChangedRows();
    const Batch batch = Draw(40, false);
    for (int round = 0; round < 4; ++round) {
      const std::vector<float> before = Served(*handle_.Get(), batch);
      keys_ += 3;
      Train(6);
      live.Publish(*trained_, TakeChangedRows(), /*dense=*/true, std::to_string(round));
      // What is rounded row by row as it changes is what is rounded whole.
      trained_->SetActivationRanges(ranges);
      const std::shared_ptr<model::Ranker> whole = trained_->CopyToServe();
      whole->StoreTables(precision);
      const auto fresh = CompiledRanker::Compile(whole, {.precision = precision});
      ASSERT_TRUE(fresh.ok()) << fresh.status().ToString();
      std::vector<float> wanted(before.size());
      Arena arena;
      ASSERT_TRUE(fresh.value()->Score(batch, &arena, wanted).ok());
      EXPECT_TRUE(Near(Served(*handle_.Get(), batch), wanted)) << kernels::PrecisionName(precision);
      EXPECT_FALSE(Near(before, wanted)) << "too little was learned to see that it arrives";
      // As explanations read it: the ranker itself.
      model::Scores scores;
      ASSERT_TRUE(handle_.Get()->ranker->Forward(batch, true, &scores).ok());
      const std::vector<float> plain = Expected(batch);
      for (size_t i = 0; i < plain.size(); ++i) {
        EXPECT_NEAR(scores.probabilities[i], plain[i], near) << kernels::PrecisionName(precision);
      }
    }
    const std::unique_ptr<model::Ranker> plain = trained_->CopyToServe();
    for (size_t t = 0; t < plain->net().tables.size(); ++t) {
      const nn::EmbeddingTable& table = handle_.Get()->ranker->net().tables[t];
      const bool low = precision != kernels::Precision::kFp32;
      EXPECT_EQ(table.precision(), precision);
      EXPECT_EQ(table.values().empty(), low);
      EXPECT_TRUE(low ? table.bytes() < plain->net().tables[t].bytes()
                      : table.bytes() == plain->net().tables[t].bytes());
    }
  }
}

// Whatever a request reads is one published version, whole.
TEST_F(LiveModelTest, NoRequestSeesHalfAChange) {
  LiveModel live(&handle_, *trained_, kernels::Precision::kFp32, "1+0");
  const Batch batch = Draw(20, false);
  std::mutex mutex;
  std::map<std::string, std::vector<float>> expected;
  const auto expect = [&](const std::string& version) {
    const std::lock_guard lock(mutex);
    expected[version] = Expected(batch);
  };
  expect("1+0");
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0, read = 0;
  std::vector<std::thread> requests;
  for (int t = 0; t < 3; ++t) {
    requests.emplace_back([&] {
      while (!stop) {
        const auto model = handle_.Get();
        const std::vector<float> served = Served(*model, batch);
        std::vector<float> wanted;
        {
          const std::lock_guard lock(mutex);
          wanted = expected[model->version];
        }
        if (!Near(served, wanted)) ++wrong;
        ++read;
      }
    });
  }
  for (int step = 1; step <= 200; ++step) {
    Train(1);
    expect("1+" + std::to_string(step));
    live.Publish(*trained_, TakeChangedRows(), /*dense=*/true, "1+" + std::to_string(step));
  }
  stop = true;
  for (std::thread& request : requests) request.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(read, 10);
}

}  // namespace
}  // namespace heed::infer
