// heed watch: a broadcast or a recording, measured second by second.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "media/moment_file.h"
#include "media/moments.h"

namespace heed::cli {
namespace {

using media::Feature;
using media::Moment;
using media::VoiceFeature;

struct Options {
  media::DecoderOptions decoder;
  media::MomentOptions moments;
  bool no_picture = false, json = false;
};

struct Row {
  const char* label;
  Feature feature;
  float low, high;  // of the curve
};
constexpr Feature Voice(VoiceFeature feature) { return media::FeatureOf(feature); }
constexpr std::array<Row, 12> kRows = {
    {{"loudness", Voice(VoiceFeature::kLoudnessMomentary), -50, -5},
     {"pitch", Voice(VoiceFeature::kF0Median), 60, 400},
     {"pitch range", Voice(VoiceFeature::kF0Range), 0, 12},
     {"speech", Voice(VoiceFeature::kActive), 0, 1},
     {"syllables", Voice(VoiceFeature::kSyllableRate5s), 0, 8},
     {"longest pause", Voice(VoiceFeature::kPauseMax), 0, 1},
     {"music", Voice(VoiceFeature::kMusicLikely), 0, 1},
     {"face", Feature::kFacePresent, 0, 1},
     {"motion", Feature::kMotion, 0, 30},
     {"cuts", Feature::kCut, 0, 3},
     {"close-up", Feature::kCloseupProxy, 0, 1},
     {"price shown", Feature::kOcrPrice, 0, 500}}};

// One character a second for the last minute, redrawn in place; one line a second where standard output
// is no terminal.
class View {
 public:
  View() : terminal_(isatty(STDOUT_FILENO) == 1) {}

  void Show(const Moment& moment) {
    if (!terminal_) return Line(moment);
    history_.push_back(moment);
    if (history_.size() > 60) history_.pop_front();
    if (drawn_) std::printf("\x1b[%zuA", kRows.size() + 1);
    drawn_ = true;
    std::printf("\r\x1b[K%s  epoch %u  pictures %u/s (%s)  lag %.1f s\n", TimeOf(moment).c_str(),
                moment.epoch, moment.frames, moment.mode.c_str(),
                static_cast<double>(moment.lag_ms) / 1e3);
    for (const Row& row : kRows) {
      std::printf("\r\x1b[K%-14s %14s  %s\n", row.label, Value(moment, row.feature).c_str(),
                  Curve(row).c_str());
    }
    std::fflush(stdout);
  }

 private:
  static std::string TimeOf(const Moment& moment) {
    return fmt::format("{:02}:{:02}:{:02}", moment.second / 3600, moment.second / 60 % 60,
                       moment.second % 60);
  }
  static std::string Value(const Moment& moment, Feature feature) {
    const std::optional<float> value = moment.values.Get(feature);
    return value ? fmt::format("{:.4g} {}", *value, media::InfoOf(feature).unit) : "-";
  }
  std::string Curve(const Row& row) const {
    static constexpr std::array<const char*, 8> kBars = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    std::string curve;
    for (const Moment& moment : history_) {
      const std::optional<float> value = moment.values.Get(row.feature);
      if (!value) {
        curve += ' ';
        continue;
      }
      const float part = std::clamp((*value - row.low) / (row.high - row.low), 0.0f, 1.0f);
      curve += kBars[static_cast<size_t>(std::lround(part * 7))];
    }
    return curve;
  }
  static void Line(const Moment& moment) {
    std::string line = TimeOf(moment);
    for (const Row& row : kRows) {
      line += fmt::format("  {} {}", row.label, Value(moment, row.feature));
    }
    std::printf("%s  pictures %u\n", line.c_str(), moment.frames);
    std::fflush(stdout);
  }

