// What a second of a broadcast costs, as the share of one core: CPU time of this process and of the
// decoder, over the length of the media. The media are made by ffmpeg (H.264 of 2.5 and 5 Mbit/s, 30
// pictures a second, AAC).
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include "media/moments.h"
#include "media/sound_for_test.h"

namespace heed::media {
namespace {

constexpr int kSeconds = 20;

double Cpu(int who) {
  rusage usage{};
  getrusage(who, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void MeasureVoice(benchmark::State& state) {
  const Streams streams = ToStreams(Voice(10, 120, 300));
  for (auto _ : state) benchmark::DoNotOptimize(Listen(streams));
  state.counters["core"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * 10,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(MeasureVoice)->Unit(benchmark::kMillisecond);

// Decoding and measuring, sound and pictures, faces and text too where this machine has their files.
void Watch(benchmark::State& state, const char* size, const char* rate, bool picture) {
  if (!HaveProgram("ffmpeg")) return state.SkipWithError("ffmpeg is not installed");
  const ScratchFolder folder;
  const std::string length = std::to_string(kSeconds);
  if (!RunShell("ffmpeg -nostdin -f lavfi -i testsrc2=s=" + std::string(size) +
                ":r=30:d=" + length + ",noise=alls=12:allf=t -f lavfi -i sine=f=200:d=" + length +
                " -c:v libx264 -preset veryfast -b:v " + rate + " -g 60 -c:a aac " +
                (folder / "show.ts"))) {
    return state.SkipWithError("ffmpeg could not make the media");
  }
  double core = 0;
  for (auto _ : state) {
    const double before = Cpu(RUSAGE_SELF) + Cpu(RUSAGE_CHILDREN);
    MomentBuilder moments({}, [](const Moment& moment) { benchmark::DoNotOptimize(moment); });
    const std::atomic<bool> stop{false};
    const Status status =
        Decode({.input = folder / "show.ts", .picture = picture, .program = HEED_DECODER_PROGRAM},
               moments.Sink(), stop);
    moments.Finish();
    if (!status.ok()) return state.SkipWithError(status.ToString().c_str());
    core += (Cpu(RUSAGE_SELF) + Cpu(RUSAGE_CHILDREN) - before) / kSeconds;
  }
  state.counters["core"] = core / static_cast<double>(state.iterations());
}
BENCHMARK_CAPTURE(Watch, sound_only, "1280x720", "2500k", false)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Watch, 720p30, "1280x720", "2500k", true)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Watch, 1080p30, "1920x1080", "5000k", true)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace heed::media
