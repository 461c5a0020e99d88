#include "media/moments.h"

#include <gtest/gtest.h>

#include "media/sound_for_test.h"

namespace heed::media {
namespace {

struct Fixture {
  std::vector<Moment> moments;
  MomentBuilder builder{{}, [this](const Moment& moment) { moments.push_back(moment); }};
  MediaSink sink = builder.Sink();
  const Streams streams = ToStreams(Voice(1, 200, 200));

  void Sound(int64_t pts_us, uint32_t epoch = 0) {
    sink.audio({.pts_us = pts_us, .epoch = epoch, .mono16k = streams.mono16k});
  }
  void Picture(int64_t pts_us, uint32_t epoch = 0) {
    sink.video({.pts_us = pts_us, .epoch = epoch});
  }
  void BreakOff(uint32_t epoch) {
    sink.event({.kind = DecoderEvent::Kind::kBrokenOff, .epoch = epoch});
  }
};

constexpr int64_t kS = 1000000;

TEST(Moments, SoundAndPicturesOfASecondAreOneRecord) {
  Fixture f;
  for (int64_t s = 0; s < 4; ++s) {
    for (int64_t i = 0; i < 5; ++i) f.Picture(s * kS + i * 200000);
    f.Sound(s * kS);
  }
  EXPECT_EQ(f.moments.size(), 3u);  // the fourth may still grow
  f.builder.Finish();
  ASSERT_EQ(f.moments.size(), 4u);
  for (size_t s = 0; s < 4; ++s) {
    EXPECT_EQ(f.moments[s].second, static_cast<int64_t>(s));
    EXPECT_EQ(f.moments[s].pictures, 5);
    EXPECT_EQ(f.moments[s].voice.cover, 1.0f);
  }
}

TEST(Moments, PicturesWithoutSoundMakeSecondsToo) {
  Fixture f;
  for (int64_t t = 0; t < 5 * kS; t += 200000) f.Picture(t);
  ASSERT_EQ(f.moments.size(), 3u);  // a second's wait for sound
  EXPECT_EQ(f.moments[0].pictures, 5);
  EXPECT_EQ(f.moments[0].voice.cover, 0.0f);
  f.builder.Finish();
  EXPECT_EQ(f.moments.size(), 5u);
}

TEST(Moments, WhileTheStreamIsAwayItsSecondsSaySo) {
  Fixture f;
  f.Sound(0), f.Sound(kS);
  f.BreakOff(1);
  ASSERT_EQ(f.moments.size(), 2u);
  f.sink.idle(4 * kS + 100000);
  ASSERT_EQ(f.moments.size(), 5u);
  EXPECT_EQ(f.moments[4].second, 4);
  EXPECT_EQ(f.moments[4].epoch, 1u);
  EXPECT_FALSE(f.moments[4].voice[VoiceFeature::kLevel]);
  f.Sound(7 * kS, 1);
  f.builder.Finish();
  ASSERT_EQ(f.moments.size(), 8u);
  EXPECT_EQ(f.moments[6].voice.cover, 0.0f);
  EXPECT_EQ(f.moments[7].voice.cover, 1.0f);
}

TEST(Moments, AnEpochEndsASecondThatIsNotFull) {
  Fixture f;
  f.Sound(0), f.Sound(kS);
  f.Picture(1900000);
  f.Sound(2 * kS, 1), f.Picture(2100000, 1);
  f.builder.Finish();
  ASSERT_EQ(f.moments.size(), 3u);
  EXPECT_EQ(f.moments[1].epoch, 0u);
  EXPECT_EQ(f.moments[1].pictures, 1);
  EXPECT_EQ(f.moments[2].epoch, 1u);
  EXPECT_EQ(f.moments[2].pictures, 1);
}

TEST(Moments, WhatWasNotMeasuredIsNull) {
  Moment moment;
  moment.second = 7;
  moment.voice.Set(VoiceFeature::kPauseCount, 0);
  const std::string json = ToJson(moment);
  EXPECT_NE(json.find("\"t\":7,"), std::string::npos) << json;
  EXPECT_NE(json.find("\"voice.pause_count\":0,"), std::string::npos) << json;
  EXPECT_NE(json.find("\"voice.f0_median\":null"), std::string::npos) << json;
  EXPECT_EQ(json.find("nan"), std::string::npos) << json;
}

}  // namespace
}  // namespace heed::media
