#include "train/input_drift.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "model/batch_for_test.h"
#include "model/ranker_net.h"
#include "train/online_for_test.h"

namespace heed::train {
namespace {

constexpr size_t kShares = model::NumericBins::kShares, kBins = model::NumericBins::kBins;

TEST(InputDrift, DivergenceByHand) {
  EXPECT_DOUBLE_EQ((InputDrift::Numeric{0, 1, 0}.divergence()), 0);
  // A shift by half a deviation alone: its square.
  EXPECT_DOUBLE_EQ((InputDrift::Numeric{0.5, 1, 0}.divergence()), 0.25);
  // Twice the deviation: (4 + 1/4 - 2) / 2.
  EXPECT_DOUBLE_EQ((InputDrift::Numeric{0, 2, 0}.divergence()), 1.125);
  EXPECT_TRUE(std::isinf((InputDrift::Numeric{0, 0, 0}.divergence())));
}

// A ranker of one number of a candidate, and what it is served.
struct Served {
  Served() {
    model::RankerConfig config;
    config.schema.fields = {{"item", "item", model::Side::kCandidate}};
    config.schema.numerics = {{"price", model::Side::kCandidate}};
    config.schema.tasks = {{"click"}};
    config.embedding_width = 2;
    config.hidden = {2};
    ranker = std::move(model::Ranker::Create(config, 1)).value();
  }
  // The scaling and, unless told otherwise, the bins of these rows.
  void TrainOn(const std::vector<float>& values, bool bins = true) {
    double sum = 0, squares = 0, n = 0;
    for (const auto value : values) {
      if (std::isnan(value)) continue;
      n += 1, sum += static_cast<double>(value), squares += static_cast<double>(value * value);
    }
    const double mean = sum / n;
    ranker->SetNumericScaling({static_cast<float>(mean)},
                              {static_cast<float>(std::sqrt(squares / n - mean * mean))});
    if (!bins) return;
    model::Net net = ranker->net();
    net.numeric_bins = model::NumericBins::Of({values});
    ranker = model::Ranker::Of(net);
  }
  InputDrift::Numeric Serve(const std::vector<float>& values, uint32_t horizon) {
    InputDrift drift(ranker->config().schema, horizon);
    for (const float value : values) {
      model::Batch batch;
      batch.Clear(ranker->config().schema);
      batch.requests = batch.candidates = 1;
      batch.request_of = {0};
      batch.candidate_keys = {1};
      batch.candidate_numerics = {value};
      drift.Add(*ranker, batch);
    }
    return drift.numerics(*ranker)[0];
  }
  std::unique_ptr<model::Ranker> ranker;
};

std::vector<float> Draw(size_t rows, const std::function<double()>& one) {
  std::vector<float> out(rows);
  for (float& value : out) value = static_cast<float>(one());
  return out;
}

RC_GTEST_PROP(Psi, EqualsAnExactRecomputation, (uint64_t seed)) {
  Random random(seed);
  const auto column = [&](size_t rows) {
    const double at = random.Normal(), wide = random.Uniform(0.1, 2.0), mass = random.Uniform(),
                 absent = 0.3 * random.Uniform();
    return Draw(rows, [&] {
      if (random.Chance(absent)) return std::nan("");
      return random.Chance(mass) ? 0.5 : at + wide * random.Normal();
    });
  };
  const std::vector<float> trained = column(50 + random.Below(500)),
                           served = column(200 + random.Below(500));
  Served world;
  world.TrainOn(trained);
  // With a horizon that no row is far from, the shares are those of all rows.
  const double psi = world.Serve(served, ~uint32_t{0}).psi;
  // Anew, from the definition of a quantile: the smallest value that b tenths of the rows do not exceed.
  std::vector<float> sorted;
  std::copy_if(trained.begin(), trained.end(), std::back_inserter(sorted),
               [](float v) { return !std::isnan(v); });
  std::sort(sorted.begin(), sorted.end());
  std::vector<float> edges(kBins - 1, 0.0f);
  for (size_t b = 0; b < edges.size() && !sorted.empty(); ++b) {
    for (const float value : sorted) {
      const auto within = static_cast<size_t>(
          std::upper_bound(sorted.begin(), sorted.end(), value) - sorted.begin());
      edges[b] = value;
      if (within * kBins >= (b + 1) * sorted.size()) break;
    }
  }
  const auto share = [&](const std::vector<float>& rows, size_t bin) {
    double count = 0;
    for (const float value : rows) {
      const bool above = bin > 0 && bin < kBins ? value > edges[bin - 1] : bin == 0;
      const bool to = bin + 1 < kBins ? value <= edges[bin] : true;
      count += (bin == kBins ? std::isnan(value) : !std::isnan(value) && above && to) ? 1 : 0;
    }
    return std::max(count / static_cast<double>(rows.size()), 1e-4);
  };
  double exact = 0;
  for (size_t bin = 0; bin < kShares; ++bin) {
    const double a = share(served, bin), e = share(trained, bin);
    exact += (a - e) * std::log(a / e);
  }
  RC_ASSERT(std::abs(psi - exact) < 1e-5 * std::max(1.0, exact));
}

TEST(Psi, SeesTwoModesWhereMeanAndDeviationStayAndTheDivergenceDoesNot) {
  Random random(2);
  Served world;
  world.TrainOn(Draw(20'000, [&] { return random.Normal(); }));
  const InputDrift::Numeric same =
      world.Serve(Draw(20'000, [&] { return random.Normal(); }), 5'000);
  EXPECT_LT(same.psi, 0.02);
  EXPECT_LT(same.divergence(), 0.02);
  const double half = std::sqrt(0.91);  // with a deviation of .3 in each mode: 1 in all
  const InputDrift::Numeric split = world.Serve(
      Draw(20'000, [&] { return (random.Chance(0.5) ? half : -half) + 0.3 * random.Normal(); }),
      5'000);
  EXPECT_NEAR(split.mean, 0, 0.05);
  EXPECT_NEAR(split.deviation, 1, 0.05);
  EXPECT_LT(split.divergence(), 0.02);
  EXPECT_GT(split.psi, 0.25);
}

TEST(Psi, SeesWhatIsAbsent) {
  Random random(3);
  Served world;
  world.TrainOn(Draw(5'000, [&] { return random.Normal(); }));
  const InputDrift::Numeric absent = world.Serve(
      Draw(5'000, [&] { return random.Chance(0.2) ? std::nan("") : random.Normal(); }), 5'000);
  EXPECT_LT(absent.divergence(), 0.02);
  EXPECT_GT(absent.psi, 0.25);
}

TEST(Psi, IsNotAvailableWithoutBinsOrRows) {
  Random random(4);
  const std::vector<float> rows = Draw(1'000, [&] { return random.Normal(); });
  Served old;
  old.TrainOn(rows, /*bins=*/false);
  EXPECT_TRUE(std::isnan(old.Serve(rows, 5'000).psi));
  EXPECT_LT(old.Serve(rows, 5'000).divergence(), 0.01);
  Served world;
  world.TrainOn(rows);
  const auto first = static_cast<ptrdiff_t>(InputDrift::kMinPsiRows);
  EXPECT_TRUE(std::isnan(world.Serve({rows.begin(), rows.begin() + first - 1}, ~0u).psi));
  EXPECT_FALSE(std::isnan(world.Serve({rows.begin(), rows.begin() + first}, ~0u).psi));
}

}  // namespace
}  // namespace heed::train
