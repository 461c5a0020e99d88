#include "model/moment_attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/moment_net.h"
#include "model/moment_stream.h"
#include "nn/slope_for_test.h"
#include "nn/tensor_file.h"

namespace heed::model {
namespace {

constexpr size_t K = kMomentOutcomes;

MomentAttentionConfig SmallConfig() {
  MomentAttentionConfig config;
  config.modalities = {
      {"voice", {"loud", "pitch", "speed"}}, {"face", {"size"}}, {"ocr", {"price", "stock"}}};
  config.look_back_s = 12;
  config.horizon_s = 10;
  config.encoder_width = 4;
  config.fusion_width = 5;
  config.phase_knots_s = {0, 20, 60};
  return config;
}

// Weights far from their first values, so that every path carries something.
std::unique_ptr<MomentAttention> Shaken(const MomentAttentionConfig& config, uint64_t seed) {
  auto model = MomentAttention::Create(config, seed);
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  Random random(seed);
  MomentAttention::Net& net = model.value()->net();
  for (nn::Parameter* p : net.All()) {
    for (size_t i = 0; i < p->value.size(); ++i) {
      p->value.data()[i] += static_cast<float>(0.3 * random.Normal());
    }
  }
  for (auto& view : net.views) {
    for (nn::LagAttention& lag : view.lags) {
      lag.ClampToRange();
      lag.lag.value.Fill(static_cast<float>(1 + random.Below(8)) + 0.4f);  // not at a kink
    }
  }
  return std::move(model).value();
}

MomentSeries RandomSeries(const MomentAttentionConfig& config, size_t seconds, double missing,
                          Random& random) {
  MomentSeries series{
      .first_second = 5, .values = nn::Matrix(seconds, config.features()), .measured = {}};
  for (size_t i = 0; i < series.values.size(); ++i) {
    series.values.data()[i] = static_cast<float>(random.Normal());
    series.measured.push_back(!random.Chance(missing));
  }
  return series;
}

MomentTargetsByView RandomTargets(const MomentAttentionConfig& config, size_t seconds,
                                  Random& random) {
  nn::Matrix counts(seconds, K);
  std::vector<float> viewers;
  for (size_t t = 0; t < seconds; ++t) {
    viewers.push_back(random.Chance(0.1) ? 0 : static_cast<float>(20 + random.Below(50)));
    for (size_t k = 0; k < K; ++k) counts.Row(t)[k] = static_cast<float>(random.Below(4));
  }
  return MakeMomentTargets(counts, viewers, config.horizon_s);
}

const MomentAnswer::View& Of(const MomentAnswer& answer, MomentView view) {
  return answer.views[static_cast<size_t>(view)];
}

TEST(MomentAttention, GradientOfTheLossMatchesFiniteDifferences) {
  const MomentAttentionConfig config = SmallConfig();
  const auto model = Shaken(config, 3);
  for (nn::Linear& encoder :
       model->net().encoders) {  // rectifiers far from their kink, one of them shut
    for (size_t i = 0; i < 4; ++i) encoder.bias.value.data()[i] = i == 0 ? -4.0f : 4.0f;
  }
  Random random(4);
  MomentSeries series = RandomSeries(config, 60, 0.4, random);
  for (size_t i = 0; i < series.values.size(); ++i) series.values.data()[i] *= 0.4f;
  for (auto& view : model->net().views) {
    for (nn::Parameter* p : view.fusion.Parameters()) {
      for (size_t i = 0; i < p->value.size(); ++i) p->value.data()[i] *= 0.5f;
    }
  }
  const MomentTargetsByView targets = RandomTargets(config, 60, random);
  const auto loss = [&] {
    const auto step = model->TrainStep(series, targets, 20, 40,
                                       {.rate = 0, .lag_rate = 0, .l2 = 0, .clip_norm = 0});
    EXPECT_TRUE(step.ok());
    return 10 * step.value();  // to where ExpectSlopes looks
  };
  loss();
  for (nn::Parameter* p : model->net().Trained()) {
    nn::Matrix gradient = p->grad;
    for (size_t i = 0; i < gradient.size(); ++i) gradient.data()[i] *= 10;
    nn::ExpectSlopes(&p->value, gradient, p->name, loss);
  }
}

TEST(MomentAttention, TheRoomsLevelTeachesNothing) {
  const MomentAttentionConfig config = SmallConfig();
  const auto model = Shaken(config, 5);
  Random random(6);
  const MomentSeries series = RandomSeries(config, 50, 0.2, random);
  nn::Matrix counts(50, K);
  std::vector<float> small, large;
  for (size_t t = 0; t < 50; ++t) {
    small.push_back(static_cast<float>(10 + random.Below(10)));
    large.push_back(small.back() * 1000);
    for (size_t k = 0; k < K; ++k) counts.Row(t)[k] = static_cast<float>(random.Below(3));
  }
  const auto loss = [&](const std::vector<float>& viewers) {
    return model->TrainStep(series, MakeMomentTargets(counts, viewers, config.horizon_s), 0, 50,
                            {.rate = 0, .lag_rate = 0});
  };
  EXPECT_NEAR(loss(small).value(), loss(large).value(), 1e-5);
}

TEST(MomentAttention, AMissingModalityHasNoWeightAndNoGradient) {
  const MomentAttentionConfig config = SmallConfig();
  const auto model = Shaken(config, 7);
  Random random(8);
  MomentSeries series = RandomSeries(config, 50, 0.3, random);
  const size_t face = 3;  // the only feature of modality 1
  for (size_t t = 0; t < 50; ++t) series.measured[t * config.features() + face] = 0;
  MomentSeries other = series;
  for (size_t i = 0; i < other.values.size(); ++i) {
    if (other.measured[i] == 0) other.values.data()[i] = std::nanf("");
  }
  MomentAnswer a, b;
  model->Answer(series, &a);
  model->Answer(other, &b);
  for (size_t v = 0; v < kMomentViews; ++v) {
    for (size_t t = 0; t < 50; ++t) {
      EXPECT_EQ(a.views[v].weights.Row(t)[1], 0.0f);
      for (size_t k = 0; k < K; ++k) {
        EXPECT_EQ(a.views[v].contributions.Row(t)[K + k], 0.0f);
        EXPECT_EQ(a.views[v].log_rates.Row(t)[k], b.views[v].log_rates.Row(t)[k]);
      }
    }
  }
  const MomentTargetsByView targets = RandomTargets(config, 50, random);
  ASSERT_TRUE(model->TrainStep(series, targets, 0, 50, {}).ok());
  for (const nn::Parameter* p : model->net().Trained()) {
    const bool of_face = p->name.find("face") != std::string::npos ||
                         p->name.find("fusion.modality1") != std::string::npos;
    for (size_t i = 0; of_face && i < p->grad.size(); ++i)
      EXPECT_EQ(p->grad.data()[i], 0.0f) << p->name;
  }
}

TEST(MomentAttention, NothingFromTheFuture) {
  const MomentAttentionConfig config = SmallConfig();
  const auto model = Shaken(config, 9);
  Random random(10);
  const MomentSeries series = RandomSeries(config, 60, 0.3, random);
  for (const size_t now : {size_t{0}, size_t{7}, size_t{30}, size_t{58}}) {
    MomentSeries other = series;
    for (size_t i = (now + 1) * config.features(); i < other.values.size(); ++i) {
      other.values.data()[i] = 50;
      other.measured[i] ^= 1;
    }
    MomentAnswer a, b;
    model->Answer(series, &a);
    model->Answer(other, &b);
    for (size_t v = 0; v < kMomentViews; ++v) {
      for (size_t t = 0; t <= now; ++t) {
        for (size_t k = 0; k < K; ++k) {
          EXPECT_EQ(a.views[v].log_rates.Row(t)[k], b.views[v].log_rates.Row(t)[k]) << t;
        }
      }
    }
  }
}

TEST(MomentAttention, ContributionsAndBaseAreTheRateAndWeightsSumToOne) {
  const MomentAttentionConfig config = SmallConfig();
  const auto model = Shaken(config, 11);
  Random random(12);
  const MomentSeries series = RandomSeries(config, 40, 0.5, random);
  MomentAnswer answer;
  model->Answer(series, &answer);
  for (const MomentView view : {MomentView::kNow, MomentView::kNext}) {
    for (size_t t = 0; t < 40; ++t) {
      float weights = 0;
      for (size_t m = 0; m < 4; ++m) weights += Of(answer, view).weights.Row(t)[m];
      EXPECT_NEAR(weights, 1.0f, 1e-5f);
      for (size_t k = 0; k < K; ++k) {
        double sum = model->base(view, static_cast<MomentOutcome>(k));
        for (size_t m = 0; m < 3; ++m) {
          sum += static_cast<double>(Of(answer, view).contributions.Row(t)[m * K + k]);
        }
        EXPECT_NEAR(sum, static_cast<double>(Of(answer, view).log_rates.Row(t)[k]), 1e-5);
      }
    }
  }
}

TEST(MomentStream, ASecondAtATimeIsTheWholeComputation) {
  const MomentAttentionConfig config = SmallConfig();
  const std::shared_ptr<const MomentAttention> model = Shaken(config, 13);
  Random random(14);
  const size_t T = 90, F = config.features();
  MomentSeries series = RandomSeries(config, T, 0.4, random);
  const auto reported = [](size_t t) { return t < 30 || (t >= 34 && t < 50) || t >= 70; };
  for (size_t t = 0; t < T; ++t) {
    for (size_t f = 0; f < F && !reported(t); ++f) series.measured[t * F + f] = 0;
  }
  MomentAnswer whole;
  model->Answer(series, &whole);
  std::vector<MomentAnswer> without(3);
  for (size_t m = 0; m < 3; ++m) model->Answer(series, &without[m], m);
  MomentStream stream(model);
  for (size_t t = 0; t < T; ++t) {
    if (!reported(t)) continue;
    const auto reading =
        stream.Advance(series.first_second + static_cast<int64_t>(t), {series.values.Row(t), F},
                       {series.measured.data() + t * F, F});
    ASSERT_TRUE(reading.ok()) << reading.status().ToString();
    const MomentReading& now = reading.value();
    EXPECT_NEAR(now.highlight, model->highlight(whole, t), 1e-5);
    for (size_t v = 0; v < kMomentViews; ++v) {
      EXPECT_NEAR(now.nothing[v], whole.views[v].weights.Row(t)[3], 1e-5f);
      for (size_t k = 0; k < K; ++k) {
        EXPECT_NEAR(std::log(now.rates[v][k]),
                    static_cast<double>(whole.views[v].log_rates.Row(t)[k]), 1e-5);
      }
      for (size_t m = 0; m < 3; ++m) {
        EXPECT_NEAR(now.modalities[m].weight[v], whole.views[v].weights.Row(t)[m], 1e-5f);
        for (size_t k = 0; k < K; ++k) {
          EXPECT_NEAR(now.modalities[m].contribution[v][k],
                      whole.views[v].contributions.Row(t)[m * K + k], 1e-5f);
        }
      }
    }
    for (size_t m = 0; m < 3; ++m) {
      const MomentAnswer::View& next = Of(without[m], MomentView::kNext);
      for (size_t k = 0; k < K; ++k) {
        EXPECT_NEAR(now.modalities[m].without[k],
                    next.log_rates.Row(t)[k] - Of(whole, MomentView::kNext).log_rates.Row(t)[k],
                    1e-5f);
      }
      EXPECT_NEAR(static_cast<double>(now.modalities[m].highlight_without),
                  model->highlight(without[m], t) - model->highlight(whole, t), 1e-4);
    }
  }
}

TEST(MomentStream, RefusesWhatIsNotLaterOrOfAnotherWidth) {
  const std::shared_ptr<const MomentAttention> model = Shaken(SmallConfig(), 15);
  MomentStream stream(model);
  const std::vector<float> values(6);
  const std::vector<uint8_t> measured(6, 1);
  ASSERT_TRUE(stream.Advance(4, values, measured).ok());
  EXPECT_EQ(stream.Advance(4, values, measured).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(stream.Advance(5, std::span(values).first(5), measured).status().code(),
            Code::kInvalidArgument);
  EXPECT_TRUE(stream.Advance(INT64_MAX, values, measured).ok());
}

TEST(MomentStream, LearnsTheRoomsLevel) {
  const std::shared_ptr<const MomentAttention> model = Shaken(SmallConfig(), 16);
  MomentStream stream(model);
  const std::vector<float> values(6);
  const std::vector<uint8_t> measured(6, 0);
  const auto first = stream.Advance(0, values, measured);
  const double usual = first.value().rates[0][2];
  double last = 0;
  for (int t = 1; t < 600; ++t) {  // three times as many clicks as the model's base says
    const auto clicks = static_cast<float>(300 * usual);
    last = stream.Advance(t, values, measured, MomentAudience{100, {0, 0, clicks}})
               .value()
               .rates[0][2];
  }
  EXPECT_NEAR(last / usual, 3, 0.1);
  EXPECT_GT(stream.Advance(601, values, measured).value().stay, first.value().stay);  // nobody left
}

TEST(MomentFile, ComesBackAndRefusesDamage) {
  const auto model = Shaken(SmallConfig(), 17);
  const std::string bytes = model->Serialize();
  const auto again = MomentAttention::Parse(bytes);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again.value()->Serialize(), bytes);
  for (size_t i = 0; i < bytes.size(); i += 37) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_EQ(MomentAttention::Parse(damaged).status().code(), Code::kCorruption) << i;
  }
  EXPECT_EQ(MomentAttention::Parse(bytes.substr(0, bytes.size() / 2)).status().code(),
            Code::kCorruption);
  MomentAttentionConfig config = SmallConfig();
  config.phase_knots_s = {0, 60, 20};
  EXPECT_EQ(MomentAttention::Create(config, 1).status().code(), Code::kInvalidArgument);
}

// The bytes of docs/formats/moment_attention.md.
TEST(MomentFile, WorkedExample) {
  MomentAttentionConfig config;
  config.modalities = {{"v", {"a"}}};
  config.look_back_s = 2, config.horizon_s = 3;
  config.encoder_width = 4, config.fusion_width = 5;
  config.phase_knots_s = {0};
  const std::string bytes = MomentAttention::Create(config, 1).value()->Serialize();
  const auto file = nn::TensorReader::Open(bytes);
  ASSERT_TRUE(file.ok());
  const unsigned char wanted[] = {
      0x10, 0x6d, 0x6f, 0x6d, 0x65, 0x6e, 0x74, 0x20, 0x61, 0x74, 0x74, 0x65, 0x6e, 0x74, 0x69,
      0x6f, 0x6e, 0x01, 0x01, 0x01, 0x76, 0x01, 0x01, 0x61, 0x02, 0x03, 0x04, 0x05, 0x01, 0x00,
      0x00, 0x00, 0x00, 0x00, 0x00, 0x80, 0xbf, 0x00, 0x00, 0x00, 0x3f, 0x00, 0x00, 0x80, 0x3f};
  EXPECT_EQ(file.value().Bytes("config").value(),
            std::string_view(reinterpret_cast<const char*>(wanted), sizeof wanted));
}

}  // namespace
}  // namespace heed::model
