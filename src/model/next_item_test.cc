// The next-item model: whole-model gradient, learning, scoring, its file.
#include "model/next_item.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>

#include "model/next_item_net.h"
#include "nn/tensor_file.h"

namespace heed::model {
namespace {

using Loss = NextItemTraining::Loss;

ItemCatalog Catalog(uint32_t items) {
  ItemCatalog catalog;
  catalog.attributes = 3;
  for (uint32_t i = 0; i < items; ++i) {
    catalog.ids.push_back("item " + std::to_string(i));
    for (uint32_t a = 0; a < i % 3; ++a) catalog.attribute_numbers.push_back((i + a) % 3);
    catalog.attribute_offsets.push_back(static_cast<uint32_t>(catalog.attribute_numbers.size()));
  }
  return catalog;
}

NextItemConfig Small() {
  NextItemConfig config;
  config.width = 8;
  config.heads = 2;
  config.hidden = 8;
  config.layers = 1;
  config.max_length = 6;
  config.attributes = true;
  config.dropout = config.attention_dropout = 0.0f;
  config.init_deviation = 0.3f;
  return config;
}

// Sequences in which item i is followed by (3 i + 1) mod `items`.
ItemSequences Chain(uint32_t items, size_t sequences, size_t length, Random& random) {
  ItemSequences batch;
  for (size_t s = 0; s < sequences; ++s) {
    auto item = static_cast<uint32_t>(random.Below(items));
    for (size_t t = 0; t < length; ++t) {
      batch.items.push_back(item);
      batch.targets.push_back(item = (3 * item + 1) % items);
    }
    batch.offsets.push_back(static_cast<uint32_t>(batch.items.size()));
  }
  return batch;
}

std::unique_ptr<NextItemModel> Model(const NextItemConfig& config, uint32_t items = 10,
                                     uint64_t seed = 1) {
  auto model = NextItemModel::Create(config, Catalog(items), seed);
  EXPECT_TRUE(model.ok()) << model.status().message();
  return std::move(model).value();
}

struct GradientCase {
  bool cosine;
  NextItemConfig::Places places;
};

class NextItemGradient : public testing::TestWithParam<GradientCase> {};

TEST_P(NextItemGradient, MatchesFiniteDifferences) {
  NextItemConfig config = Small();
  config.cosine = GetParam().cosine;
  config.temperature = config.cosine ? 0.3f : 1.0f;
  config.places = GetParam().places;
  config.relative_positions = 3;
  ItemSequences batch;
  batch.items = {1, 2, 3, 5, 5, 0};
  batch.targets = {2, 3, 4, 5, ItemSequences::kNoTarget, 9};
  batch.offsets = {0, 3, 3, 5, 6};
  // With these numbers Adam's step is the gradient, nearly: rate g / (|g| + epsilon).
  NextItemTraining training;
  training.beta1 = training.beta2 = 0.0f;
  training.rate = training.epsilon = 1e4f;
  NextItemNet net(config, Catalog(10), 5), moved = net;
  NextItemTrainer trainer(&moved);
  ASSERT_TRUE(trainer.Step(batch, training).ok());

  NextItemTraining still = training;
  still.rate = 0.0f;
  const auto loss = [&] {
    NextItemNet copy = net;
    NextItemTrainer own(&copy);
    return own.Step(batch, still).value();
  };
  const std::vector<nn::Parameter*> all = net.All(), after = moved.All();
  for (size_t i = 0; i < all.size(); ++i) {
    double largest = 0.0;
    for (size_t p = 0; p < all[i]->value.size(); ++p) {
      float& value = all[i]->value.data()[p];
      const float saved = value, step = 2e-3f;
      const double gradient = static_cast<double>(saved - after[i]->value.data()[p]);
      value = saved + step;
      const double above = loss();
      value = saved - step;
      const double below = loss();
      value = saved;
      const double slope = (above - below) / (2.0 * static_cast<double>(step));
      ASSERT_NEAR(slope, gradient, 5e-3 * (1.0 + std::abs(slope)))
          << all[i]->name << "[" << p << "]";
      largest = std::max(largest, std::abs(slope));
    }
    EXPECT_GT(largest, 1e-4) << all[i]->name;
  }
}

INSTANTIATE_TEST_SUITE_P(Scores, NextItemGradient,
                         testing::Values(GradientCase{false, NextItemConfig::Places::kFromEnd},
                                         GradientCase{true, NextItemConfig::Places::kFromStart}));

class NextItemLearns : public testing::TestWithParam<Loss> {};

TEST_P(NextItemLearns, APlantedChain) {
  NextItemConfig config = Small();
  config.width = 16;
  config.init_deviation = 0.1f;
  auto model = Model(config);
  NextItemTraining training;
  training.loss = GetParam();
  training.negatives = training.loss == Loss::kBinary ? 4 : 5;
  training.rate = 1e-2f;
  Random random(3);
  for (int step = 0; step < 200; ++step) {
    ASSERT_TRUE(model->TrainStep(Chain(10, 8, 5, random), training).ok());
  }
  for (uint32_t item = 0; item < 10; ++item) {
    const uint32_t next = (3 * item + 1) % 10;
    const auto best = model->TopK(std::vector<uint32_t>{item}, 1);
    ASSERT_TRUE(best.ok());
    EXPECT_EQ(best.value()[0].item, next) << "after " << item;
    // Left out, it is another's turn.
    EXPECT_NE(
        model->TopK(std::vector<uint32_t>{item}, 1, std::vector<uint32_t>{next}).value()[0].item,
        next);
  }
}

INSTANTIATE_TEST_SUITE_P(Losses, NextItemLearns,
                         testing::Values(Loss::kSoftmax, Loss::kSampledSoftmax, Loss::kBinary));

TEST(NextItem, SameSeedSameBytesAndOnlyTouchedItemsMoveWhenSampling) {
  NextItemConfig config = Small();
  config.dropout = config.attention_dropout = 0.3f;
  auto a = Model(config, 500), b = Model(config, 500);
  const auto before = Model(config, 500);
  NextItemTraining training;
  training.loss = Loss::kSampledSoftmax;
  training.negatives = 4;
  ItemSequences batch;
  batch.items = {1, 2};
  batch.targets = {2, 3};
  batch.offsets = {0, 2};
  ASSERT_EQ(a->TrainStep(batch, training).value(), b->TrainStep(batch, training).value());
  EXPECT_EQ(a->Serialize(), b->Serialize());
  auto plain = config;
  plain.attributes = false;
  auto c = Model(plain, 500), d = Model(plain, 500);
  ASSERT_TRUE(c->TrainStep(batch, training).ok());
  nn::Matrix old_vectors(500, 8), new_vectors(500, 8);
  d->ItemVectors(old_vectors.view());
  c->ItemVectors(new_vectors.view());
  size_t moved = 0;
  for (size_t i = 0; i < 500; ++i) {
    moved += static_cast<size_t>(
        !std::equal(old_vectors.Row(i), old_vectors.Row(i) + 8, new_vectors.Row(i)));
  }
  training.move_all = true;
  training.weight_decay = 0.1f;
  auto all = Model(plain, 500);
  nn::Matrix decayed(500, 8);
  ASSERT_TRUE(all->TrainStep(batch, training).ok());
  all->ItemVectors(decayed.view());
  const float shrink = 1.0f - training.rate * training.weight_decay;
  size_t shrunk = 0;
  for (size_t i = 0; i < 500; ++i) {
    shrunk += static_cast<size_t>(decayed.Row(i)[0] == shrink * old_vectors.Row(i)[0]);
  }
  EXPECT_GE(shrunk, 493u);
  EXPECT_GE(moved, 3u);
  EXPECT_LE(moved, 7u);  // two inputs, one target more, four drawn
}

TEST(NextItem, ScoresAreDotProductsOfRepresentationAndItemVectors) {
  NextItemConfig config = Small();
  config.cosine = true;
  config.temperature = 0.5f;
  const auto model = Model(config);
  ItemSequences batch;
  batch.Add(std::vector<uint32_t>{1, 2, 3, 4, 5, 6, 7, 8}, config.max_length);  // the newest six
  batch.Add({}, config.max_length);
  nn::Matrix h(2, 8), vectors(10, 8);
  ASSERT_TRUE(model->Represent(batch, h.view()).ok());
  model->ItemVectors(vectors.view());
  const auto best = model->TopK(std::vector<uint32_t>{3, 4, 5, 6, 7, 8}, 10).value();
  ASSERT_EQ(best.size(), 10u);
  for (size_t i = 0; i < 10; ++i) {
    double dot = 0;
    for (size_t d = 0; d < 8; ++d) {
      dot += static_cast<double>(h.Row(0)[d]) * static_cast<double>(vectors.Row(best[i].item)[d]);
    }
    EXPECT_NEAR(best[i].score, dot, 1e-5);
    EXPECT_LE(std::abs(best[i].score), 1.0f / 0.5f + 1e-5f);
    EXPECT_LE(best[i].score, best[i > 0 ? i - 1 : 0].score);
    EXPECT_EQ(h.Row(1)[i % 8], 0.0f);  // nothing known, nothing said
  }
  const auto weights = model->Attention(std::vector<uint32_t>{1, 2, 3}).value();
  ASSERT_EQ(weights.size(), 2u * 4u);
  EXPECT_NEAR(weights[0] + weights[1] + weights[2], 1.0, 1e-5);
  EXPECT_EQ(weights[3], 0.0f);  // no null slot
}

TEST(NextItem, BadInputIsRefusedAndChangesNothing) {
  auto model = Model(Small());
  const std::string before = model->Serialize();
  ItemSequences batch;
  batch.items = {1, 99};
  batch.targets = {2, 3};
  batch.offsets = {0, 2};
  const auto refused = model->TrainStep(batch, {});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("no item number 99"), std::string::npos);
  batch.items = {1, 2};
  batch.targets = {2};
  EXPECT_FALSE(model->TrainStep(batch, {}).ok());
  EXPECT_FALSE(model->TopK(std::vector<uint32_t>{10}, 1).ok());
  EXPECT_EQ(model->Serialize(), before);
  NextItemConfig config = Small();
  config.heads = 3;
  EXPECT_FALSE(NextItemModel::Create(config, Catalog(10), 1).ok());
}

// docs/formats/next_item.md prints these bytes.
TEST(NextItemFile, WorkedExample) {
  const auto model = Model({});
  const std::string bytes = model->Serialize();
  const auto file = nn::TensorReader::Open(bytes);
  ASSERT_TRUE(file.ok());
  const std::string_view config = file.value().Bytes("config").value();
  const uint8_t expected[] = {0x01, 0x40, 0x02, 0x02, 0x40, 0x32, 0x00, 0x01, 0x01, 0x00,
                              0x00, 0x01, 0x00, 0x00, 0x00, 0x80, 0x3f, 0xcd, 0xcc, 0x4c,
                              0x3e, 0xcd, 0xcc, 0x4c, 0x3e, 0x0a, 0xd7, 0xa3, 0x3c};
  ASSERT_EQ(config.size(), sizeof(expected));
  EXPECT_EQ(std::memcmp(config.data(), expected, sizeof(expected)), 0);
}

TEST(NextItemFile, ComesBackAsItWasAndDamageIsRefused) {
  NextItemConfig config = Small();
  config.relative_positions = 4;
  config.null_slot = true;
  auto model = Model(config);
  Random random(2);
  ASSERT_TRUE(model->TrainStep(Chain(10, 4, 5, random), {}).ok());
  const std::string path = std::filesystem::temp_directory_path() / "heed_next_item_test.heed";
  ASSERT_TRUE(model->Save(path).ok());
  const auto again = NextItemModel::Load(path);
  std::filesystem::remove(path);
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again.value()->config(), config);
  EXPECT_EQ(again.value()->catalog().ids, model->catalog().ids);
  const std::string bytes = model->Serialize();
  EXPECT_EQ(again.value()->Serialize(), bytes);
  for (size_t at = 0; at < bytes.size(); at += 37) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    EXPECT_FALSE(NextItemModel::Parse(damaged).ok()) << at;
  }
  EXPECT_FALSE(NextItemModel::Parse(bytes.substr(0, bytes.size() / 2)).ok());
  EXPECT_FALSE(NextItemModel::Parse("").ok());
}

}  // namespace
}  // namespace heed::model
