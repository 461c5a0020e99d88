#include "text/classifier.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <numeric>

#include "base/checksum.h"

namespace heed::text {
namespace {

ClassifierConfig Small() {
  ClassifierConfig config;
  config.labels = {"不推荐", "推荐"};
  config.admit_after = 1;
  config.width = 8;
  config.heads = 2;
  config.members = 2;
  return config;
}

ClassifierConfig WithLinear() {
  ClassifierConfig config = Small();
  config.linear_share = 0.4f;
  return config;
}

// Two hundred made-up reviews: what decides is one word among filler.
struct Reviews {
  TextBatch batch;
  std::vector<std::string> texts;
  std::vector<uint32_t> labels;

  explicit Reviews(const Classifier& classifier, uint64_t seed = 5) {
    const std::vector<std::string> good = {"喜欢", "满意", "很棒"}, bad = {"失望", "退货", "很差"};
    const std::vector<std::string> filler = {"昨天收到", "包装一般", "颜色和图片", "给孩子买的"};
    Random random(seed);
    for (uint32_t i = 0; i < 200; ++i) {
      std::string text;
      const size_t place = random.Below(4);
      for (size_t part = 0; part < 4; ++part) {
        if (part == place) text += (i % 2 == 0 ? bad : good)[random.Below(3)];
        text += filler[random.Below(filler.size())];
      }
      texts.push_back(text);
      labels.push_back(i % 2);
      classifier.Append(text, &batch);
    }
  }
};

std::unique_ptr<Classifier> Trained(uint64_t seed = 1, const ClassifierConfig& config = Small()) {
  auto classifier = Classifier::Create(config, seed).value();
  const Reviews reviews(*classifier);
  classifier->CountNgrams(reviews.batch);
  classifier->FitLinear(reviews.batch, reviews.labels, {});
  std::vector<uint32_t> order(reviews.labels.size());
  std::iota(order.begin(), order.end(), 0u);
  Random random(seed);
  for (int epoch = 0; epoch < 20; ++epoch) {
    random.Shuffle(order);
    for (size_t first = 0; first < order.size(); first += 20) {
      classifier->TrainStep(reviews.batch, {order.data() + first, 20}, reviews.labels,
                            {.table_rate = 0.01f, .dense_rate = 0.01f}, random);
    }
  }
  return classifier;
}

std::vector<float> Logits(const Classifier& classifier, const TextBatch& batch) {
  std::vector<float> logits(batch.size() * classifier.config().labels.size());
  const ScratchPtr scratch = NewScratch();
  classifier.Score(batch, scratch.get(), logits);
  return logits;
}

TEST(Classifier, LearnsWhichWordDecidesAndLooksAtIt) {
  const auto classifier = Trained();
  const Reviews fresh(*classifier, 77);
  const std::vector<float> logits = Logits(*classifier, fresh.batch);
  size_t right = 0;
  for (size_t n = 0; n < fresh.labels.size(); ++n) {
    right += (logits[2 * n + 1] > logits[2 * n]) == (fresh.labels[n] == 1);
  }
  EXPECT_EQ(right, fresh.labels.size());
  const std::string text = "昨天收到包装一般喜欢给孩子买的颜色和图片";
  const Explanation answer = classifier->Explain(text);
  EXPECT_EQ(answer.label, 1u);
  double on_word = 0.0, tokens_on_word = 0.0;
  for (const Token& token : answer.tokens) {
    const std::string piece = text.substr(token.begin, token.end - token.begin);
    if (piece.find("喜") == std::string::npos && piece.find("欢") == std::string::npos) continue;
    on_word += static_cast<double>(token.weight);
    tokens_on_word += 1.0 / static_cast<double>(answer.tokens.size());
  }
  EXPECT_GT(on_word, 1.5 * tokens_on_word);
}

void ExpectExplanationsToAddUp(std::unique_ptr<Classifier> classifier) {
  classifier->set_scale(0.7f);
  for (const std::string text : {"很棒的书 very good", "从没见过", "", "失望", "\xFF\xFE"}) {
    const Explanation answer = classifier->Explain(text);
    TextBatch batch;
    classifier->Append(text, &batch);
    std::vector<float> logits = Logits(*classifier, batch);
    double weights = 0.0;
    std::vector<double> sums(answer.bias.begin(), answer.bias.end());
    for (const Token& token : answer.tokens) {
      weights += static_cast<double>(token.weight);
      for (size_t c = 0; c < 2; ++c) sums[c] += static_cast<double>(token.contributions[c]);
    }
    EXPECT_NEAR(weights, answer.tokens.empty() ? 0.0 : 1.0, 1e-5) << text;
    for (size_t c = 0; c < 2; ++c) {
      EXPECT_NEAR(sums[c], 0.7 * static_cast<double>(logits[c]), 1e-4) << text;
    }
    classifier->ToProbabilities(logits);
    EXPECT_NEAR(answer.probabilities[0], logits[0], 1e-5) << text;
  }
}

TEST(Classifier, AnExplanationAddsUpToTheAnswer) { ExpectExplanationsToAddUp(Trained()); }

TEST(Classifier, AnExplanationAddsUpWithALinearPart) {
  ExpectExplanationsToAddUp(Trained(1, WithLinear()));
}

// The members neither see nor shift it: logits are the members' and its own, mixed.
TEST(Classifier, TheLinearPartIsMixedInByItsShare) {
  const auto members = Trained(), both = Trained(1, WithLinear());
  ClassifierConfig more = WithLinear();
  more.linear_share = 0.8f;
  const auto linear = Trained(1, more);
  const Reviews fresh(*members, 77);
  const std::vector<float> none = Logits(*members, fresh.batch), some = Logits(*both, fresh.batch),
                           most = Logits(*linear, fresh.batch);
  double moved = 0.0;
  for (size_t i = 0; i < none.size(); ++i) {
    EXPECT_NEAR(most[i] - none[i], 2.0f * (some[i] - none[i]), 1e-3f) << i;
    moved += static_cast<double>(std::abs(some[i] - none[i]));
  }
  EXPECT_GT(moved / static_cast<double>(none.size()), 0.1);
}

TEST(Classifier, ABatchScoresLikeItsTextsAlone) {
  const auto classifier = Trained(1, WithLinear());
  const Reviews reviews(*classifier, 9);
  const std::vector<float> together = Logits(*classifier, reviews.batch);
  for (size_t n = 0; n < 20; ++n) {
    TextBatch one;
    classifier->Append(reviews.texts[n], &one);
    const std::vector<float> alone = Logits(*classifier, one);
    EXPECT_NEAR(alone[0], together[2 * n], 1e-4f * (1.0f + std::abs(alone[0])));
  }
}

TEST(Classifier, TheSameSeedGivesTheSameBytes) {
  EXPECT_EQ(Trained(3)->Serialize(), Trained(3)->Serialize());
  EXPECT_NE(Trained(3)->Serialize(), Trained(4)->Serialize());
}

// The loss that TrainStep reports must fall along the gradient it follows: one full-batch step with
// a tiny rate, without dropout, for every rule of the classifier's arithmetic at once.
TEST(Classifier, AStepGoesDownhill) {
  ClassifierConfig config = Small();
  config.ngram_dropout = config.dropout = 0.0f;
  auto classifier = Classifier::Create(config, 1).value();
  const Reviews reviews(*classifier);
  classifier->CountNgrams(reviews.batch);
  std::vector<uint32_t> all(reviews.labels.size());
  std::iota(all.begin(), all.end(), 0u);
  Random random(1);
  const ClassifierUpdate update{.table_rate = 1e-4f, .dense_rate = 1e-4f};
  double last = classifier->TrainStep(reviews.batch, all, reviews.labels, update, random);
  EXPECT_NEAR(last, std::log(2.0), 0.1);
  for (int step = 0; step < 20; ++step) {
    const double loss = classifier->TrainStep(reviews.batch, all, reviews.labels, update, random);
    EXPECT_LT(loss, last);
    last = loss;
  }
}

TEST(Classifier, TheScaleIsFittedToHeldOutTexts) {
  auto classifier = Classifier::Create(Small(), 1).value();
  // Logits that are three times too sure: p = 0.75 when right in 3 of 4.
  std::vector<float> logits;
  std::vector<uint32_t> labels;
  for (uint32_t n = 0; n < 4000; ++n) {
    logits.insert(logits.end(), {0.0f, 3.0f * std::log(3.0f)});
    labels.push_back(n % 4 == 0 ? 0 : 1);
  }
  classifier->FitScale(logits, labels);
  EXPECT_NEAR(classifier->scale(), 1.0 / 3, 1e-3);
  classifier->FitScale({}, {});
  EXPECT_NEAR(classifier->scale(), 1.0, 1e-6);
}

TEST(Classifier, ConfigurationsThatMakeNoSenseAreRefused) {
  ClassifierConfig config = Small();
  config.labels = {"one"};
  EXPECT_EQ(Classifier::Create(config, 1).status().code(), Code::kInvalidArgument);
  config.labels = {"one", "one"};
  EXPECT_NE(Classifier::Create(config, 1).status().message().find("twice"), std::string::npos);
  config = Small();
  config.ngrams = 4;
  EXPECT_NE(Classifier::Create(config, 1).status().message().find("ngrams"), std::string::npos);
  config = Small();
  config.linear_share = 1.0f;
  EXPECT_NE(Classifier::Create(config, 1).status().message().find("linear_share"),
            std::string::npos);
  config = Small();
  config.power = std::nanf("");
  EXPECT_NE(Classifier::Create(config, 1).status().message().find("power"), std::string::npos);
}

void ExpectTheSameAnswersBack(std::unique_ptr<Classifier> classifier) {
  classifier->set_scale(0.6f);
  const std::string path = testing::TempDir() + "classifier.heed";
  ASSERT_TRUE(classifier->Save(path).ok());
  const auto loaded = Classifier::Load(path);
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  EXPECT_EQ(loaded.value()->Serialize(), classifier->Serialize());
  const Reviews reviews(*classifier, 9);
  EXPECT_EQ(Logits(*loaded.value(), reviews.batch), Logits(*classifier, reviews.batch));
  std::remove(path.c_str());
  EXPECT_EQ(Classifier::Load(path).status().code(), Code::kNotFound);
}

TEST(ClassifierFile, GivesTheSameAnswersBack) {
  ExpectTheSameAnswersBack(Trained());
  ExpectTheSameAnswersBack(Trained(1, WithLinear()));
}

// Version 2 says there is a linear part, and only then: whoever reads version 1 alone is not misled.
TEST(ClassifierFile, OnlyALinearPartChangesTheVersion) {
  const std::string kind = "text classifier";
  const std::string without = Trained()->Serialize(), with = Trained(1, WithLinear())->Serialize();
  EXPECT_EQ(without[without.find(kind) + kind.size()], 1);
  EXPECT_EQ(with[with.find(kind) + kind.size()], 2);
  EXPECT_EQ(without.find("linear"), std::string::npos);
}

void ExpectEveryDamageNoticed(ClassifierConfig config) {
  config.width = config.heads = config.members = 1;
  const auto classifier = Classifier::Create(config, 1).value();
  TextBatch batch;
  classifier->Append("好", &batch);
  classifier->CountNgrams(batch);
  const std::string bytes = classifier->Serialize();
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x41);
    EXPECT_FALSE(Classifier::Parse(damaged).ok()) << i;
    EXPECT_FALSE(Classifier::Parse(bytes.substr(0, i)).ok()) << i;
    // With a checksum that fits, the reader behind it must hold on its own: an answer or a refusal.
    damaged.resize(damaged.size() - 4);
    const uint32_t sum = Crc32(damaged);
    damaged.append(reinterpret_cast<const char*>(&sum), sizeof(sum));
    const auto parsed = Classifier::Parse(damaged);
    if (parsed.ok()) {
      EXPECT_GE(parsed.value()->Explain("好").probabilities.size(), 2u);
    }
  }
}

TEST(ClassifierFile, EveryDamagedByteIsNoticed) {
  ExpectEveryDamageNoticed(Small());
  ExpectEveryDamageNoticed(WithLinear());
}

}  // namespace
}  // namespace heed::text
