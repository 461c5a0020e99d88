// Faces and text in pictures that look like a broadcast, drawn with Debian's fonts and, where it is at hand, a
// packaged portrait (scripts/portrait). Drawing needs Python with Pillow and numpy; without them, and
// without the portrait, tests skip and say so.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/random.h"
#include "media/moments.h"
#include "media/picture.h"
#include "media/sound_for_test.h"
#include "media/test_frames.h"

namespace heed::media {
namespace {

namespace fs = std::filesystem;
constexpr int kWidth = 960, kHeight = 540;

std::string Environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): tests are one thread
  return value == nullptr ? "" : value;
}

// With astronaut.png and coffee.png; "" when there is none.
std::string PortraitFolder() {
  for (const std::string& folder :
       {Environment("HEED_PORTRAIT"), Environment("HEED_SOURCE_DIR") + "/build/portrait",
        std::string("/usr/lib/python3/dist-packages/skimage/data")})
    if (!folder.empty() && fs::exists(folder + "/astronaut.png")) return folder;
  return "";
}

class Scenes : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new fs::path(fs::temp_directory_path() / ("heed_scenes_" + std::to_string(getpid())));
    fs::create_directory(*folder_);
    const std::string command = "/usr/bin/python3 " + Environment("HEED_SOURCE_DIR") +
                                "/src/media/draw_scenes.py " + folder_->string() + " " +
                                PortraitFolder() + " 2> " + (*folder_ / "errors").string();
    drawn_ = std::system(command.c_str()) == 0;  // NOLINT(concurrency-mt-unsafe)
  }
  static void TearDownTestSuite() {
    fs::remove_all(*folder_);
    delete folder_;
  }
  void SetUp() override {
    if (!drawn_)
      GTEST_SKIP() << "scenes cannot be drawn (python3-pil, python3-numpy, fonts-wqy-zenhei, "
                      "fonts-wqy-microhei, fonts-dejavu-core): "
                   << ReadWholeFile((*folder_ / "errors").string()).value();
  }

  static std::vector<Picture> Pictures(const char* name) {
    std::ifstream in(*folder_ / name, std::ios::binary);
    std::vector<Picture> out;
    for (;;) {
      Picture picture(kWidth, kHeight);
      const auto read = [&](std::vector<uint8_t>* plane) {
        in.read(reinterpret_cast<char*>(plane->data()),
                static_cast<std::streamsize>(plane->size()));
      };
      read(&picture.y), read(&picture.u), read(&picture.v);
      if (!in) return out;
      out.push_back(std::move(picture));
    }
  }
  static std::vector<std::vector<std::string>> Rows(const char* name) {
    std::ifstream in(*folder_ / name);
    std::vector<std::vector<std::string>> out;
    for (std::string line; std::getline(in, line);) {
      std::istringstream fields(line);
      out.emplace_back();
      for (std::string field; std::getline(fields, field, '\t');) out.back().push_back(field);
    }
    return out;
  }
  // Shown for three seconds: two looks at the text.
  static PictureSecond Shown(PictureExtractor* extractor, const Picture& picture, uint32_t epoch) {
    std::vector<PictureSecond> seconds;
    for (const int64_t pts_us : {0, 1'000'000, 2'000'000})
      EXPECT_TRUE(extractor->Add(picture.At(pts_us, epoch), &seconds).ok());
    extractor->Finish(&seconds);
    return seconds.back();
  }

  static fs::path* folder_;
  static bool drawn_;
};
fs::path* Scenes::folder_ = nullptr;
bool Scenes::drawn_ = false;

std::string Digits(const std::string& text) {
  std::string out;
  std::copy_if(text.begin(), text.end(), std::back_inserter(out),
               [](char c) { return c >= '0' && c <= '9'; });
  return out;
}

// Longest common subsequence: digits read that are the drawn ones, in their order.
size_t Common(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (const char x : a) {
    size_t corner = 0;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = x == b[j - 1] ? corner + 1 : std::max(row[j], row[j - 1]);
      corner = above;
    }
  }
  return row.back();
}

