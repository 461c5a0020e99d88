// Moment attention beside the truth its rooms were made from; heed reproduce moment-attention is the long form.
#include <gtest/gtest.h>

#include <cmath>

#include "media/moment_file.h"
#include "media/moment_json.h"
#include "train/experiment.h"
#include "train/moment_files.h"
#include "train/moment_recovery.h"
#include "train/moment_rows.h"
#include "train/moment_trainer.h"
#include "train/test_files.h"

namespace heed::train {
namespace {

constexpr size_t K = model::kMomentOutcomes;

model::MomentAttentionConfig SmallConfig() {
  model::MomentAttentionConfig config;
  for (const char* name : {"voice", "face", "picture", "ocr", "comments"}) {
    config.modalities.push_back({name, {std::string(name) + ".a", std::string(name) + ".b"}});
  }
  config.look_back_s = 20;
  config.horizon_s = 20;
  config.encoder_width = 4;
  config.fusion_width = 8;
  config.phase_knots_s = {0, 300, 1200};
  return config;
}

TEST(MomentWorld, CountsFollowTheKnownRates) {
  const MomentWorld world(SmallConfig(), {.rooms = 10, .seconds = 1500, .effect = 0.5}, 3);
  // Response and count go together as the effect says, at its own lag and not at a later one.
  size_t turning = 0, lowering = 0;
  for (size_t m = 0; m < world.modalities(); ++m) {
    const double first = world.effect(m, 2, 0), last = world.effect(m, 2, 1500);
    turning += first * last < 0;
    lowering += first < 0 && last < 0;
    double deviation = 0, count = 0;
    for (size_t room = 0; room < 10; ++room) {
      for (size_t t = 0; t < 1500; ++t) {
        const auto r = static_cast<double>(world.responses(room).Row(t)[m]);
        deviation += r * r, count += 1;
      }
    }
    EXPECT_NEAR(deviation / count, 1.0, 0.25) << m;
  }
  EXPECT_EQ(turning, 1u);
  EXPECT_EQ(lowering, 1u);
  std::vector<uint32_t> all(10);
  for (uint32_t i = 0; i < 10; ++i) all[i] = i;
  const auto gain = [&](size_t shift) {
    return MomentGain(world.rooms(), all, model::MomentView::kNow, 20, 600, [&](uint32_t room) {
      nn::Matrix rates(1500, K);
      for (size_t t = 0; t < 1500; ++t) {
        std::copy_n(world.log_effects(room).Row((t + shift) % 1500), K, rates.Row(t));
      }
      return rates;
    });
  };
  EXPECT_GT(gain(0), 0.1);
  EXPECT_LT(gain(40), 0.0);
}

TEST(MomentTraining, FindsEffectsSignsAndLagsFromCountsAlone) {
  const model::MomentAttentionConfig config = SmallConfig();
  const MomentWorld world(config, {.rooms = 16, .seconds = 900, .longest_lag_s = 8, .effect = 0.6},
                          7);
  std::vector<uint32_t> train, test;
  for (uint32_t room = 0; room < 16; ++room) (room % 4 == 3 ? test : train).push_back(room);
  MomentTrainOptions options{.segment_s = 300, .epochs = 14};
  options.step.rate = 0.01f, options.step.lag_rate = 0.1f;
  const auto trained = TrainMoments(world.rooms(), train, {}, config, options);
  ASSERT_TRUE(trained.ok()) << trained.status().ToString();
  const MomentRecovery found = MeasureMomentRecovery(*trained.value().model, world, test);
  EXPECT_GE(found.effects, 0.95);
  EXPECT_GE(found.contributions, 0.9);
  const auto gain = [&](const model::MomentAttention& model, size_t omit) {
    return MomentGain(
        world.rooms(), test, model::MomentView::kNow, config.horizon_s, 300, [&](uint32_t room) {
          return MomentLogRates(model, world.rooms()[room], model::MomentView::kNow, omit);
        });
  };
  const double whole = gain(*trained.value().model, model::MomentAttention::kNone);
  for (size_t m = 0; m < 5; ++m) {
    // The one that hardly bears is left to the long form.
    if (std::abs(world.effect(m, 2, 0)) < 0.15) continue;
    EXPECT_LE(found.lag_errors_s[m], 1.0) << m;
    EXPECT_LT(gain(*trained.value().model, m), whole) << m;
  }

  // An untrained one does not: the measures can fail.
  const auto fresh = model::MomentAttention::Create(config, 7);
  const MomentRecovery before = MeasureMomentRecovery(*fresh.value(), world, test);
  EXPECT_LT(before.effects, 0.7);
  EXPECT_LT(gain(*fresh.value(), model::MomentAttention::kNone), whole / 2);
}

TEST(MomentTraining, IsDeterministicAndNeedsViewers) {
  const model::MomentAttentionConfig config = SmallConfig();
  MomentWorld world(config, {.rooms = 4, .seconds = 600}, 9);
  const std::vector<uint32_t> train = {0, 1, 2}, valid = {3};
  const MomentTrainOptions options{.segment_s = 300, .epochs = 2};
  const auto bytes = [&] {
    return TrainMoments(world.rooms(), train, valid, config, options).value().model->Serialize();
  };
  EXPECT_EQ(bytes(), bytes());
  std::vector<MomentRoom> empty = world.TakeRooms();
  for (MomentRoom& room : empty) room.viewers.assign(room.viewers.size(), 0);
  EXPECT_EQ(TrainMoments(empty, train, valid, config, options).status().code(),
            Code::kInvalidArgument);
}

media::Moment MomentAt(int64_t second) {
  media::Moment moment{.room = "r", .second = second};
  moment.z.SetUnbounded(media::FeatureOf(media::VoiceFeature::kF0Median), 1.5);
  moment.z.SetUnbounded(media::Feature::kMotion, -2);
  moment.z.SetUnbounded(media::Feature::kSmileProxy, 3);
  return moment;
}

TEST(MomentRows, ColumnsAreFoundByNameAndProxiesOfEmotionAreNot) {
  model::MomentAttentionConfig config;
  config.modalities = MomentColumns();
  ASSERT_EQ(config.modalities.size(), media::kModalities);
  for (const model::MomentModality& modality : config.modalities) {
    for (const std::string& name : modality.features) {
      EXPECT_EQ(name.find("proxy") != std::string::npos, name == "vis.closeup_proxy") << name;
    }
  }
  const std::vector<media::Moment> moments = {MomentAt(10), MomentAt(12), MomentAt(12),
                                              MomentAt(11)};
  const auto series = MomentSeriesOf(moments, config);
  ASSERT_TRUE(series.ok());
  EXPECT_EQ(series.value().seconds(), 3u);
  EXPECT_EQ(series.value().first_second, 10);
  const size_t F = config.features();
  for (size_t t = 0; t < 3; ++t) {
    size_t measured = 0;
    for (size_t f = 0; f < F; ++f) measured += series.value().measured[t * F + f];
    EXPECT_EQ(measured, t == 1 ? 0u : 2u) << t;
  }
  const std::vector<media::Moment> wild = {MomentAt(0), MomentAt(media::kMaxSecond)};
  EXPECT_EQ(MomentSeriesOf(wild, config).status().code(), Code::kInvalidArgument);
}

// Two rooms as heed watch --json writes them, with what viewers did.
std::string RoomFile(size_t seconds) {
  std::string lines;
  for (size_t t = 0; t < seconds; ++t) {
    std::string line = media::MomentToJson(MomentAt(static_cast<int64_t>(t)));
    line.pop_back();
    lines += line + R"(,"outcomes":{"viewers":100,"leave":1,"comment":2,"click":)" +
             std::to_string(t % 3) + "}}\n";
  }
  return lines;
}

TEST(MomentFiles, AreReadAndTrainedOnByARecipe) {
  const TestFolder files;
  files.Write("a.jsonl", RoomFile(700));
  files.Write("b.jsonl", RoomFile(300) + "\n");
  model::MomentAttentionConfig config;
  config.modalities = MomentColumns();
  const auto rooms = ReadMomentRooms(files.path(), config);
  ASSERT_TRUE(rooms.ok()) << rooms.status().ToString();
  ASSERT_EQ(rooms.value().size(), 2u);
  EXPECT_EQ(rooms.value()[0].series.seconds(), 700u);
  EXPECT_EQ(rooms.value()[0].viewers[5], 100.0f);
  EXPECT_EQ(rooms.value()[0].counts.Row(5)[2], 2.0f);
  files.Write("m.toml", "kind = \"moments\"\nname = \"m\"\n[train]\nepochs = 1\n");
  const auto recipe = LoadExperiment(files.path() + "/m.toml");
  ASSERT_TRUE(recipe.ok()) << recipe.status().ToString();
  const auto trained = recipe.value()->Train({.folder = files.path()}, files.path() + "/m.heed");
  ASSERT_TRUE(trained.ok()) << trained.status().ToString();
  EXPECT_TRUE(model::MomentAttention::Load(files.path() + "/m.heed").ok());
  EXPECT_EQ(recipe.value()->Reproduce({}).status().code(), Code::kInvalidArgument);
}

TEST(MomentFiles, ErrorsNameTheLine) {
  const TestFolder files;
  model::MomentAttentionConfig config;
  config.modalities = MomentColumns();
  const auto message = [&](const std::string& text) {
    files.Write("a.jsonl", text);
    return ReadMomentRooms(files.path(), config).status().message();
  };
  EXPECT_NE(message(RoomFile(2) + RoomFile(1)).find("a.jsonl:3"), std::string::npos);
  EXPECT_NE(message("{\"v\":1,\"t\":0,\"outcomes\":{\"viewers\":-1}}\n").find("viewers"),
            std::string::npos);
  EXPECT_NE(message("{\"v\":1,\"t\":0,\"outcomes\":{\"viewers\":1}}\n").find("leave"),
            std::string::npos);
  EXPECT_NE(message("nonsense\n").find("a.jsonl:1"), std::string::npos);
}

}  // namespace
}  // namespace heed::train
