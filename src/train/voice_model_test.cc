#include "train/voice_model.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace heed::train {
namespace {

// Forty utterances of three to six parts. The class is told by the first two numbers of one part, whose
// third number says so; the other parts and the whole say nothing.
VoiceBatch Marked(uint64_t seed) {
  Random random(seed);
  VoiceBatch batch;
  constexpr size_t kRows = 40, kWidth = 6;
  batch.whole.Resize(kRows, kWidth);
  batch.whole.Fill(0.0f);
  std::vector<std::vector<float>> parts;
  for (size_t b = 0; b < kRows; ++b) {
    const auto label = static_cast<uint32_t>(random.Below(2));
    const size_t n = 3 + random.Below(4), marked = random.Below(n);
    for (size_t i = 0; i < n; ++i) {
      std::vector<float> part(kWidth);
      for (float& x : part) x = static_cast<float>(random.Normal());
      part[2] = i == marked ? 3.0f : -1.0f;
      if (i == marked) part[label] = 2.5f, part[1 - label] = -1.0f;
      parts.push_back(part);
    }
    batch.offsets.push_back(static_cast<uint32_t>(parts.size()));
    batch.labels.push_back(label);
  }
  batch.parts.Resize(parts.size(), kWidth);
  for (size_t t = 0; t < parts.size(); ++t) {
    std::copy(parts[t].begin(), parts[t].end(), batch.parts.Row(t));
  }
  return batch;
}

double Accuracy(VoiceModel& model, const VoiceBatch& batch) {
  nn::Matrix logits(batch.labels.size(), 2);
  model.Score(batch, logits.view());
  size_t right = 0;
  for (size_t b = 0; b < batch.labels.size(); ++b) {
    right += (logits.Row(b)[1] > logits.Row(b)[0]) == (batch.labels[b] == 1);
  }
  return static_cast<double>(right) / static_cast<double>(batch.labels.size());
}

TEST(VoiceModel, LearnsWhichPartTells) {
  VoiceModelConfig config{.part_width = 16, .heads = 2, .hidden = 4, .rate = 0.01f, .l2 = 0};
  VoiceModel model(config, 6, 2, 1);
  const double first = model.TrainStep(Marked(1));
  double last = first;
  for (uint64_t step = 2; step < 300; ++step) last = model.TrainStep(Marked(step));
  EXPECT_LT(last, 0.7 * first);
  EXPECT_GT(Accuracy(model, Marked(1000)), 0.9);
  // What the whole says, which is nothing, is all that the linear model sees.
  config.linear = true;
  VoiceModel linear(config, 6, 2, 1);
  for (uint64_t step = 1; step < 100; ++step) linear.TrainStep(Marked(step));
  EXPECT_LT(Accuracy(linear, Marked(1000)), 0.8);
}

TEST(VoiceModel, TheSameSeedGivesTheSameModel) {
  const VoiceBatch batch = Marked(3);
  nn::Matrix a(40, 2), b(40, 2);
  for (nn::Matrix* logits : {&a, &b}) {
    VoiceModel model({}, 6, 2, 7);
    for (int step = 0; step < 5; ++step) model.TrainStep(batch);
    model.Score(batch, logits->view());
  }
  EXPECT_TRUE(std::equal(a.data(), a.data() + a.size(), b.data()));
}

}  // namespace
}  // namespace heed::train
