#include "model/numeric_bins.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/batch_for_test.h"
#include "model/ranker_net.h"
#include "nn/tensor_file.h"

namespace heed::model {
namespace {

std::vector<float> Column(size_t rows, Random* random) {
  std::vector<float> column(rows);
  for (float& value : column) {
    value = random->Chance(0.1) ? std::nanf("") : static_cast<float>(random->Normal());
    if (random->Chance(0.3)) value = 2.0f;  // many alike
  }
  return column;
}

NumericBins BinsOf(size_t columns, size_t rows) {
  Random random(9);
  std::vector<std::vector<float>> values;
  for (size_t i = 0; i < columns; ++i) values.push_back(Column(rows, &random));
  return NumericBins::Of(std::move(values));
}

RC_GTEST_PROP(NumericBins, SharesAreCountsBetweenTheEdges, (uint64_t seed)) {
  Random random(seed);
  const std::vector<float> values = Column(1 + random.Below(300), &random);
  const NumericBins bins = NumericBins::Of({values});
  RC_ASSERT(bins.Check(1).ok());
  const auto rows = static_cast<double>(values.size());
  for (size_t b = 0; b < NumericBins::kBins; ++b) {
    const float above = b == 0 ? -INFINITY : bins.edges[b - 1];
    const float to = b + 1 == NumericBins::kBins ? INFINITY : bins.edges[b];
    const auto within =
        std::count_if(values.begin(), values.end(), [&](float v) { return v > above && v <= to; });
    RC_ASSERT(std::abs(static_cast<double>(bins.shares[b]) - static_cast<double>(within) / rows) <
              1e-6);
  }
  const auto absent =
      std::count_if(values.begin(), values.end(), [](float v) { return std::isnan(v); });
  RC_ASSERT(std::abs(static_cast<double>(bins.shares[NumericBins::kBins]) -
                     static_cast<double>(absent) / rows) < 1e-6);
}

TEST(NumericBins, DifferentValuesFillThemEvenly) {
  std::vector<float> values(1000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * i);
  const NumericBins bins = NumericBins::Of({values});
  for (size_t b = 0; b < NumericBins::kBins; ++b) EXPECT_FLOAT_EQ(bins.shares[b], 0.1f);
  EXPECT_EQ(bins.BinOf(0, -5.0f), 0u);
  EXPECT_EQ(bins.BinOf(0, 1e9f), NumericBins::kBins - 1);
  EXPECT_EQ(bins.BinOf(0, std::nanf("")), NumericBins::kBins);
  EXPECT_TRUE(NumericBins::Of({{}}).Check(1).code() == Code::kCorruption) << "of no rows";
  EXPECT_TRUE(NumericBins::Of({{std::nanf("")}}).Check(1).ok());
}

std::unique_ptr<Ranker> With(const Ranker& ranker, NumericBins bins) {
  Net net = ranker.net();
  net.numeric_bins = std::move(bins);
  return Ranker::Of(net);
}

TEST(NumericBins, AFileKeepsThemAndDoesWithoutThem) {
  const auto plain = std::move(Ranker::Create(SmallConfig(), 3)).value();
  const size_t numerics = plain->config().schema.numerics.size();
  const std::string without = plain->Serialize();
  const auto old = Ranker::Parse(without);
  ASSERT_TRUE(old.ok()) << old.status().ToString();
  EXPECT_TRUE(old.value()->net().numeric_bins.empty());
  EXPECT_EQ(without.find("numeric.edges"), std::string::npos);
  const auto ranker = With(*plain, BinsOf(numerics, 100));
  const std::string bytes = ranker->Serialize();
  const auto read = Ranker::Parse(bytes);
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read.value()->net().numeric_bins.edges, ranker->net().numeric_bins.edges);
  EXPECT_EQ(read.value()->net().numeric_bins.shares, ranker->net().numeric_bins.shares);
  EXPECT_EQ(read.value()->Serialize(), bytes);
  EXPECT_EQ(ranker->Copy()->Serialize(), bytes);
  // An increment of a ranker that got them later carries them, too.
  const auto later = With(*plain, BinsOf(numerics, 100));
  later->TrackChanges();
  const auto applied = old.value()->WithIncrement(later->SerializeIncrement());
  ASSERT_TRUE(applied.ok()) << applied.status().ToString();
  EXPECT_EQ(applied.value()->Serialize(), bytes);
}

TEST(NumericBins, WhatCannotBeIsRefused) {
  const auto refused = [](NumericBins bins) { return bins.Check(2).code() == Code::kCorruption; };
  const NumericBins good = BinsOf(2, 100);
  ASSERT_TRUE(good.Check(2).ok());
  EXPECT_EQ(good.Check(3).code(), Code::kCorruption);
  NumericBins bad = good;
  std::swap(bad.edges[0], bad.edges[NumericBins::kBins - 2]);
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.shares[3] = -0.5f;
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.shares[3] += 0.1f;
  EXPECT_TRUE(refused(bad));
  bad = good;
  bad.shares.pop_back();
  EXPECT_TRUE(refused(bad));
}

}  // namespace
}  // namespace heed::model
