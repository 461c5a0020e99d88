#include "decide/explore.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

namespace heed::decide {
namespace {

TEST(ExploreTest, WithoutExplorationTheBestAreShownInOrder) {
  Random random(1);
  const std::vector<float> scores = {0.1f, 0.9f, 0.5f, 0.9f, 0.2f};
  const Slate slate = ChooseSlate(scores, 3, 0.0, &random);
  EXPECT_EQ(slate.shown, (std::vector<uint32_t>{1, 3, 2}));  // equal scores keep their order
  EXPECT_EQ(slate.propensity, (std::vector<float>{1, 1, 1}));
}

TEST(ExploreTest, EverythingFitsMeansNothingIsLeftToChance) {
  Random random(1);
  const std::vector<float> scores = {0.1f, 0.9f};
  const Slate slate = ChooseSlate(scores, 5, 0.5, &random);
  EXPECT_EQ(slate.shown, (std::vector<uint32_t>{1, 0}));
  EXPECT_EQ(slate.propensity, (std::vector<float>{1, 1}));
  EXPECT_TRUE(ChooseSlate({}, 5, 0.5, &random).shown.empty());
}

// The stated propensity is the frequency with which the slate shows the candidate: what inverse
// propensity estimates stand on.
TEST(ExploreTest, StatedPropensityIsTheFrequency) {
  Random random(7);
  const std::vector<float> scores = {5, 4, 3, 2, 1, 0};
  const int n = 200'000;
  std::map<uint32_t, int> times;
  std::map<uint32_t, float> stated;
  for (int i = 0; i < n; ++i) {
    const Slate slate = ChooseSlate(scores, 3, 0.2, &random);
    ASSERT_EQ(slate.shown.size(), 3u);
    for (size_t k = 0; k < 3; ++k) {
      ++times[slate.shown[k]];
      stated[slate.shown[k]] = slate.propensity[k];
    }
  }
  ASSERT_EQ(times.size(), scores.size());  // every candidate has a chance
  double total = 0;
  for (const auto& [candidate, count] : times) {
    const double p = stated[candidate];
    total += p;
    const double sigma = std::sqrt(p * (1 - p) / n);
    EXPECT_NEAR(static_cast<double>(count) / n, p, 4 * sigma + 1e-12) << candidate;
  }
  EXPECT_NEAR(total, 3.0, 1e-5);  // expected size of the slate
}

}  // namespace
}  // namespace heed::decide