TEST_F(Scenes, PriceTagsAreRead) {
  PictureConfig config;
  config.faces = false;
  PictureExtractor extractor(config);
  if (!extractor.has_text()) GTEST_SKIP() << "no tesseract-ocr-chi-sim, tesseract-ocr-eng";
  const std::vector<Picture> pictures = Pictures("tags.i420");
  const auto truth = Rows("tags.tsv");
  ASSERT_EQ(pictures.size(), truth.size());
  size_t drawn = 0, read = 0, right = 0, prices = 0, wrong = 0, stocks = 0, stocked = 0;
  for (size_t i = 0; i < pictures.size(); ++i) {
    const PictureSecond second = Shown(&extractor, pictures[i], static_cast<uint32_t>(i));
    const std::string got = Digits(second.screen_text);
    // Lines are read in the order they stand in; a lost line only loses its digits.
    drawn += Digits(truth[i][2]).size();
    read += got.size();
    right += Common(got, Digits(truth[i][2]));
    const auto price = second.values.Get(Feature::kOcrPrice);
    if (price) {
      (std::abs(*price - std::stof(truth[i][0])) < 0.005f ? prices : wrong) += 1;
    }
    if (!truth[i][1].empty()) {
      ++stocked;
      stocks += second.values.Get(Feature::kOcrStock) == std::stof(truth[i][1]) ? 1 : 0;
    }
  }
  RecordProperty("digits_read_right", std::to_string(right) + "/" + std::to_string(read));
  EXPECT_GE(static_cast<double>(right), 0.95 * static_cast<double>(read)) << read << " read";
  EXPECT_GE(static_cast<double>(right), 0.90 * static_cast<double>(drawn)) << drawn << " drawn";
  EXPECT_GE(static_cast<double>(prices), 0.9 * static_cast<double>(pictures.size()))
      << "of " << pictures.size();
  EXPECT_LE(wrong, 1u) << "a wrong price is worse than none";
  EXPECT_GE(static_cast<double>(stocks), 0.9 * static_cast<double>(stocked)) << "of " << stocked;
}

TEST_F(Scenes, WithoutTextThereIsNoPriceAndWithoutAFaceNoFace) {
  PictureExtractor extractor({});
  const std::vector<Picture> pictures = Pictures("plain.i420");
  ASSERT_EQ(pictures.size(), 24u);
  for (size_t i = 0; i < pictures.size(); ++i) {
    const PictureSecond second = Shown(&extractor, pictures[i], static_cast<uint32_t>(i));
    EXPECT_FALSE(second.values.Get(Feature::kOcrPrice)) << i << ": " << second.screen_text;
    EXPECT_FALSE(second.values.Get(Feature::kOcrStock)) << i << ": " << second.screen_text;
    EXPECT_EQ(second.values.Get(Feature::kFacePresent).value_or(0), 0) << i;
  }
}

