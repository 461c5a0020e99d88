#include "media/arousal.h"

#include <gtest/gtest.h>

namespace heed::media {
namespace {

using F = VoiceFeature;

VoiceSecond Speech(float f0, float rate) {
  VoiceSecond second;
  second.Set(F::kActive, 0.8);
  second.Set(F::kMusicLikely, 0);
  second.Set(F::kF0Median, static_cast<double>(f0));
  second.Set(F::kSyllableRate, static_cast<double>(rate));
  second.Set(F::kLoudnessShortTerm, -20 + static_cast<double>(f0) / 100);
  return second;
}

TEST(RobustScale, MedianAndDeviation) {
  RobustScale scale(100);
  for (int i = 0; i < 29; ++i) scale.Add(static_cast<float>(i));
  EXPECT_FALSE(scale.Score(3));
  for (int i = 0; i < 101; ++i) scale.Add(static_cast<float>(i));  // 1 to 100 are left
  EXPECT_NEAR(*scale.Score(51), 0, 1e-6);
  EXPECT_NEAR(*scale.Score(51 + 37.065f), 1, 1e-3);  // MAD 25
  EXPECT_EQ(*scale.Score(1e9f), 4.0);
}

TEST(ArousalProxy, OffUnlessAskedFor) {
  ArousalProxy off({});
  ArousalProxy on({.enabled = true});
  for (int i = 0; i < 40; ++i) {
    VoiceSecond a = Speech(static_cast<float>(150 + i % 7), 4), b = a;
    off.Update(&a);
    on.Update(&b);
    EXPECT_FALSE(a[F::kArousalProxy]);
    EXPECT_EQ(b[F::kArousalProxy].has_value(), i >= 30) << i;
  }
  VoiceSecond high = Speech(220, 4), low = Speech(110, 4), music = Speech(220, 4);
  music.Set(F::kMusicLikely, 0.9);
  on.Update(&high), on.Update(&low), on.Update(&music);
  EXPECT_GT(*high[F::kArousalProxy], 1);
  EXPECT_LT(*low[F::kArousalProxy], -1);
  EXPECT_FALSE(music[F::kArousalProxy]);
}

}  // namespace
}  // namespace heed::media