  const bool terminal_;
  bool drawn_ = false;
  std::deque<Moment> history_;
};

void Tell(const media::DecoderEvent& event) {
  using Kind = media::DecoderEvent::Kind;
  std::string text;
  if (event.kind == Kind::kOpened) {
    const media::StreamInfo& stream = event.stream;
    text =
        fmt::format("opened: picture {} {}x{}, sound {}",
                    stream.video_codec[0] == 0 ? "none" : stream.video_codec.data(), stream.width,
                    stream.height, stream.audio_codec[0] == 0 ? "none" : stream.audio_codec.data());
  } else if (event.kind == Kind::kMode) {
    text = fmt::format("picture: {} at a lag of {:.1f} s", PictureModeName(event.mode),
                       static_cast<double>(event.lag_us) / 1e6);
  } else {
    text = fmt::format("broken off: {}; trying again in {:.1f} s", event.reason,
                       event.retry_ms / 1000.0);
  }
  std::fprintf(stderr, "heed: epoch %u: %s\n", event.epoch, text.c_str());
}

int Watch(Options& options) {
  WatchForStop();
  options.decoder.picture = !options.no_picture;
  if (options.no_picture) options.moments.picture.faces = options.moments.picture.text = false;
  const bool live = media::IsUrl(options.decoder.input);
  View view;
  media::MomentBuilder moments(options.moments, [&](const Moment& measured) {
    Moment moment = measured;
    if (live) moment.wall_ms = Clock::System().now_ms();
    if (!options.json) return view.Show(moment);
    std::printf("%s\n", MomentToJson(moment).c_str());
    std::fflush(stdout);
  });
  media::MediaSink sink = moments.Sink();
  const auto event = sink.event;
  sink.event = [&](const media::DecoderEvent& e) {
    // The view would be torn by it.
    if (options.json || isatty(STDOUT_FILENO) != 1) Tell(e);
    event(e);
  };
  const Status status = media::Decode(options.decoder, sink, *StopFlag());
  moments.Finish();
  if (!status.ok()) return Fail(status);
  return StopRequested() ? kStopped : 0;
}

}  // namespace

void AddWatch(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("watch", "Measure a broadcast, a recording or a file of comments");
  command->footer(
      "Examples:\n  heed watch show.mp4                          curves in the terminal\n"
      "  heed watch comments evening.jsonl            what the room asks\n"
      "  heed watch https://host/live.flv --json > moments.jsonl\n"
      "  heed watch rtmp://10.1.2.3/live/room1 --allow 10.1.0.0/16\n"
      "Files, HLS, HTTP-FLV, RTMP and MPEG-TS. The media are read by heed-decoder, another "
      "program\n"
      "with no rights. A URL may lead to public addresses only, unless --allow names a network. "
      "What\n"
      "was not measured is null. docs/broadcast.md explains every number.");
  command->add_option("input", options->decoder.input, "File or URL");
  command->add_option("--allow", options->decoder.allowed_networks,
                      "A network that URLs may lead to besides public ones (10.1.0.0/16)");
  command->add_flag("--no-picture", options->no_picture, "Only the sound");
  command->add_flag("--arousal", options->moments.arousal.enabled,
                    "Also the arousal proxy; read docs/broadcast.md first");
  command->add_flag("--smile", options->moments.picture.smile,
                    "Also the smile proxy; read docs/broadcast-law.md first");
  command->add_option("--room", options->moments.room, "The room's id, for the records");
  command
      ->add_option("--read-ms", options->decoder.read_ms,
                   "A stream that is silent for so long is taken up anew")
      ->check(CLI::Range(100, 600000))
      ->capture_default_str();
  command
      ->add_option("--give-up-ms", options->decoder.give_up_ms,
                   "End when a stream was away for so long; 0: never")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_flag("--json", options->json, "One JSON object a second");
  AddWatchComments(*command, exit_code);
  command->callback([options, command, exit_code] {
    if (!command->get_subcommands().empty()) return;
    if (options->decoder.input.empty()) throw CLI::RequiredError("input");
    *exit_code = Watch(*options);
  });
}

}  // namespace heed::cli
