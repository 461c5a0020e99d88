#include "media/voice.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/random.h"
#include "media/sound_for_test.h"

namespace heed::media {
namespace {

using F = VoiceFeature;

bool Same(const std::vector<VoiceSecond>& a, const std::vector<VoiceSecond>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].second != b[i].second || a[i].epoch != b[i].epoch || a[i].cover != b[i].cover ||
        a[i].values != b[i].values) {
      return false;
    }
  }
  return true;
}

TEST(Voice, NamesAreAllDifferent) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < kVoiceFeatures; ++i) names.insert(Info(static_cast<F>(i)).name);
  EXPECT_EQ(names.size(), kVoiceFeatures);
  EXPECT_EQ(Info(F::kArousalProxy).name, "voice.arousal_proxy");
  EXPECT_EQ(Info(F::kMfcc1).name, "spec.mfcc1");
}

TEST(Voice, PitchOfTonesWithinHalfAPercent) {
  for (const double hz : {80.0, 100.0, 127.3, 200.0, 233.3, 311.1, 400.0, 450.0}) {
    for (const bool pure : {false, true}) {
      const auto seconds = Listen(ToStreams(pure ? Sine(2, hz, -20) : Voice(2, hz, hz)));
      ASSERT_EQ(seconds.size(), 2u);
      for (const VoiceSecond& second : seconds) {
        ASSERT_TRUE(second[F::kF0Median]) << hz;
        EXPECT_NEAR(*second[F::kF0Median] / hz, 1.0, 0.005) << hz << (pure ? " pure" : " complex");
        EXPECT_GT(*second[F::kVoicedRatio], 0.95f) << hz;
        EXPECT_LT(*second[F::kF0Range], 0.2f) << hz;
      }
    }
  }
}

TEST(Voice, PitchOfAGlideAtTheWindowsCentre) {
  const auto seconds = Listen(ToStreams(Voice(4, 120, 360)));
  ASSERT_EQ(seconds.size(), 4u);
  for (int s = 0; s < 4; ++s) {
    EXPECT_NEAR(*seconds[static_cast<size_t>(s)][F::kF0Median] / (150.0 + 60 * s), 1, 0.02) << s;
  }
  // 12 log2(360 / 120) = 19.02 semitones in four seconds; the slope falls as the pitch rises.
  EXPECT_NEAR(*seconds[1][F::kF0Slope], 12 / std::log(2.0) * 60 / 210, 0.2);
}

TEST(Voice, AToneAboveTheRangeIsNoVoice) {
  const auto seconds = Listen(ToStreams(Sine(3, 997, -20)));
  ASSERT_EQ(seconds.size(), 3u);
  EXPECT_LT(*seconds[1][F::kVoicedRatio], 0.05f);
  EXPECT_FALSE(seconds[1][F::kF0Median]);
  EXPECT_GT(*seconds[1][F::kMusicLikely], 0.9f);
  EXPECT_LT(*seconds[1][F::kActive], 0.1f);
}

TEST(Voice, LoudnessOfTheReferenceTone) {
  const auto seconds = Listen(ToStreams(Sine(5, 997, -23)));
  ASSERT_EQ(seconds.size(), 5u);
  EXPECT_FALSE(seconds[1][F::kLoudnessShortTerm]);  // its window is three seconds
  for (size_t s = 2; s < 5; ++s) {
    EXPECT_NEAR(*seconds[s][F::kLoudnessShortTerm], -23, 0.1);
    EXPECT_NEAR(*seconds[s][F::kLoudnessMomentary], -23, 0.1);
    EXPECT_NEAR(*seconds[s][F::kTruePeak], -23, 0.1);
    EXPECT_NEAR(*seconds[s][F::kLevel], -26.01, 0.1);
  }
}

