#include "report/report.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cmath>

#include "base/random.h"
#include "report/highlights.h"
#include "train/moment_rows.h"

namespace heed::report {
namespace {

using media::Feature;

std::vector<media::Moment> Show(size_t seconds) {
  std::vector<media::Moment> moments;
  Random random(3);
  for (size_t t = 0; t < seconds; ++t) {
    media::Moment moment{.room = "r", .second = static_cast<int64_t>(t)};
    moment.values.Set(Feature::kMotion, 10 + random.Uniform());
    moment.z.SetUnbounded(Feature::kMotion, 0.5 * random.Normal());
    if (t % 100 < 80) {
      moment.z.SetUnbounded(media::FeatureOf(media::VoiceFeature::kF0Median),
                            0.5 * random.Normal());
    }
    moments.push_back(std::move(moment));
  }
  return moments;
}

// What the page's script reads.
boost::json::object Data(const std::string& html) {
  const std::string begin = "id=\"data\">";
  const size_t first = html.find(begin) + begin.size();
  return boost::json::parse(html.substr(first, html.find("</script>", first) - first)).as_object();
}

std::shared_ptr<const model::MomentAttention> Untrained() {
  model::MomentAttentionConfig config;
  config.modalities = train::MomentColumns();
  return model::MomentAttention::Create(config, 5).value();
}

TEST(Report, WithoutAModelSaysSoAndFindsWhatStoodOut) {
  std::vector<media::Moment> moments = Show(400);
  moments[250].z.SetUnbounded(Feature::kMotion, 8);
  const auto html = WriteReport(moments, nullptr, {.title = "show.jsonl"});
  ASSERT_TRUE(html.ok()) << html.status().ToString();
  const boost::json::object data = Data(html.value());
  EXPECT_TRUE(data.at("model").is_null());
  EXPECT_FALSE(data.contains("rates"));
  const boost::json::array& highlights = data.at("highlights").as_array();
  ASSERT_EQ(highlights.size(), 1u);
  EXPECT_EQ(highlights[0].at("t").as_int64(), 250);
  const auto& reason = highlights[0].at("reasons").at(0);
  EXPECT_EQ(reason.at("modality").as_string(), "picture");
  EXPECT_EQ(reason.at("features").at(0).at("name").as_string(), "vis.motion");
}

TEST(Report, WithAModelHasCurvesAndReasonsThatAddUp) {
  const std::vector<media::Moment> moments = Show(400);
  const auto model = Untrained();
  const auto html = WriteReport(moments, model, {.title = "show", .model_name = "m.heed"});
  ASSERT_TRUE(html.ok()) << html.status().ToString();
  const boost::json::object data = Data(html.value());
  EXPECT_EQ(data.at("model").as_string(), "m.heed");
  for (const char* rate : {"comment", "click", "leave", "stay"}) {
    EXPECT_EQ(data.at("rates").at(rate).as_array().size(), 400u);
  }
  for (size_t t = 0; t < 400; t += 50) {
    double weights = data.at("nothing").at(t).to_number<double>();
    for (const auto& modality : data.at("modalities").as_array()) {
      weights += modality.at("weight").at(t).to_number<double>();
    }
    EXPECT_NEAR(weights, 1, 1e-3);
  }
  // A reason's share is what is lost when its modality is left out, less what is lost in the middle of the broadcast.
  const auto series = train::MomentSeriesOf(moments, model->config()).value();
  model::MomentAnswer whole, without;
  model->Answer(series, &whole);
  std::vector<double> scores;
  for (size_t t = 0; t < 400; ++t) scores.push_back(model->highlight(whole, t));
  size_t reasons = 0;
  for (const auto& highlight : data.at("highlights").as_array()) {
    const auto t = static_cast<size_t>(highlight.at("t").as_int64());
    EXPECT_NEAR(highlight.at("score").to_number<double>(), scores[t] - Median(scores), 2e-4);
    for (const auto& reason : highlight.at("reasons").as_array()) {
      ++reasons;
      const std::string name(reason.at("modality").as_string());
      for (size_t m = 0; m < model->config().modalities.size(); ++m) {
        if (model->config().modalities[m].name != name) continue;
        model->Answer(series, &without, m);
        std::vector<double> lost;
        for (size_t i = 0; i < 400; ++i) {
          if (whole.views[1].weights.Row(i)[m] > 0)
            lost.push_back(scores[i] - model->highlight(without, i));
        }
        EXPECT_NEAR(reason.at("share").to_number<double>(),
                    scores[t] - model->highlight(without, t) - Median(lost), 2e-4);
      }
    }
  }
  EXPECT_GT(reasons, 3u);
}

TEST(Report, TextFromOutsideStaysText) {
  std::vector<media::Moment> moments = Show(100);
  const std::string hostile = "</script><script>alert(1)</script><!--\" \\ \x01 价格";
  for (media::Moment& moment : moments) moment.room = moment.screen_text = hostile;
  moments[60].z.SetUnbounded(Feature::kMotion, 8);
  const auto html = WriteReport(moments, nullptr, {.title = hostile});
  ASSERT_TRUE(html.ok());
  EXPECT_EQ(html.value().find("<script>alert"), std::string::npos);
  EXPECT_EQ(html.value().find("<!--"), std::string::npos);
  const boost::json::object data = Data(html.value());
  EXPECT_EQ(data.at("title").as_string(), hostile);
  EXPECT_EQ(data.at("highlights").at(0).at("text").as_string(), hostile);
}

TEST(Report, ALongBroadcastIsNotALongPage) {
  const auto html = WriteReport(Show(8'000), Untrained(), {.title = "long"});
  ASSERT_TRUE(html.ok());
  const boost::json::object data = Data(html.value());
  EXPECT_LE(data.at("score").as_array().size(), 600u);
  EXPECT_LE(data.at("table").at("rows").as_array().size(), 600u);
  EXPECT_LT(html.value().size(), 400'000u);
}

TEST(Report, NothingAndOddTimesAreNamed) {
  EXPECT_EQ(WriteReport({}, nullptr, {}).status().code(), Code::kInvalidArgument);
  std::vector<media::Moment> moments = Show(3);
  moments[1].second = 50, moments[2].second = 50;  // a gap, and a second twice
  const auto html = WriteReport(moments, nullptr, {});
  ASSERT_TRUE(html.ok());
  EXPECT_EQ(Data(html.value()).at("seconds").as_int64(), 51);
}

TEST(Peaks, AreApartAndHighestFirst) {
  const std::vector<double> score = {0, 5, 6, 5, 0, 0, 3, 0, -1, 4};
  EXPECT_EQ(Peaks(score, 9, 3, 0), (std::vector<size_t>{2, 9, 6}));
  EXPECT_EQ(Peaks(score, 1, 3, 0), (std::vector<size_t>{2}));
  EXPECT_EQ(Peaks(score, 9, 3, 5), (std::vector<size_t>{2}));
  EXPECT_TRUE(Peaks({}, 9, 3, 0).empty());
  EXPECT_EQ(Peaks(std::vector<double>{1, std::nan(""), 2}, 9, 2, 0), (std::vector<size_t>{2, 0}));
}

}  // namespace
}  // namespace heed::report
