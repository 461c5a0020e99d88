#include "media/moments.h"

#include <gtest/gtest.h>

#include "media/sound_for_test.h"
#include "media/test_frames.h"

namespace heed::media {
namespace {

struct Fixture {
  std::vector<Moment> moments;
  MomentBuilder builder{{.room = "r", .picture = {.faces = false, .text = false}},
                        [this](const Moment& moment) { moments.push_back(moment); }};
  MediaSink sink = builder.Sink();
  const Streams streams = ToStreams(Voice(1, 200, 200));
  const media::Picture frame{64, 36, 90};

  float Heard(size_t i) const { return moments[i].of(Modality::kVoice).cover; }

  // A second of it, or less.
  void Sound(int64_t pts_us, uint32_t epoch = 0, size_t samples = 16000) {
    sink.audio(
        {.pts_us = pts_us, .epoch = epoch, .mono16k = std::span(streams.mono16k).first(samples)});
  }
  void Picture(int64_t pts_us, uint32_t epoch = 0) { sink.video(frame.At(pts_us, epoch)); }
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
    EXPECT_EQ(f.moments[s].frames, 5u);
    EXPECT_EQ(f.Heard(s), 1.0f);
  }
}

TEST(Moments, PicturesWithoutSoundMakeSecondsToo) {
  Fixture f;
  for (int64_t t = 0; t < 5 * kS; t += 200000) f.Picture(t);
  ASSERT_EQ(f.moments.size(), 3u);  // a second's wait for sound
  EXPECT_EQ(f.moments[0].frames, 5u);
  EXPECT_EQ(f.Heard(0), 0.0f);
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
  EXPECT_FALSE(f.moments[4].values.Get(FeatureOf(VoiceFeature::kLevel)));
  EXPECT_EQ(f.moments[4].of(Modality::kVoice).age_ms, -1);  // never heard in this epoch
  f.Sound(7 * kS, 1);
  f.builder.Finish();
  ASSERT_EQ(f.moments.size(), 8u);
  EXPECT_EQ(f.Heard(6), 0.0f);
  EXPECT_EQ(f.Heard(7), 1.0f);
}

TEST(Moments, AnEpochEndsASecondThatIsNotFull) {
  Fixture f;
  f.Sound(0), f.Sound(kS);
  f.Picture(1900000);
  f.Sound(2 * kS, 1), f.Picture(2100000, 1);
  f.builder.Finish();
  ASSERT_EQ(f.moments.size(), 3u);
  EXPECT_EQ(f.moments[1].epoch, 0u);
  EXPECT_EQ(f.moments[1].frames, 1u);
  EXPECT_EQ(f.moments[2].epoch, 1u);
  EXPECT_EQ(f.moments[2].frames, 1u);
}

// Sound that is ahead waits for its pictures, a second at most; what comes still later is left out.
TEST(Moments, SoundWaitsForItsPictures) {
  Fixture f;
  f.Picture(0);
  f.Sound(0), f.Sound(kS, 0, 14400);
  EXPECT_TRUE(f.moments.empty());
  f.Picture(500000), f.Picture(1200000);
  ASSERT_EQ(f.moments.size(), 1u);
  EXPECT_EQ(f.moments[0].frames, 2u);
  EXPECT_NEAR(f.moments[0].values.Get(Feature::kBrightness).value_or(0), 90, 1);
  f.Sound(1900000);
  EXPECT_EQ(f.moments.size(), 1u);
  f.Sound(2900000);
  ASSERT_EQ(f.moments.size(), 2u);
  EXPECT_EQ(f.moments[1].frames, 1u);
  f.builder.Finish();
  ASSERT_EQ(f.moments.size(), 4u);
  EXPECT_EQ(f.moments[3].frames, 0u);
  EXPECT_FALSE(f.moments[3].of(Modality::kPicture).ok);
}

// Where the decoder gives key pictures alone, most seconds have none.
TEST(Moments, FewPicturesAreNotWaitedFor) {
  Fixture f;
  f.Picture(0);
  f.Sound(0), f.Sound(kS, 0, 14400);
  EXPECT_TRUE(f.moments.empty());
  f.sink.event({.kind = DecoderEvent::Kind::kMode, .mode = PictureMode::kKeyPictures});
  f.Sound(1900000);
  ASSERT_EQ(f.moments.size(), 2u);
  EXPECT_EQ(f.moments[0].frames, 1u);
  EXPECT_EQ(f.moments[1].frames, 0u);
}

}  // namespace
}  // namespace heed::media