TEST(Voice, SilenceIsMeasuredAndFinite) {
  const auto seconds = Listen(ToStreams(Sound(5 * 48000)));
  ASSERT_EQ(seconds.size(), 5u);
  for (const VoiceSecond& second : seconds) {
    for (const auto& value : second.values) EXPECT_TRUE(!value || std::isfinite(*value));
    EXPECT_EQ(second[F::kActive], 0.0f);
    EXPECT_EQ(second[F::kSyllableRate], 0.0f);
    EXPECT_EQ(second[F::kVoicedRatio], 0.0f);
    EXPECT_FALSE(second[F::kF0Median]);
    EXPECT_FALSE(second[F::kCentroid]);
  }
  EXPECT_EQ(seconds[4][F::kLoudnessShortTerm], -70.0f);
}

TEST(Voice, NotANumberNeverLeaves) {
  Streams streams = ToStreams(Voice(3, 200, 200));
  streams.mono16k[20000] = std::nanf("");
  streams.stereo48k[120000] = INFINITY;
  for (const VoiceSecond& second : Listen(streams)) {
    for (const auto& value : second.values) EXPECT_TRUE(!value || std::isfinite(*value));
  }
}

TEST(Voice, ChunkSizesDoNotMatter) {
  const Streams streams =
      ToStreams(Voice(1.3, 120, 300) + Sound(20000) + Sine(0.7, 997, -20) + Voice(0.9, 250, 90));
  const auto whole = Listen(
      streams, [](size_t) { return 1u << 20; }, 1234567);
  Random random(7);
  for (const size_t size : {1, 7, 160, 161, 1024, 4096}) {
    EXPECT_TRUE(Same(whole, Listen(
                                streams, [&](size_t) { return size; }, 1234567)))
        << size;
  }
  for (int round = 0; round < 12; ++round) {
    const uint64_t most = 1 + random.Below(4096);
    EXPECT_TRUE(Same(whole, Listen(
                                streams, [&](size_t) { return 1 + random.Below(most); }, 1234567)))
        << "up to " << most;
  }
}

TEST(Voice, PlacedByTimeStampsNotByCounting) {
  // Two seconds, half a second lost, then more: the second after the gap begins where it says.
  const Streams streams = ToStreams(Voice(2, 200, 200) + Voice(2.5, 300, 300));
  VoiceExtractor extractor;
  std::vector<VoiceSecond> seconds;
  const auto add = [&](size_t from, size_t n, int64_t pts_us, uint32_t epoch) {
    extractor.Add({.pts_us = pts_us,
                   .epoch = epoch,
                   .mono16k = {streams.mono16k.data() + from, n},
                   .stereo48k = {streams.stereo48k.data() + 6 * from, 6 * n}},
                  &seconds);
  };
  add(0, 32000, 0, 0);
  add(32000, 40000, 2500000, 0);
  extractor.Finish(&seconds);
  ASSERT_EQ(seconds.size(), 5u);
  EXPECT_EQ(seconds[1].cover, 1.0f);
  EXPECT_NEAR(seconds[2].cover, 0.5f, 0.02f);
  EXPECT_NEAR(*seconds[1][F::kF0Median], 200, 1);
  EXPECT_NEAR(*seconds[2][F::kF0Median], 300, 1.5);
  EXPECT_EQ(seconds[4].cover, 1.0f);
  EXPECT_FALSE(seconds[4][F::kLoudnessShortTerm]);  // 2.5 s since the gap
}

TEST(Voice, EpochsNeverMix) {
  const Streams streams = ToStreams(Voice(1.5, 200, 200) + Voice(1.5, 300, 300));
  VoiceExtractor extractor;
  std::vector<VoiceSecond> seconds;
  extractor.Add({.pts_us = 0, .epoch = 3, .mono16k = {streams.mono16k.data(), 24000}}, &seconds);
  extractor.Add({.pts_us = 1500000, .epoch = 4, .mono16k = {streams.mono16k.data() + 24000, 24000}},
                &seconds);
  extractor.Finish(&seconds);
  ASSERT_EQ(seconds.size(), 4u);
  EXPECT_EQ(seconds[1].epoch, 3u);
  EXPECT_EQ(seconds[1].second, 1);
  EXPECT_NEAR(seconds[1].cover, 0.5f, 0.02f);
  EXPECT_NEAR(*seconds[1][F::kF0Median], 200, 1);
  EXPECT_EQ(seconds[2].epoch, 4u);
  EXPECT_EQ(seconds[2].second, 1);
  EXPECT_NEAR(*seconds[2][F::kF0Median], 300, 1.5);
  EXPECT_FALSE(seconds[2][F::kLoudnessMomentary]);  // no stereo was given
}

