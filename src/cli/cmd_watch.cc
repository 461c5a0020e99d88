// heed watch: a broadcast or a recording, measured second by second.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/moment_recorder.h"
#include "cli/moment_view.h"
#include "cli/progress.h"
#include "cli/second_encoder.h"
#include "media/encoder.h"
#include "media/moment_file.h"
#include "media/moments.h"
#include "server/moment_feed.h"

namespace heed::cli {
namespace {

using media::Moment;

constexpr int64_t kFinishMs = 5'000;  // for what waits at the end to be sent

struct Options {
  media::DecoderOptions decoder;
  media::MomentOptions moments;
  std::string to = "http://127.0.0.1:7600", key;
  std::string record;
  std::string encoder;  // FILE[:NAME]; empty: none
  media::EncoderOptions encoding;
  double speed = 1;
  bool no_picture = false, json = false;
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

// Of a width that no terminal wraps.
std::string FeedLine(const server::MomentFeedCounts& counts) {
  std::string line = fmt::format("engine: {} sent", counts.taken);
  if (counts.waiting > 1) line += fmt::format(", {} wait", counts.waiting);
  if (counts.refused + counts.dropped > 0)
    line += fmt::format(", {} refused or dropped", counts.refused + counts.dropped);
  if (!counts.trouble.empty()) line += "; " + counts.trouble;
  size_t end = std::min<size_t>(line.size(), 79);
  while (end < line.size() && (static_cast<uint8_t>(line[end]) & 0xC0) == 0x80) --end;
  return line.substr(0, end);
}

// Shows a recording as fast as it happened, and says when that is.
class Pace {
 public:
  explicit Pace(double speed) : speed_(speed) {}

