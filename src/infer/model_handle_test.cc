#include "infer/model_handle.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "model/batch_for_test.h"

namespace heed::infer {
namespace {

using std::chrono::milliseconds;

TEST(ModelHandleTest, OldModelsAreFreedByWhoPublishesAndNobodyElseWaits) {
  constexpr int kSwaps = 100;
  const std::thread::id publisher = std::this_thread::get_id();
  std::atomic<int> freed = 0, freed_elsewhere = 0;
  std::atomic<bool> freeing = false, stop = false;
  std::atomic<int64_t> got_while_freeing = 0;
  const auto make = [&](const std::string& version) {
    return std::shared_ptr<const ServingModel>(
        new ServingModel{.version = version}, [&](const ServingModel* model) {
          if (std::this_thread::get_id() != publisher) ++freed_elsewhere;
          freeing = true;
          std::this_thread::sleep_for(milliseconds(2));  // as a large model takes
          freeing = false;
          ++freed;
          delete model;
        });
  };
  ModelHandle handle;
  handle.Publish(make("0"));
  std::vector<std::thread> requests;
  for (int t = 0; t < 3; ++t) {
    requests.emplace_back([&] {
      std::string seen;
      while (!stop) {
        const bool during = freeing;
        const auto model = handle.Get();
        seen = model->version;  // alive, whatever was published meanwhile
        if (during && freeing) ++got_while_freeing;
      }
      EXPECT_FALSE(seen.empty());
    });
  }
  for (int swap = 1; swap <= kSwaps; ++swap) {
    handle.Publish(make(std::to_string(swap)));
    EXPECT_EQ(freed, swap);
  }
  stop = true;
  for (std::thread& request : requests) request.join();
  EXPECT_EQ(handle.Get()->version, std::to_string(kSwaps));
  EXPECT_EQ(freed_elsewhere, 0);
  EXPECT_GT(got_while_freeing, 0) << "requests waited for an old model to be freed";
}

TEST(ServingModelTest, ServesInThePrecisionAskedForWhereItCan) {
  using kernels::Precision;
  auto made = model::Ranker::Create(model::SmallConfig(), 1);
  ASSERT_TRUE(made.ok());
  const std::shared_ptr<model::Ranker> ranker = std::move(made).value();
  const auto precision = [&](Precision wanted) {
    return ServingModel::Make("1", ranker, wanted)->compiled->options().precision;
  };
  EXPECT_EQ(precision(Precision::kBf16), Precision::kBf16);
  EXPECT_EQ(precision(Precision::kInt8), Precision::kFp32) << "it carries no ranges";
  Random random(1);
  const auto ranges = CompiledRanker::MeasureRanges(
      ranker, {model::RandomBatch(model::SmallConfig().schema, {}, random)});
  ASSERT_TRUE(ranges.ok());
  ranker->SetActivationRanges(ranges.value());
  EXPECT_EQ(precision(Precision::kInt8), Precision::kInt8);
}

}  // namespace
}  // namespace heed::infer