TEST(Voice, TimeThatJumpsOrStandsDoesNoHarm) {
  const Streams streams = ToStreams(Voice(1, 200, 200));
  VoiceExtractor extractor;
  std::vector<VoiceSecond> seconds;
  for (const int64_t pts : {int64_t{0}, int64_t{500000}, int64_t{-7000000}, int64_t{400000},
                            int64_t{1} << 52, int64_t{-1} * (int64_t{1} << 52), int64_t{3000000}}) {
    extractor.Add({.pts_us = pts, .mono16k = streams.mono16k}, &seconds);
    extractor.AdvanceTo(pts + (int64_t{1} << 50), &seconds);
  }
  extractor.Finish(&seconds);
  EXPECT_LT(seconds.size(), 40u);
}

TEST(Voice, NothingHeardStillMakesSeconds) {
  const Streams streams = ToStreams(Voice(1, 200, 200));
  VoiceExtractor extractor;
  std::vector<VoiceSecond> seconds;
  extractor.Add({.pts_us = 0, .mono16k = streams.mono16k}, &seconds);
  extractor.AdvanceTo(4500000, &seconds);
  ASSERT_EQ(seconds.size(), 4u);
  EXPECT_EQ(seconds[3].cover, 0.0f);
  for (const auto& value : seconds[3].values) EXPECT_FALSE(value);
}

// Bursts of a vowel, four and then six a second.
TEST(Voice, SyllablesOfAKnownRhythm) {
  for (const int rate : {3, 4, 6}) {
    const auto seconds = Listen(ToStreams(Make(6, [&](double t) {
      const double phase = t * rate - std::floor(t * rate);
      const double swell = std::pow(std::sin(std::numbers::pi * phase), 2) + 0.02;
      double sum = 0;
      for (int h = 1; h <= 10; ++h) {
        sum += std::sin(2 * std::numbers::pi * h * (180 * t + 2 * std::sin(5 * t))) / h;
      }
      return 0.1 * swell * sum;
    })));
    EXPECT_NEAR(*seconds[4][F::kSyllableRate5s], rate, 0.25) << rate;
  }
}

// --- the judges: other people's programs, where they are installed

TEST(VoiceJudge, LoudnessOfAProgrammeAgainstFfmpeg) {
  if (!HaveProgram("ffmpeg")) GTEST_SKIP() << "ffmpeg is not installed";
  const ScratchFolder folder;
  const Streams streams = ToStreams(Voice(3, 120, 300, 0.2) + Sine(2, 997, -30) + Sound(48000) +
                                    Voice(4, 250, 90, 0.05) + Sine(3, 500, -12));
  WriteFloats(folder / "in.f32", streams.stereo48k);
  ASSERT_TRUE(RunShell("ffmpeg -nostdin -f f32le -ar 48000 -ac 2 -i " + (folder / "in.f32") +
                       " -af ebur128=metadata=1,ametadata=print:file=" + (folder / "out.txt") +
                       " -f null -"));
  // Lines "frame:N pts:P pts_time:T" and "lavfi.r128.S=V", every 100 ms.
  std::istringstream lines(ReadText(folder / "out.txt"));
  std::vector<double> short_term;  // at the end of second i
  double time = 0;
  for (std::string line; std::getline(lines, line);) {
    if (const size_t at = line.find("pts_time:"); at != std::string::npos) {
      time = std::stod(line.substr(at + 9));
    }
    if (line.rfind("lavfi.r128.S=", 0) == 0 &&
        std::abs(time + 0.1 - std::round(time + 0.1)) < 0.01) {
      short_term.push_back(std::stod(line.substr(13)));
    }
  }
  const auto seconds = Listen(streams);
  ASSERT_EQ(short_term.size(), seconds.size());
  for (size_t s = 2; s < seconds.size(); ++s) {
    EXPECT_NEAR(*seconds[s][F::kLoudnessShortTerm], short_term[s], 0.1) << s;
  }
}

