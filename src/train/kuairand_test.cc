// On the real data set, in the folder $HEED_DATA/kuairand. Skipped where HEED_DATA is not set, except
// in CI, where a missing set is a failure.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <unordered_map>

#include "train/dataset.h"
#include "train/metrics.h"

namespace heed::train {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return value == nullptr ? "" : value;
}

TEST(KuaiRand, RowCountsAndFloors) {
  const std::string root = Environment("HEED_DATA");
  if (root.empty() && Environment("CI") != "true") {
    GTEST_SKIP() << "HEED_DATA is not set: the folder with kuairand/";
  }
  const std::string folder = root + "/kuairand";
  ASSERT_TRUE(std::filesystem::exists(folder + "/val.csv"))
      << "HEED_DATA=" << root << ": there is no kuairand/val.csv in it";
  const auto spec =
      LoadDatasetSpec(Environment("HEED_SOURCE_DIR") + "/examples/datasets/kuairand.toml");
  ASSERT_TRUE(spec.ok()) << spec.status().ToString();
  const auto loaded = Dataset::Load(spec.value(), folder);
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  const Dataset& data = *loaded.value();
  const std::vector<uint32_t>& test = data.samples_of(Split::kTest);
  EXPECT_EQ(data.samples_of(Split::kTrain).size() + data.samples_of(Split::kValid).size(), 94784u);
  EXPECT_EQ(test.size(), 133545u);
  EXPECT_EQ(data.history_rows(), 817187u);

  // The floor of the data page: a video's smoothed rate in the first six days, for the later ones.
  size_t video = 0;
  const std::vector<size_t> candidate_fields = data.schema().FieldsOf(model::Side::kCandidate);
  while (data.schema().fields[candidate_fields[video]].name != "video_id") ++video;
  const double expected[] = {0.6621, 0.6703};
  for (size_t task = 0; task < 2; ++task) {
    std::unordered_map<model::Key, std::pair<double, double>> rates;
    double ones = 0, rows = 0;
    model::Batch batch;
    const auto key = [&](uint32_t sample) {
      data.FillBatch({}, std::vector{sample}, &batch);
      return batch.candidate_keys[video];
    };
    for (const Split split : {Split::kTrain, Split::kValid}) {
      for (const uint32_t sample : data.samples_of(split)) {
        auto& [clicks, seen] = rates[key(sample)];
        clicks += data.label(sample, task), seen += 1;
        ones += data.label(sample, task), rows += 1;
      }
    }
    std::vector<float> scores, labels;
    for (const uint32_t sample : test) {
      const auto [clicks, seen] = rates[key(sample)];
      scores.push_back(static_cast<float>((clicks + 20 * ones / rows) / (seen + 20)));
      labels.push_back(data.label(sample, task));
    }
    EXPECT_NEAR(Auc(scores, labels), expected[task], 0.0015) << data.schema().tasks[task].name;
  }
}

}  // namespace
}  // namespace heed::train
