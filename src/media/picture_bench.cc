// Cost of the picture, one second of a broadcast (five pictures of 960 x 540) an iteration: its CPU time in seconds is
// the share of a core that a room takes.
#include <benchmark/benchmark.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "media/picture.h"
#include "media/running_norm.h"
#include "media/test_frames.h"

namespace heed::media {
namespace {

// A textured ground with sensor noise that moves by two pixels a picture.
std::vector<Picture> Seconds() {
  std::vector<Picture> out;
  Random random(1);
  for (int i = 0; i < 5; ++i)
    out.emplace_back(960, 540, [&](int x, int y) {
      const double light = 120 + 50 * std::sin((x + 2 * i) / 37.0 + std::sin(y / 29.0)) +
                           30 * std::cos(y / 17.0) + random.Uniform(-6, 6);
      return static_cast<int>(light);
    });
  return out;
}

void Run(benchmark::State& state, const PictureConfig& config) {
  static const std::vector<Picture> kPictures = Seconds();
  PictureExtractor extractor(config);
  if ((config.faces && !extractor.has_faces()) || (config.text && !extractor.has_text())) {
    state.SkipWithError("opencv-data, tesseract-ocr-chi-sim or tesseract-ocr-eng is missing");
    return;
  }
  std::vector<PictureSecond> seconds;
  int64_t pts_us = 0;
  for (auto _ : state) {
    for (const Picture& picture : kPictures) {
      if (!extractor.Add(picture.At(pts_us), &seconds).ok()) state.SkipWithError("refused");
      pts_us += 200'000;
    }
    seconds.clear();
  }
}

void BM_PictureSecond(benchmark::State& state) {
  PictureConfig config;
  config.faces = state.range(0) > 0;
  config.text = state.range(0) > 1;
  Run(state, config);
}
BENCHMARK(BM_PictureSecond)
    ->ArgName("parts")
    ->Arg(0)  // light, motion, cuts
    ->Arg(1)  // and faces
    ->Arg(2)  // and text
    ->Unit(benchmark::kMillisecond);

void BM_RunningNorm(benchmark::State& state) {
  RunningNorm norm;
  Random random(1);
  Moment record;
  const auto draw = [&] {
    record.values = {};
    for (const MomentFeatureInfo& info : Features())
      record.values.Set(info.feature, random.Uniform(info.low, info.high));
  };
  for (int i = 0; i < 600; ++i) draw(), norm.Apply(&record);
  for (auto _ : state) {
    draw();
    norm.Apply(&record);
  }
}
BENCHMARK(BM_RunningNorm)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace heed::media
