// A training that was ended between any two steps and went on from its checkpoint gives the model that it
// would have given, byte for byte.
#include "train/training_state.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "train/test_files.h"
#include "train/test_world.h"

namespace heed::train {
namespace {

// Ends a training after so many of its batches; those of judging do not count.
class Ending : public Examples {
 public:
  Ending(const Examples& data, size_t batches) : data_(data), left_(batches) {}
  const model::Schema& schema() const override { return data_.schema(); }
  const std::vector<uint32_t>& samples_of(Split split) const override {
    return data_.samples_of(split);
  }
  void FillBatch(const View& view, std::span<const uint32_t> samples,
                 model::Batch* batch) const override {
    data_.FillBatch(view, samples, batch);
    if (view.vocabulary == Vocabulary::kAll) return;
    if (left_ == 0 || --left_ == 0) stop = true;
  }
  float label(uint32_t sample, size_t task) const override { return data_.label(sample, task); }
  uint32_t group(uint32_t sample) const override { return data_.group(sample); }
  void NumericScaling(const View& view, std::span<const uint32_t> samples, std::vector<float>* mean,
                      std::vector<float>* deviation) const override {
    data_.NumericScaling(view, samples, mean, deviation);
  }

  mutable std::atomic<bool> stop = false;

 private:
  const Examples& data_;
  mutable size_t left_;
};

class Resume : public testing::Test {
 protected:
  Resume() {
    auto loaded = LoadWorld(MakeWorld(1, 400), folder);
    EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
    data = std::move(loaded).value();
    config.schema = data->schema();
    config.embedding_width = 4;
    config.attention_heads = 1;
    config.attention_width = 4;
    config.hidden = {8};
    config.dropout = 0.2f;
    options.batch_size = 40;
    options.epochs = 2;
    options.patience = 2;
    options.evaluate_every_steps = 4;
    options.optimizer.dense_rate = options.optimizer.table_rate = 0.02f;
    path = folder.path() + "/training.checkpoint";
  }

  TrainResult Whole() {
    auto result = Train(*data, config, options);
    EXPECT_TRUE(result.ok()) << result.status().ToString();
    return std::move(result).value();
  }
  // Ended after `batches` batches, again and again, until it comes to its end by itself.
  TrainResult InPieces(size_t batches, int* pieces) {
    for (*pieces = 1; *pieces < 100; ++*pieces) {
      const Ending ending(*data, batches);
      auto result =
          Train(ending, config, options, {}, &ending.stop, {.path = path, .resume = *pieces > 1});
      EXPECT_TRUE(result.ok()) << result.status().ToString();
      if (!result.ok() || !result.value().stopped) return std::move(result).value();
      EXPECT_TRUE(std::filesystem::exists(path));
    }
    ADD_FAILURE() << "it never ends";
    return {};
  }
  static void ExpectSame(const TrainResult& want, const TrainResult& got) {
    EXPECT_TRUE(want.ranker->Serialize() == got.ranker->Serialize());
    EXPECT_EQ(want.steps, got.steps);
    EXPECT_EQ(want.rows_seen, got.rows_seen);
    EXPECT_EQ(want.loss, got.loss);
    EXPECT_EQ(want.best_epochs, got.best_epochs);
    EXPECT_EQ(want.calibration, got.calibration);
    ASSERT_EQ(want.valid.size(), got.valid.size());
    for (size_t i = 0; i < want.valid.size(); ++i) {
      EXPECT_EQ(want.valid[i].step, got.valid[i].step);
      EXPECT_EQ(want.valid[i].metric, got.valid[i].metric);
    }
  }

