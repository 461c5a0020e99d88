#include "media/picture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "media/test_frames.h"

namespace heed::media {
namespace {

constexpr int kWidth = 320, kHeight = 180;
constexpr int64_t kStepUs = 200'000;

PictureConfig PlainConfig() {
  PictureConfig config;
  config.faces = config.text = false;
  return config;
}

// A texture without repetition that is smooth enough for flow to be seen.
int Texture(double x, double y) {
  return static_cast<int>(120 + 50 * std::sin(x / 11 + 2 * std::sin(y / 17)) +
                          40 * std::cos(y / 13 + std::sin(x / 23)));
}
int OtherTexture(double x, double y) {
  return static_cast<int>(90 + 60 * std::sin(y / 7 - x / 29) + 10 * std::cos(x / 5));
}

std::vector<PictureSecond> Measured(PictureExtractor* extractor,
                                    const std::vector<Picture>& pictures, uint32_t epoch = 0,
                                    int64_t from_us = 0) {
  std::vector<PictureSecond> seconds;
  for (size_t i = 0; i < pictures.size(); ++i) {
    const Status added = extractor->Add(
        pictures[i].At(from_us + static_cast<int64_t>(i) * kStepUs, epoch), &seconds);
    EXPECT_TRUE(added.ok()) << added.ToString();
  }
  extractor->Finish(&seconds);
  return seconds;
}

std::vector<PictureSecond> Measured(const std::vector<Picture>& pictures) {
  PictureExtractor extractor(PlainConfig());
  return Measured(&extractor, pictures);
}

int Cuts(const std::vector<PictureSecond>& seconds) {
  int cuts = 0;
  for (const PictureSecond& second : seconds)
    cuts += static_cast<int>(second.values.Get(Feature::kCut).value_or(0));
  return cuts;
}

TEST(Picture, GreyIsGrey) {
  const auto seconds = Measured({Picture(kWidth, kHeight, uint8_t{77})});
  ASSERT_EQ(seconds.size(), 1u);
  const MomentValues& v = seconds[0].values;
  EXPECT_FLOAT_EQ(*v.Get(Feature::kBrightness), 77);
  EXPECT_FLOAT_EQ(*v.Get(Feature::kContrast), 0);
  EXPECT_FLOAT_EQ(*v.Get(Feature::kSaturation), 0);
  EXPECT_FLOAT_EQ(*v.Get(Feature::kColourful), 0);
  EXPECT_FLOAT_EQ(*v.Get(Feature::kSharpness), 0);
  // One picture says nothing of change, a flat one nothing of what stands out.
  for (const Feature f : {Feature::kMotion, Feature::kFreeze, Feature::kCut, Feature::kFlowMean,
                          Feature::kSaliencyCentre, Feature::kFacePresent, Feature::kOcrPrice})
    EXPECT_FALSE(v.Get(f)) << InfoOf(f).name;
  EXPECT_TRUE(seconds[0].picture.ok);
  EXPECT_FLOAT_EQ(seconds[0].picture.cover, 0.2f);
  EXPECT_EQ(seconds[0].picture.age_ms, 1000);
  EXPECT_FALSE(seconds[0].face.ok);
  EXPECT_EQ(seconds[0].face.age_ms, -1);
}

TEST(Picture, LightColourAndSharpnessAreAsDrawn) {
  // Columns of 100 and 140; every inner Laplacian is 2 * 40 up or down.
  Picture stripes(kWidth, kHeight, [](int x, int) { return x % 2 == 0 ? 100 : 140; });
  std::fill(stripes.u.begin(), stripes.u.end(), uint8_t{128 + 30});
  std::fill(stripes.v.begin(), stripes.v.end(), uint8_t{128 - 40});
  const auto seconds = Measured({stripes});
  const MomentValues& v = seconds[0].values;
  EXPECT_FLOAT_EQ(*v.Get(Feature::kBrightness), 120);
  EXPECT_FLOAT_EQ(*v.Get(Feature::kContrast), 20);
  EXPECT_NEAR(*v.Get(Feature::kSaturation), 50, 1e-3);
  EXPECT_NEAR(*v.Get(Feature::kSharpness), 80, 0.01);
  const double red_green = 2.409 * -40 + 0.392 * 30, yellow_blue = 0.392 * -40 - 2.213 * 30;
  EXPECT_NEAR(*v.Get(Feature::kColourful), 0.3 * std::hypot(red_green, yellow_blue), 1e-3);
}

TEST(Picture, WhatStandsOutInTheMiddleIsFoundThere) {
  const auto blob = [](int cx, int cy) {
    return Picture(kWidth, kHeight, [=](int x, int y) {
      const double d = std::hypot(x - cx, y - cy);
      return d < 16 ? 230 : 100 + (x + y) / 20;
    });
  };
  const auto at = [&](int x, int y) {
    return *Measured({blob(x, y)})[0].values.Get(Feature::kSaliencyCentre);
  };
  EXPECT_GT(at(160, 90), 0.6f);
  EXPECT_LT(at(30, 30), 0.35f);
}

TEST(Picture, MotionIsAsFastAsItIsDrawn) {
  const auto moved = [](int pixels) {
    return Picture(kWidth, kHeight, [=](int x, int y) { return Texture(x - pixels, y); });
  };
  std::vector<Picture> still, slow, fast;
  for (int i = 0; i < 10; ++i) {
    still.push_back(moved(0));
    slow.push_back(moved(2 * i));
    fast.push_back(moved(6 * i));
  }
  const auto value = [](const std::vector<PictureSecond>& s, Feature f) {
    return s[1].values.Get(f);
  };
  const auto s0 = Measured(still), s2 = Measured(slow), s6 = Measured(fast);
  EXPECT_FLOAT_EQ(*value(s0, Feature::kFreeze), 1);
  EXPECT_FLOAT_EQ(*value(s0, Feature::kMotion), 0);
  EXPECT_FLOAT_EQ(*value(s0, Feature::kFlowMean), 0);
  EXPECT_FALSE(value(s0, Feature::kFlowCentreRatio));
  EXPECT_FLOAT_EQ(*value(s2, Feature::kFreeze), 0);
  // Pixels a picture, five pictures a second, in widths of the picture.
  EXPECT_NEAR(*value(s2, Feature::kFlowMean), 2 * 5.0 / kWidth, 0.15 * 2 * 5.0 / kWidth);
  EXPECT_NEAR(*value(s6, Feature::kFlowMean), 6 * 5.0 / kWidth, 0.15 * 6 * 5.0 / kWidth);
  EXPECT_NEAR(*value(s6, Feature::kFlowCentreRatio), 0.25, 0.03);  // it moves all over
  EXPECT_EQ(Cuts(s0) + Cuts(s2) + Cuts(s6), 0);
}

TEST(Picture, CutsAreCountedAndNothingElse) {
  const Picture one(kWidth, kHeight, [](int x, int y) { return Texture(x, y); });
  Picture two(kWidth, kHeight, [](int x, int y) { return OtherTexture(x, y); });
  std::fill(two.u.begin(), two.u.end(), uint8_t{150});
  const Picture white(kWidth, kHeight, uint8_t{235});
  const auto dimmed = [](double by) {
    return Picture(kWidth, kHeight,
                   [=](int x, int y) { return static_cast<int>(Texture(x, y) * by); });
  };

  const auto cut = Measured({one, one, one, two, two, two, two, two, one, one});
  ASSERT_EQ(cut.size(), 2u);
  EXPECT_EQ(*cut[0].values.Get(Feature::kCut), 1);
  EXPECT_EQ(*cut[1].values.Get(Feature::kCut), 1);
  // What moved across a cut is not motion.
  EXPECT_EQ(*cut[0].values.Get(Feature::kMotion), 0);

  EXPECT_EQ(Cuts(Measured({one, one, white, one, one, one})), 0) << "a flash";
  EXPECT_EQ(Cuts(Measured({one, dimmed(0.8), dimmed(0.6), dimmed(0.4), dimmed(0.2)})), 0)
      << "a fade";
  EXPECT_EQ(Cuts(Measured({one, dimmed(0.5), one})), 0) << "the light went off and on";
  EXPECT_EQ(Cuts(Measured({one, one, two})), 1) << "at the very end";
  // The last picture of a second that began a shot counts there, though only the next one confirms it.
  const auto border = Measured({one, one, one, one, two, two, two});
  EXPECT_EQ(*border[0].values.Get(Feature::kCut), 1);
  EXPECT_EQ(*border[1].values.Get(Feature::kCut), 0);
}

TEST(Picture, EpochsDoNotMix) {
  const Picture one(kWidth, kHeight, [](int x, int y) { return Texture(x, y); });
  const Picture two(kWidth, kHeight, [](int x, int y) { return OtherTexture(x, y); });
  PictureExtractor extractor(PlainConfig());
  std::vector<PictureSecond> seconds;
  ASSERT_TRUE(extractor.Add(one.At(0, 1), &seconds).ok());
  ASSERT_TRUE(extractor.Add(one.At(kStepUs, 1), &seconds).ok());
  ASSERT_TRUE(extractor.Add(two.At(2 * kStepUs, 2), &seconds).ok());  // the same second
  extractor.Finish(&seconds);
  ASSERT_EQ(seconds.size(), 2u);
  EXPECT_EQ(seconds[0].epoch, 1u);
  EXPECT_EQ(seconds[0].frames, 2u);
  EXPECT_EQ(seconds[1].epoch, 2u);
  EXPECT_EQ(seconds[1].frames, 1u);
  EXPECT_FALSE(seconds[1].values.Get(Feature::kMotion));
  EXPECT_FALSE(seconds[1].values.Get(Feature::kCut));
}

TEST(Picture, SecondsWithoutPicturesAreThereAndEmpty) {
  const Picture one(kWidth, kHeight, [](int x, int y) { return Texture(x, y); });
  PictureExtractor extractor(PlainConfig());
  std::vector<PictureSecond> seconds;
  extractor.AdvanceTo(5'000'000, &seconds);
  EXPECT_TRUE(seconds.empty()) << "nothing was seen yet";
  ASSERT_TRUE(extractor.Add(one.At(500'000), &seconds).ok());
  ASSERT_TRUE(extractor.Add(one.At(3'250'000), &seconds).ok());
  extractor.AdvanceTo(5'100'000, &seconds);
  ASSERT_EQ(seconds.size(), 5u);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(seconds[i].second, static_cast<int64_t>(i));
  EXPECT_FALSE(seconds[1].picture.ok);
  EXPECT_EQ(seconds[1].values.measured(), 0u);
  EXPECT_EQ(seconds[1].picture.age_ms, 1500);
  EXPECT_EQ(seconds[4].picture.age_ms, 1750);
  EXPECT_FALSE(seconds[3].values.Get(Feature::kMotion)) << "a gap of seconds is no motion";
  // What comes too late is counted, not measured.
  ASSERT_TRUE(extractor.Add(one.At(3'000'000), &seconds).ok());
  EXPECT_EQ(extractor.late(), 1u);
  ASSERT_TRUE(extractor.Add(one.At(4'000'000), &seconds).ok());
  EXPECT_EQ(extractor.late(), 2u) << "its second is closed";
  EXPECT_EQ(seconds.size(), 5u);
}

TEST(Picture, BadFramesAreRefusedByName) {
  PictureExtractor extractor(PlainConfig());
  std::vector<PictureSecond> seconds;
  const Picture good(kWidth, kHeight, uint8_t{50});
  const auto field = [&](auto&& spoil) {
    VideoFrame frame = good.At(0);
    spoil(frame);
    return extractor.Add(frame, &seconds).field();
  };
  EXPECT_EQ(field([](VideoFrame& f) { f.width = 0; }), "width");
  EXPECT_EQ(field([](VideoFrame& f) { f.height = -4; }), "width");
  EXPECT_EQ(field([](VideoFrame& f) { f.width = 1 << 30; }), "width");
  EXPECT_EQ(field([](VideoFrame& f) { f.y_stride = kWidth - 1; }), "y_stride");
  EXPECT_EQ(field([](VideoFrame& f) { f.uv_stride = 3; }), "uv_stride");
  EXPECT_EQ(field([](VideoFrame& f) { f.y = f.y.first(f.y.size() - 1); }), "y");
  EXPECT_EQ(field([](VideoFrame& f) { f.u = {}; }), "u");
  EXPECT_EQ(field([](VideoFrame& f) { f.v = f.v.first(5); }), "v");
  EXPECT_TRUE(seconds.empty());
  EXPECT_TRUE(extractor.Add(good.At(0), &seconds).ok());
  EXPECT_TRUE(extractor.Add(Picture(17, 33, uint8_t{9}).At(1), &seconds).ok()) << "odd sides";
}

TEST(Picture, AnySizeIsMeasured) {
  PictureExtractor extractor({});
  std::vector<PictureSecond> seconds;
  int64_t pts_us = 0;
  for (const auto& [width, height] :
       {std::pair{16, 16}, {17, 33}, {8192, 16}, {16, 8192}, {641, 361}}) {
    const Picture picture(width, height, [](int x, int y) { return Texture(x, y); });
    for (int i = 0; i < 12; ++i, pts_us += kStepUs)
      ASSERT_TRUE(extractor.Add(picture.At(pts_us), &seconds).ok()) << width << " x " << height;
  }
  extractor.Finish(&seconds);
  EXPECT_EQ(seconds.size(), 12u);
}

TEST(Picture, WithoutItsFilesAModalityIsAbsent) {
  PictureConfig config;
  config.face_cascade = "/nonexistent/cascade.xml";
  config.ocr_data = "/nonexistent";
  PictureExtractor extractor(config);
  EXPECT_FALSE(extractor.has_faces());
  EXPECT_FALSE(extractor.has_text());
  const auto seconds = Measured(&extractor, {Picture(kWidth, kHeight, uint8_t{50})});
  EXPECT_TRUE(seconds[0].picture.ok);
  EXPECT_EQ(seconds[0].face, Coverage{});
  EXPECT_EQ(seconds[0].ocr, Coverage{});
  EXPECT_FALSE(seconds[0].values.Get(Feature::kFacePresent));
}

TEST(Picture, GoesIntoTheMomentOfItsSecond) {
  const auto seconds = Measured({Picture(kWidth, kHeight, uint8_t{77})});
  Moment moment;
  moment.values.Set(FeatureOf(VoiceFeature::kLevel), -20);
  AddTo(seconds[0], &moment);
  EXPECT_EQ(moment.values.Get(FeatureOf(VoiceFeature::kLevel)), -20.0f);
  EXPECT_EQ(moment.values.Get(Feature::kBrightness), 77.0f);
  EXPECT_TRUE(moment.of(Modality::kPicture).ok);
  EXPECT_EQ(moment.frames, 1u);
}

}  // namespace
}  // namespace heed::media