  // Waits until `second` would be over; the clock's time of that.
  int64_t Await(int64_t second) {
    if (!first_) first_ = second;
    const auto due_us = started_us_ + static_cast<int64_t>(
                                          static_cast<double>(second + 1 - *first_) * 1e6 / speed_);
    while (Clock::System().steady_us() < due_us && !StopRequested()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return started_ms_ + (due_us - started_us_) / 1000;
  }

 private:
  const double speed_;
  const int64_t started_us_ = Clock::System().steady_us(), started_ms_ = Clock::System().now_ms();
  std::optional<int64_t> first_;
};

Result<std::unique_ptr<media::Encoder>> OpenEncoder(const Options& options) {
  if (options.moments.room.empty() || options.to == "none") {
    return InvalidArgument("--encoder needs --room: its vectors go to the engine");
  }
  if (options.no_picture) return InvalidArgument("--encoder needs the picture");
  if (options.speed == 0) {
    return InvalidArgument("--encoder needs a --speed: vectors are placed by the clock");
  }
  media::EncoderOptions encoding = options.encoding;
  const size_t colon = options.encoder.rfind(':');
  encoding.file = options.encoder.substr(0, colon);
  if (colon != std::string::npos) encoding.id = options.encoder.substr(colon + 1);
  return media::Encoder::Open(encoding);
}

// What the engine got. kUnavailable where it did not get everything.
Status FinishFeed(const Options& options, const char* what, server::MomentFeed* feed) {
  const server::MomentFeedCounts counts = feed->Finish(kFinishMs);
  std::fprintf(stderr, "heed: room %s: %llu %s sent to %s\n", options.moments.room.c_str(),
               static_cast<unsigned long long>(counts.taken), what, options.to.c_str());
  if (counts.refused + counts.dropped + counts.waiting == 0) return {};
  return {Code::kUnavailable,
          fmt::format("the engine did not get all {}: {} refused by it, {} dropped as over "
                      "{} waited, {} not sent in time{}{}",
                      what, counts.refused, counts.dropped, server::MomentFeedOptions().max_waiting,
                      counts.waiting,
                      counts.trouble.empty() ? "" : "; the last time: ", counts.trouble)};
}

int Watch(Options& options) {
  WatchForStop();
  options.decoder.picture = !options.no_picture;
  if (options.no_picture) options.moments.picture.faces = options.moments.picture.text = false;
  const bool live = media::IsUrl(options.decoder.input);
  const bool drawn = !options.json && isatty(STDOUT_FILENO) == 1;  // other words would tear it
  std::optional<MomentRecorder> recorder;
  if (!options.record.empty()) {
    Result<MomentRecorder> opened = MomentRecorder::Open(options.record);
    if (!opened.ok()) return Fail(opened.status());
    recorder.emplace(std::move(opened).value());
  }
  std::optional<SecondEncoder> encoding;
  std::optional<server::FeedEncoder> encoder;
  if (!options.encoder.empty()) {
    // Before there is another thread: it forks.
    auto opened = OpenEncoder(options);
    if (!opened.ok()) return Fail(opened.status());
    const media::EncoderInfo& info = opened.value()->info();
    encoder = server::FeedEncoder{
        .id = info.id, .modality = std::string(ModalityName(info.modality)), .dim = info.dim};
    encoding.emplace(std::move(opened).value(), live);
  }
  std::unique_ptr<server::MomentFeed> feed, vectors;
  if (!options.moments.room.empty() && options.to != "none") {
    server::MomentFeedOptions to;
    to.room = options.moments.room, to.to = options.to, to.key = options.key;
    if (!drawn) {
      to.tell = [](const std::string& what) { std::fprintf(stderr, "heed: %s\n", what.c_str()); };
    }
    auto started = server::MomentFeed::Start(to);
    if (!started.ok()) return Fail(started.status().Within("--to"));
    feed = std::move(started).value();
    to.encoder = encoder;
    if (encoder) vectors = server::MomentFeed::Start(to).value();  // as checked as the first
  }
  std::optional<Pace> pace;
  if (feed != nullptr && !live && options.speed > 0) pace.emplace(options.speed);
  MomentView view;
  media::MomentBuilder moments(options.moments, [&](const Moment& measured) {
    Moment moment = measured;
    if (live) moment.wall_ms = Clock::System().now_ms();
    if (pace) moment.wall_ms = pace->Await(moment.second);
    if (recorder) recorder->Add(moment);
    const std::string line = options.json || feed != nullptr ? MomentToJson(moment) : "";
    if (feed != nullptr) feed->Add(line);
    if (encoding) {
      if (const auto vector = encoding->Take(moment.epoch, moment.second))
        vectors->Add(server::EmbeddingItem(moment.wall_ms - 1'000, *vector));
    }
    if (options.json) {
      std::printf("%s\n", line.c_str());
      std::fflush(stdout);
    } else {
      view.Show(moment, feed == nullptr ? "" : FeedLine(feed->counts()));
    }
  });
  media::MediaSink sink = moments.Sink();
  const auto event = sink.event;
  sink.event = [&](const media::DecoderEvent& e) {
    if (!drawn) Tell(e);
    event(e);
  };
  const auto video = sink.video;
  if (encoding) {
    sink.video = [&](const media::VideoFrame& frame) {
      encoding->See(frame);
      video(frame);
    };
  }
  const Status status = media::Decode(options.decoder, sink, *StopFlag());
  moments.Finish();
  Status fed, sent;
  if (feed != nullptr) fed = FinishFeed(options, "moments", feed.get());
  if (vectors != nullptr) sent = FinishFeed(options, "vectors", vectors.get());
  for (const Status& each : {status, recorder ? recorder->status() : Status(), fed, sent}) {
    if (!each.ok()) return Fail(each);
  }
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
      "  heed watch https://host/live.flv --room r1   also feeds room r1 of the engine that runs "
      "here\n"
      "  heed watch show.mp4 --record show.mom        a file of moments\n"
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
  CLI::Option* room = command->add_option(
      "--room", options->moments.room,
      "The room's id: its moments go to the engine at --to, a recording's as fast as it happened");
  command->add_option("--to", options->to, "Where heed serve listens; none: only name the room")
      ->needs(room)
      ->capture_default_str();
  command->add_option("--key", options->key, "An API key with the scope rooms:write")
      ->envname("HEED_KEY");
  command
      ->add_option("--speed", options->speed,
                   "Of a recording that feeds an engine, times as fast as it happened; 0: at once")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command
      ->add_option("--encoder", options->encoder,
                   "FILE.onnx[:NAME]: also a vector a second by this model, to the engine")
      ->needs(room);
  command
      ->add_option("--encoder-side", options->encoding.side,
                   "Pixels a side of the square that it sees")
      ->capture_default_str();
  command
      ->add_option("--encoder-mean", options->encoding.mean,
                   "Of its R G B between 0 and 1, taken off")
      ->capture_default_str();
  command
      ->add_option("--encoder-std", options->encoding.deviation,
                   "Of its R G B, divided by afterwards")
      ->capture_default_str();
  command->add_option("--record", options->record,
                      "Also append the moments to this file (docs/formats/moment_file.md)");
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