TEST(VoiceJudge, PitchOfSpeechAgainstPraat) {
  for (const char* name : {"ffmpeg", "espeak-ng", "praat"}) {
    if (!HaveProgram(name)) GTEST_SKIP() << name << " is not installed";
  }
  const ScratchFolder folder;
  size_t both = 0, gross = 0, decisions = 0, frames = 0;
  double fine = 0;
  for (const auto& [voice, options] : std::vector<std::pair<std::string, std::string>>{
           {"normal", "-p 50 -s 160"}, {"excited", "-p 85 -s 200"}, {"low", "-p 30 -s 130"}}) {
    ASSERT_TRUE(RunShell("espeak-ng -v en-us " + options + " -w " + (folder / (voice + ".wav")) +
                         " 'Welcome to the show. Today we look at a very good rain coat, and only "
                         "now it is half the "
                         "price. How many are left? Nine hundred, hurry up, my friends.'"));
    ASSERT_TRUE(RunShell("ffmpeg -nostdin -i " + (folder / (voice + ".wav")) +
                         " -ar 16000 -ac 1 -f f32le " + (folder / (voice + ".f32")) +
                         " -ar 16000 -ac 1 " + (folder / (voice + "16.wav"))));
    std::ofstream(folder / "f0.praat")
        << "Read from file: \"" << folder / (voice + "16.wav") << "\"\n"
        << "To Pitch (ac): 0.01, 55, 15, \"no\", 0.03, 0.45, 0.01, 0.35, 0.14, 500\n"
        << "n = Get number of frames\nfor i from 1 to n\n t = Get time from frame number: i\n"
        << " f = Get value in frame: i, \"Hertz\"\n if f = undefined\n  f = 0\n endif\n"
        << " appendInfoLine: fixed$(t, 5), \" \", fixed$(f, 3)\nendfor\n";
    ASSERT_EQ(
        std::system(
            ("praat --run " + (folder / "f0.praat") + " > " + (folder / "praat.txt")).c_str()),
        0);
    const std::vector<float> samples = ReadFloats(folder / (voice + ".f32"));
    VoiceExtractor extractor(true);
    std::vector<VoiceSecond> seconds;
    extractor.Add({.mono16k = samples}, &seconds);
    extractor.Finish(&seconds);
    const std::vector<VoiceFrame> ours = extractor.TakeFrames();
    std::istringstream lines(ReadText(folder / "praat.txt"));
    double time = 0, hz = 0;
    while (lines >> time >> hz) {
      const auto i = static_cast<size_t>(std::lround((time - 0.005) * 100));
      if (i >= ours.size()) continue;
      const double f0 = static_cast<double>(ours[i].f0_hz);
      ++frames;
      decisions += (f0 > 0) != (hz > 0);
      if (f0 <= 0 || hz <= 0) continue;
      ++both;
      const double off = std::abs(f0 / hz - 1);
      gross += off > 0.2;
      if (off <= 0.2) fine += off;
    }
  }
  ASSERT_GT(both, 500u);
  const double gross_share = static_cast<double>(gross) / static_cast<double>(both);
  const double decision_share = static_cast<double>(decisions) / static_cast<double>(frames);
  std::printf("%zu frames: gross %.4f, voicing %.4f, fine %.5f\n", frames, gross_share,
              decision_share, fine / static_cast<double>(both - gross));
  EXPECT_LE(gross_share, 0.01);
  EXPECT_LE(decision_share, 0.15);
}

}  // namespace
}  // namespace heed::media