  TestFolder folder;
  std::unique_ptr<Dataset> data;
  model::RankerConfig config;
  TrainOptions options;
  std::string path;
};

TEST_F(Resume, IsTheTrainingThatWasNeverEnded) {
  options.refit = true;
  options.average = 0.9;
  options.schedule = TrainOptions::Schedule::kPlateau;
  const TrainResult whole = Whole();
  for (size_t batches = 1; batches < 32; batches += 3) {
    int pieces = 0;
    ExpectSame(whole, InPieces(batches, &pieces));
    EXPECT_GT(pieces, 1) << batches;
    EXPECT_FALSE(std::filesystem::exists(path)) << "it has come to its end";
  }
}

TEST_F(Resume, WithAdmissionAndEveryOptimiser) {
  config.admit_after = 2;
  config.pool = {.kind = model::PoolKind::kDin, .hidden = {6}};  // Dice has running statistics
  options.schedule = TrainOptions::Schedule::kCosine;
  options.warmup = 0.3;
  for (const auto kind :
       {model::OptimizerConfig::Kind::kAdam, model::OptimizerConfig::Kind::kAdagrad}) {
    options.optimizer.dense = options.optimizer.tables = kind;
    const TrainResult whole = Whole();
    int pieces = 0;
    ExpectSame(whole, InPieces(17, &pieces));
    EXPECT_GT(pieces, 1);
  }
}

// A killed training has only the last checkpoint that was due, and repeats the steps after it.
TEST_F(Resume, FromACheckpointOfEarlierOn) {
  const TrainResult whole = Whole();
  std::string early;
  const auto keep = [&](const TrainProgress& now) {
    if (now.step > 3 && early.empty() && std::filesystem::exists(path)) {
      early = ReadWholeFile(path).value();
    }
  };
  const auto kept = Train(*data, config, options, keep, nullptr, {.path = path, .every_s = 0});
  ASSERT_TRUE(kept.ok());
  ExpectSame(whole, kept.value());
  ASSERT_FALSE(early.empty());
  ASSERT_TRUE(ReplaceFile(path, early).ok());
  const auto resumed = Train(*data, config, options, {}, nullptr, {.path = path, .resume = true});
  ASSERT_TRUE(resumed.ok()) << resumed.status().ToString();
  ExpectSame(whole, resumed.value());
}

TEST_F(Resume, RefusesWhatIsNotItsOwn) {
  const Checkpoint resume{.path = path, .resume = true};
  const auto code = [&] {
    return Train(*data, config, options, {}, nullptr, resume).status().code();
  };
  EXPECT_EQ(code(), Code::kNotFound);
  const Ending ending(*data, 3);
  ASSERT_TRUE(Train(ending, config, options, {}, &ending.stop, {.path = path}).ok());
  const std::string good = ReadWholeFile(path).value();
  options.seed = 2;
  EXPECT_EQ(code(), Code::kInvalidArgument);
  options.seed = 1;
  config.hidden = {9};
  EXPECT_EQ(code(), Code::kInvalidArgument);
  config.hidden = {8};
  for (size_t at = 0; at < good.size(); at += good.size() / 17) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 8);
    ASSERT_TRUE(ReplaceFile(path, bad).ok());
    EXPECT_EQ(code(), Code::kCorruption) << at;
  }
  ASSERT_TRUE(ReplaceFile(path, good).ok());
  EXPECT_EQ(code(), Code::kOk);
}

TEST_F(Resume, ADiskThatIsFullDoesNotEndIt) {
  const auto result = Train(*data, config, options, {}, nullptr,
                            {.path = folder.path() + "/no/such/folder", .every_s = 0});
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  ExpectSame(Whole(), result.value());
}

TEST(TrainingState, ComesBackAsItWas) {
  TrainingState state{.fingerprint = 7,
                      .step = 5,
                      .best_step = 4,
                      .rows_seen = 1000,
                      .without_gain = 2,
                      .plateau_scale = 0.1,
                      .best_metric = 0.75,
                      .seconds = 3.5,
                      .losses = {0.5, 0.25},
                      .valid = {{4, 1.5, 0.75}},
                      .ranker = "r",
                      .average = "",
                      .best = "b",
                      .fit = TrainingState::Fit{.steps = 9,
                                                .valid = {{1, 2, 3}},
                                                .calibration_scale = {1, 2},
                                                .calibration_shift = {3, 4},
                                                .ranker = "f"}};
  for (const bool refit : {true, false}) {
    if (!refit) state.fit.reset();
    const std::string bytes = EncodeState(state);
    const auto decoded = DecodeState(bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
    EXPECT_EQ(EncodeState(decoded.value()), bytes);
    EXPECT_EQ(decoded.value().fit.has_value(), refit);
  }
}

}  // namespace
}  // namespace heed::train