TEST_F(Scenes, AShowIsMeasuredAsItWasDrawn) {
  if (PortraitFolder().empty())
    GTEST_SKIP() << "no portrait: scripts/portrait fetches it, or HEED_PORTRAIT names its folder";
  const std::vector<Picture> pictures = Pictures("show.i420");
  ASSERT_EQ(pictures.size(), 100u);
  std::map<int64_t, std::pair<std::vector<float>, std::vector<float>>> faces;  // by second: x, y
  for (const auto& row : Rows("portrait.tsv")) {
    auto& [x, y] = faces[static_cast<int64_t>(std::stod(row[0]))];
    x.push_back(std::stof(row[1])), y.push_back(std::stof(row[2]));
  }
  const auto mean = [](const std::vector<float>& values) {
    float sum = 0;
    for (const float value : values) sum += value;
    return sum / static_cast<float>(values.size());
  };

  std::vector<PictureSecond> runs[2];
  for (auto& seconds : runs) {
    PictureExtractor extractor({});
    ASSERT_TRUE(extractor.has_faces()) << "package opencv-data";
    for (size_t i = 0; i < pictures.size(); ++i)
      ASSERT_TRUE(extractor.Add(pictures[i].At(static_cast<int64_t>(i) * 200'000), &seconds).ok());
    extractor.Finish(&seconds);
  }
  const std::vector<PictureSecond>& seconds = runs[0];
  ASSERT_EQ(seconds.size(), 20u);
  size_t found = 0;
  std::vector<int64_t> cuts;
  for (size_t s = 0; s < seconds.size(); ++s) {
    const MomentValues& v = seconds[s].values;
    EXPECT_EQ(v, runs[1][s].values) << s;  // the same pictures, the same record
    EXPECT_EQ(seconds[s].screen_text, runs[1][s].screen_text) << s;
    if (v.Get(Feature::kCut) == 1.0f) cuts.push_back(seconds[s].second);
    EXPECT_LE(v.Get(Feature::kCut).value_or(0), 1) << s;
    const auto truth = faces.find(seconds[s].second);
    const bool whole =
        truth != faces.end() && truth->second.first.size() == 5 && v.Get(Feature::kCut) == 0.0f;
    if (whole && *v.Get(Feature::kFacePresent) > 0) {
      ++found;
      EXPECT_NEAR(*v.Get(Feature::kFaceX), mean(truth->second.first), 0.02) << s;
      EXPECT_NEAR(*v.Get(Feature::kFaceY), mean(truth->second.second), 0.02) << s;
      EXPECT_EQ(std::lround(*v.Get(Feature::kFaceCount) / *v.Get(Feature::kFacePresent)), 1) << s;
    } else if (truth == faces.end()) {
      EXPECT_EQ(v.Get(Feature::kFacePresent), 0.0f) << "a face on the product, second " << s;
    }
  }
  EXPECT_EQ(cuts, (std::vector<int64_t>{5, 10, 16}));
  EXPECT_EQ(found, 12u) << "of the 12 seconds that show the face throughout";
  EXPECT_LT(*seconds[18].values.Get(Feature::kBrightness),
            0.75f * *seconds[2].values.Get(Feature::kBrightness));
  EXPECT_EQ(seconds[14].values.Get(Feature::kOcrPrice), 99.0f) << seconds[14].screen_text;
  EXPECT_EQ(seconds[14].values.Get(Feature::kOcrStock), 50.0f) << seconds[14].screen_text;
  EXPECT_FALSE(seconds[4].values.Get(Feature::kOcrPrice)) << seconds[4].screen_text;
}

// As a camera in a hand shows it: some pixels further at every look, with its sensor's noise.
TEST_F(Scenes, ATagUnderAMovingCameraIsBelieved) {
  if (PortraitFolder().empty())
    GTEST_SKIP() << "no portrait: scripts/portrait fetches it, or HEED_PORTRAIT names its folder";
  const Picture still = Pictures("show.i420")[60];  // a product and its tag
  PictureConfig config;
  config.faces = false;
  PictureExtractor extractor(config);
  if (!extractor.has_text()) GTEST_SKIP() << "no tesseract-ocr-chi-sim, tesseract-ocr-eng";
  Random random(2);
  std::vector<PictureSecond> seconds;
  int64_t pts_us = 0;
  for (const auto& [dx, dy] :
       {std::pair(0, 0), std::pair(3, -2), std::pair(-4, 3), std::pair(5, 1)}) {
    Picture moved = still;
    for (int y = 0; y < kHeight; ++y) {
      for (int x = 0; x < kWidth; ++x) {
        const int from =
            std::clamp(y + dy, 0, kHeight - 1) * kWidth + std::clamp(x + dx, 0, kWidth - 1);
        const double noisy = still.y[static_cast<size_t>(from)] + random.Uniform(-6, 6);
        moved.y[static_cast<size_t>(y * kWidth + x)] =
            static_cast<uint8_t>(std::clamp(noisy, 0.0, 255.0));
      }
    }
    ASSERT_TRUE(extractor.Add(moved.At(pts_us), &seconds).ok());
    pts_us += 2'000'000;
  }
  extractor.Finish(&seconds);
  ASSERT_EQ(seconds.size(), 7u);
  EXPECT_FALSE(seconds[0].values.Get(Feature::kOcrPrice)) << "read once";
  for (const size_t at : {size_t{2}, size_t{4}, size_t{6}}) {
    EXPECT_EQ(seconds[at].values.Get(Feature::kOcrPrice), 99.0f) << at << seconds[at].screen_text;
    EXPECT_EQ(seconds[at].values.Get(Feature::kOcrStock), 50.0f) << at << seconds[at].screen_text;
  }
}

TEST_F(Scenes, APictureOfAnotherSizeIsNoDangerToAFollowedFace) {
  if (PortraitFolder().empty())
    GTEST_SKIP() << "no portrait: scripts/portrait fetches it, or HEED_PORTRAIT names its folder";
  const std::vector<Picture> pictures = Pictures("show.i420");
  PictureExtractor extractor({});
  std::vector<PictureSecond> seconds;
  for (int i = 0; i < 10; ++i)
    ASSERT_TRUE(extractor.Add(pictures[0].At(i * 200'000), &seconds).ok());
  for (int i = 10; i < 15; ++i)
    ASSERT_TRUE(extractor.Add(Picture(96, 54, uint8_t{90}).At(i * 200'000), &seconds).ok());
  extractor.Finish(&seconds);
  ASSERT_EQ(seconds.size(), 3u);
  EXPECT_EQ(seconds[1].values.Get(Feature::kFacePresent), 1.0f);
  EXPECT_EQ(seconds[2].values.Get(Feature::kFacePresent), 0.0f);
}

// Through the real decoder, with all that is measured. Containers keep time to their own precision and shift sound by up to
// an AAC frame: the bounds are those of one encoder's delay, not of the measuring.
std::vector<Moment> Watched(const std::string& path) {
  std::vector<Moment> moments;
  MomentBuilder builder({}, [&](const Moment& moment) { moments.push_back(moment); });
  const std::atomic<bool> stop{false};
  const Status status =
      Decode({.input = path, .program = HEED_DECODER_PROGRAM}, builder.Sink(), stop);
  builder.Finish();
  EXPECT_TRUE(status.ok()) << path << ": " << status.ToString();
  return moments;
}

TEST_F(Scenes, AShowIsTheSameInEveryContainer) {
  if (PortraitFolder().empty())
    GTEST_SKIP() << "no portrait: scripts/portrait fetches it, or HEED_PORTRAIT names its folder";
  if (!HaveProgram("ffmpeg")) GTEST_SKIP() << "ffmpeg is not installed";
  Sound sound = Voice(4.5, 200, 200) + Sound(24000) + Voice(4, 240, 240, 0.05) + Sound(24000) +
                Voice(4.5, 130, 130);
  // A room's noise: between bare harmonics there is nothing but what the sound encoder leaves.
  Random random(3);
  for (float& sample : sound) sample += static_cast<float>(random.Uniform(-0.01, 0.01));
  WriteFloats(*folder_ / "sound.f32", ToStreams(sound).stereo48k);
  const std::string in = "cd " + folder_->string() + " && ffmpeg -nostdin -y ";
  ASSERT_TRUE(
      RunShell(in +
               "-f rawvideo -pix_fmt yuv420p -s 960x540 -r 5 -ss 6 -i show.i420 -f f32le -ar "
               "48000 -ac 2 -i sound.f32 -r 10 -threads 1 -c:v libx264 -preset veryfast -crf 20 -g "
               "20 -c:a aac -b:a 192k show.mp4"));
  std::vector<std::vector<Moment>> all;
  for (const char* name : {"show.mp4", "show.flv", "show.ts"}) {
    if (!all.empty()) {
      ASSERT_TRUE(RunShell(in + "-i show.mp4 -c copy " + name)) << name;
    }
    all.push_back(Watched(*folder_ / name));
    ASSERT_GE(all.back().size(), 14u) << name;
  }
  constexpr size_t kFirst = 1, kLast = 13;  // whole in every container
  size_t prices = 0, faces = 0, cuts = 0;
  for (size_t s = kFirst; s < kLast; ++s) {
    const Moment& a = all[0][s];
    prices += a.values.Get(Feature::kOcrPrice) == 99.0f ? 1 : 0;
    faces += a.values.Get(Feature::kFacePresent) == 1.0f ? 1 : 0;
    cuts += a.values.Get(Feature::kCut) == 1.0f ? 1 : 0;
    for (const std::vector<Moment>& other : all) {
      const Moment& b = other[s];
      EXPECT_EQ(a.second, b.second);
      EXPECT_EQ(b.epoch, 0u);
      EXPECT_EQ(a.frames, b.frames) << s;
      EXPECT_EQ(a.screen_text, b.screen_text) << s;
      for (const Feature same : {Feature::kFacePresent, Feature::kFaceCount, Feature::kCut,
                                 Feature::kOcrPrice, Feature::kOcrStock})
        EXPECT_EQ(a.values.Get(same), b.values.Get(same)) << InfoOf(same).name << ' ' << s;
      const auto loudness = FeatureOf(VoiceFeature::kLoudnessShortTerm);
      ASSERT_EQ(a.values.Get(loudness).has_value(), b.values.Get(loudness).has_value()) << s;
      if (a.values.Get(loudness)) {
        EXPECT_NEAR(*a.values.Get(loudness), *b.values.Get(loudness), 0.2) << s;
      }
    }
  }
  EXPECT_GE(prices, 3u);
  EXPECT_GE(faces, 5u);
  EXPECT_EQ(cuts, 2u);
  for (const MomentFeatureInfo& info : Features()) {
    for (const std::vector<Moment>& other : all) {
      std::vector<float> apart;  // of what is allowed: 0.5 %, or what is no difference anyway
      for (size_t s = kFirst; s < kLast; ++s) {
        const auto a = all[0][s].values.Get(info.feature), b = other[s].values.Get(info.feature);
        EXPECT_EQ(a.has_value(), b.has_value()) << info.name << ' ' << s;
        if (a && b)
          apart.push_back(std::abs(*a - *b) / std::max(0.005f * std::abs(*a), info.resolution));
      }
      if (apart.empty()) continue;
      const auto middle = apart.begin() + static_cast<ptrdiff_t>(apart.size() / 2);
      std::nth_element(apart.begin(), middle, apart.end());
      EXPECT_LE(*middle, 1) << info.name;
    }
  }
}

}  // namespace
}  // namespace heed::media
