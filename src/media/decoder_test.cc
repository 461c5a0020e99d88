// The decoder process as the engine uses it, on media that ffmpeg makes here.
#include "media/decoder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <map>

#include "base/random.h"
#include "media/http_for_test.h"
#include "media/sound_for_test.h"

namespace heed::media {
namespace {

using F = VoiceFeature;

struct Heard {
  Status status;
  std::vector<VoiceSecond> seconds;
  std::vector<int64_t> pictures_us;
  std::vector<uint32_t> picture_epochs;
  std::vector<DecoderEvent> events;
  std::vector<uint8_t> luma;  // mean of every picture
  int width = 0, height = 0;
};

DecoderOptions Options(const std::string& input) {
  DecoderOptions options;
  options.input = input;
  options.program = HEED_DECODER_PROGRAM;
  options.give_up_ms = 20000;  // a test that goes wrong ends
  return options;
}

// `look` sees every event and picture as it comes and may ask to stop.
Heard Hear(const DecoderOptions& options,
           const std::function<void(const DecoderEvent*, std::atomic<bool>*)>& look = {}) {
  Heard heard;
  VoiceExtractor voice;
  std::atomic<bool> stop{false};
  MediaSink sink;
  sink.audio = [&](const AudioChunk& chunk) { voice.Add(chunk, &heard.seconds); };
  sink.video = [&](const VideoFrame& frame) {
    heard.pictures_us.push_back(frame.pts_us);
    heard.picture_epochs.push_back(frame.epoch);
    heard.width = frame.width, heard.height = frame.height;
    size_t sum = 0;
    for (const uint8_t y : frame.y) sum += y;
    heard.luma.push_back(static_cast<uint8_t>(sum / frame.y.size()));
    if (look) look(nullptr, &stop);
  };
  sink.event = [&](const DecoderEvent& event) {
    heard.events.push_back(event);
    if (look) look(&event, &stop);
  };
  heard.status = Decode(options, sink, stop);
  voice.Finish(&heard.seconds);
  return heard;
}

// Seven and a half seconds: two vowels and silence, dark and light scenes. Changes lie in the middle
// of seconds, as containers shift sound by up to an AAC frame. One thread and no dates: the same bytes
// every time.
class DecoderTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!HaveProgram("ffmpeg")) return;
    folder_ = new ScratchFolder;
    const Streams sound = ToStreams(Voice(3.5, 200, 200) + Sound(48000) + Voice(3, 130, 130, 0.05));
    WriteFloats(*folder_ / "sound.f32", sound.stereo48k);
    const std::string scenes =
        "color=black:s=1280x720:r=10:d=2.5[a];color=gray:s=1280x720:r=10:d=2.5[b];"
        "testsrc2=s=1280x720:r=10:d=2.5[c];[a][b][c]concat=n=3:v=1:a=0,"
        "drawbox=x=100:y=100:w=200:h=80:color=red:t=fill";
    const std::string make = "cd " + (*folder_ / "") +
                             " && ffmpeg -nostdin -y -filter_complex_threads 1 -f lavfi -i '" +
                             scenes +
                             "' -f f32le -ar 48000 -ac 2 -i sound.f32 -map 0:v -map 1:a -threads 1 "
                             "-c:v libx264 -preset veryfast -g 10 -c:a aac -b:a 192k -fflags "
                             "+bitexact -flags:v +bitexact -flags:a +bitexact a.mp4";
    made_ = RunShell(make) &&
            RunShell("cd " + (*folder_ / "") + " && ffmpeg -nostdin -i a.mp4 -c copy a.flv" +
                     " && ffmpeg -nostdin -i a.mp4 -c copy a.ts");
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  void SetUp() override {
    if (folder_ == nullptr) GTEST_SKIP() << "ffmpeg is not installed";
    ASSERT_TRUE(made_);
  }
  static std::string Path(const std::string& name) { return *folder_ / name; }

 private:
  static ScratchFolder* folder_;
  static bool made_;
};
ScratchFolder* DecoderTest::folder_ = nullptr;
bool DecoderTest::made_ = false;

TEST_F(DecoderTest, TheSameBroadcastInEveryContainer) {
  std::vector<Heard> all;
  for (const char* name : {"a.mp4", "a.flv", "a.ts"}) {
    all.push_back(Hear(Options(Path(name))));
    const Heard& heard = all.back();
    ASSERT_TRUE(heard.status.ok()) << name << ": " << heard.status.ToString();
    ASSERT_EQ(heard.events.size(), 1u);
    EXPECT_STREQ(heard.events[0].stream.video_codec.data(), "h264");
    EXPECT_STREQ(heard.events[0].stream.audio_codec.data(), "aac");
    EXPECT_EQ(heard.events[0].stream.width, 1280);
    EXPECT_EQ(heard.width, 960);
    EXPECT_EQ(heard.height, 540);
    ASSERT_GE(heard.seconds.size(), 8u) << name;
    EXPECT_EQ(heard.seconds[1].epoch, 0u);
    // Five pictures a second, in step with the sound: the scene changes at 2.5 and 5 s.
    EXPECT_NEAR(static_cast<double>(heard.pictures_us.size()), 37.5, 1) << name;
    for (size_t i = 0; i < heard.pictures_us.size(); ++i) {
      if (heard.pictures_us[i] < 2450000) {
        EXPECT_LT(heard.luma[i], 30) << name << i;
      }
      if (heard.pictures_us[i] > 2600000) {
        EXPECT_GT(heard.luma[i], 60) << name << i;
      }
    }
  }
  for (const Heard& other : all) {
    for (size_t s = 0; s < 7; ++s) {
      const VoiceSecond &a = all[0].seconds[s], &b = other.seconds[s];
      EXPECT_EQ(a.second, b.second);
      if (s >= 1) {
        EXPECT_EQ(b.cover, 1.0f) << s;
      }
      ASSERT_EQ(a[F::kF0Median].has_value(), b[F::kF0Median].has_value()) << s;
      if (a[F::kF0Median]) {
        EXPECT_NEAR(*a[F::kF0Median] / *b[F::kF0Median], 1, 0.005) << s;
      }
      if (a[F::kLoudnessShortTerm] && b[F::kLoudnessShortTerm]) {
        EXPECT_NEAR(*a[F::kLoudnessShortTerm], *b[F::kLoudnessShortTerm], 0.2) << s;
      }
    }
  }
  EXPECT_NEAR(*all[0].seconds[1][F::kF0Median], 200, 1);
  EXPECT_NEAR(*all[0].seconds[6][F::kF0Median], 130, 0.65);
}

TEST_F(DecoderTest, TheSameFileTwiceGivesTheSameRecords) {
  const Heard a = Hear(Options(Path("a.ts"))), b = Hear(Options(Path("a.ts")));
  ASSERT_EQ(a.seconds.size(), b.seconds.size());
  for (size_t s = 0; s < a.seconds.size(); ++s) EXPECT_EQ(a.seconds[s].values, b.seconds[s].values);
  EXPECT_EQ(a.pictures_us, b.pictures_us);
  EXPECT_EQ(a.luma, b.luma);
}

TEST_F(DecoderTest, MonoSoundKeepsItsLoudness) {
  const Streams tone = ToStreams(Sine(4, 997, -23));
  WriteFloats(Path("tone.f32"), tone.mono16k);
  ASSERT_TRUE(RunShell("cd " + Path("") +
                       " && ffmpeg -nostdin -f f32le -ar 16000 -ac 1 -i tone.f32 tone.wav"));
  const Heard heard = Hear(Options(Path("tone.wav")));
  ASSERT_TRUE(heard.status.ok()) << heard.status.ToString();
  ASSERT_EQ(heard.seconds.size(), 4u);
  EXPECT_TRUE(heard.pictures_us.empty());
  // Played by two loudspeakers: both channels of the stereo signal carry it.
  EXPECT_NEAR(*heard.seconds[3][F::kLoudnessShortTerm], -23, 0.1);
  EXPECT_NEAR(*heard.seconds[3][F::kLevel], -26, 0.1);
}

TEST_F(DecoderTest, WhatIsNoMediaIsRefusedWithItsName) {
  EXPECT_EQ(Hear(Options(Path("missing.mp4"))).status.code(), Code::kNotFound);
  EXPECT_EQ(Hear(Options(Path(""))).status.code(), Code::kInvalidArgument);
  std::ofstream(Path("text.mp4")) << "not a film at all\n";
  const Heard heard = Hear(Options(Path("text.mp4")));
  EXPECT_EQ(heard.status.code(), Code::kInvalidArgument) << heard.status.ToString();
  EXPECT_NE(heard.status.message().find("text.mp4"), std::string::npos);
  std::ofstream(Path("list.m3u8")) << "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n";
  EXPECT_FALSE(Hear(Options(Path("list.m3u8"))).status.ok());
  for (const char* url : {"file:///etc/passwd", "concat://a", "gopher://x/"}) {
    EXPECT_EQ(Hear(Options(url)).status.code(), Code::kInvalidArgument) << url;
  }
  DecoderOptions missing = Options(Path("a.ts"));
  missing.program = Path("no-decoder");
  EXPECT_EQ(Hear(missing).status.code(), Code::kIo);
}

TEST_F(DecoderTest, AKilledDecoderIsBackWithinTwoSeconds) {
  pid_t worker = 0;
  std::chrono::steady_clock::time_point killed, back;
  size_t pictures = 0;
  const Heard heard =
      Hear(Options(Path("a.ts")), [&](const DecoderEvent* event, std::atomic<bool>*) {
        if (event != nullptr && event->kind == DecoderEvent::Kind::kOpened) worker = event->worker;
        if (event == nullptr && ++pictures == 10) {
          killed = std::chrono::steady_clock::now();
          kill(worker, SIGKILL);
        }
        if (event != nullptr && event->kind == DecoderEvent::Kind::kOpened && pictures > 0) {
          back = std::chrono::steady_clock::now();
        }
      });
  ASSERT_TRUE(heard.status.ok()) << heard.status.ToString();
  ASSERT_EQ(heard.events.size(), 3u);
  EXPECT_LT(back - killed, std::chrono::seconds(2));
  EXPECT_EQ(heard.events[1].kind, DecoderEvent::Kind::kBrokenOff);
  EXPECT_EQ(heard.events[1].epoch, 1u);
  EXPECT_EQ(heard.events[1].retry_ms, 0);
  // The recording goes on where it was, at a whole second, in the next epoch.
  const auto next = std::find(heard.picture_epochs.begin(), heard.picture_epochs.end(), 1u);
  ASSERT_NE(next, heard.picture_epochs.end());
  const auto at = static_cast<size_t>(next - heard.picture_epochs.begin());
  EXPECT_LT(heard.pictures_us[at] % 1000000, 100000);
  EXPECT_GT(heard.pictures_us[at], heard.pictures_us[at - 1]);
  EXPECT_LE(heard.pictures_us[at], heard.pictures_us[at - 1] + 2200000);
  EXPECT_GT(heard.pictures_us.back(), 7200000);
  std::map<int64_t, uint32_t> epoch_of;
  for (const VoiceSecond& second : heard.seconds) {
    EXPECT_TRUE(epoch_of.emplace(second.second, second.epoch).second) << second.second;
  }
}

double ChildrenCpuS() {
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// HEED_MUTATIONS=334 makes a thousand and two of them (asan preset: docs/broadcast.md). A decoder that stands still is
// noticed by its silence, one that turns in circles by its CPU time, which a busy machine does not lengthen.
TEST_F(DecoderTest, MutatedFilesEndInAStatus) {
  const char* asked = std::getenv("HEED_MUTATIONS");
  const int rounds = asked != nullptr ? std::atoi(asked) : 8;
  Random random(11);
  double most_cpu_s = 0;
  for (const char* name : {"a.mp4", "a.flv", "a.ts"}) {
    const std::string whole = ReadText(Path(name));
    for (int round = 0; round < rounds; ++round) {
      std::string bytes = whole.substr(0, whole.size() / 3 + random.Below(whole.size() / 3));
      const uint64_t flips = 1 + random.Below(200);
      for (uint64_t i = 0; i < flips; ++i) {
        // Half of them in the first kilobytes, where the structure is told.
        const size_t at = random.Below(random.Chance(0.5) ? 4096 : bytes.size());
        bytes[at] = static_cast<char>(random.Next());
      }
      std::ofstream(Path("bad"), std::ios::binary) << bytes;
      const double before_s = ChildrenCpuS();
      const Heard heard = Hear(Options(Path("bad")));
      const double cpu_s = ChildrenCpuS() - before_s;
      most_cpu_s = std::max(most_cpu_s, cpu_s);
      SCOPED_TRACE(std::string(name) + ", round " + std::to_string(round) + ", " +
                   std::to_string(cpu_s) + " s of CPU time");
      EXPECT_TRUE(heard.status.ok() || heard.status.code() == Code::kInvalidArgument)
          << heard.status.ToString();
      for (const DecoderEvent& event : heard.events) {
        EXPECT_NE(event.kind, DecoderEvent::Kind::kBrokenOff) << event.reason;
      }
      EXPECT_LT(cpu_s, 5);
    }
  }
  RecordProperty("most_cpu_s", std::to_string(most_cpu_s));
  std::printf("most CPU time of one file: %.2f s\n", most_cpu_s);
}

// --- URLs

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_F(DecoderTest, AddressesInsideAreRefusedAlsoBehindRedirectsAndPlaylists) {
  HttpForTest server([](const std::string& path, const HttpForTest::Answer& answer) {
    if (path == "/metadata") return answer.Redirect("http://169.254.169.254/latest/");
    if (path == "/list.m3u8") {
      return answer.File("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://10.0.0.1/x.ts\n");
    }
    if (path == "/file.m3u8") return answer.File("#EXTM3U\n#EXTINF:2,\nfile:///etc/passwd\n");
    if (path == "/toself") return answer.Redirect("file:///etc/passwd");
    answer.Head("404 Not Found");
  });
  Heard heard = Hear(Options(server.Url("/metadata")));
  EXPECT_EQ(heard.status.code(), Code::kPermissionDenied) << heard.status.ToString();
  EXPECT_TRUE(Contains(heard.status.message(), "127.0.0.1 is not public"))
      << heard.status.message();
  EXPECT_TRUE(server.asked().empty());

  DecoderOptions options = Options(server.Url("/metadata"));
  options.allowed_networks = {"127.0.0.1"};
  heard = Hear(options);
  EXPECT_EQ(heard.status.code(), Code::kPermissionDenied) << heard.status.ToString();
  EXPECT_TRUE(Contains(heard.status.message(), "169.254.169.254")) << heard.status.message();
  EXPECT_EQ(server.asked().size(), 1u);

  options.input = server.Url("/list.m3u8");
  heard = Hear(options);
  EXPECT_EQ(heard.status.code(), Code::kPermissionDenied) << heard.status.ToString();
  EXPECT_TRUE(Contains(heard.status.message(), "10.0.0.1")) << heard.status.message();

  options.input = server.Url("/file.m3u8");
  EXPECT_EQ(Hear(options).status.code(), Code::kInvalidArgument);
  options.give_up_ms = 1;
  options.input = server.Url("/toself");
  EXPECT_FALSE(Hear(options).status.ok());
}

TEST_F(DecoderTest, HttpWithAKnownSizeIsReadToItsEnd) {
  const std::string flv = ReadText(Path("a.flv"));
  HttpForTest server([&](const std::string& path, const HttpForTest::Answer& answer) {
    path == "/moved" ? answer.Redirect("/a.flv") : answer.File(flv);
  });
  DecoderOptions options = Options(server.Url("/moved"));
  options.allowed_networks = {"127.0.0.0/8"};
  const Heard heard = Hear(options);
  ASSERT_TRUE(heard.status.ok()) << heard.status.ToString();
  EXPECT_EQ(server.asked().size(), 2u);
  ASSERT_GE(heard.seconds.size(), 7u);
  EXPECT_NEAR(*heard.seconds[1][F::kF0Median], 200, 1);
}

TEST_F(DecoderTest, HlsPiecesMakeOneStream) {
  ASSERT_TRUE(RunShell("cd " + Path("") +
                       " && ffmpeg -nostdin -i a.mp4 -c copy -f hls -hls_time 2 -hls_list_size 0 "
                       "-hls_playlist_type vod v.m3u8"));
  HttpForTest server([](const std::string& path, const HttpForTest::Answer& answer) {
    if (path == "/master.m3u8") {
      return answer.File("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9000\nhls/v.m3u8\n");
    }
    const std::string bytes = ReadText(Path(path.substr(path.rfind('/') + 1)));
    bytes.empty() ? answer.Head("404 Not Found") : answer.File(bytes);
  });
  DecoderOptions options = Options(server.Url("/master.m3u8"));
  options.allowed_networks = {"127.0.0.1"};
  const Heard heard = Hear(options);
  ASSERT_TRUE(heard.status.ok()) << heard.status.ToString();
  ASSERT_GE(heard.seconds.size(), 7u);
  for (size_t s = 1; s < 7; ++s) {
    EXPECT_EQ(heard.seconds[s].epoch, 0u);
    EXPECT_EQ(heard.seconds[s].cover, 1.0f) << s;
  }
  EXPECT_NEAR(*heard.seconds[6][F::kF0Median], 130, 0.65);
}

// Sends the first part of a stream at once, then nothing, without an end: what a dead publisher looks
// like through a server that keeps its listeners.
TEST_F(DecoderTest, AStalledStreamIsNoticedAndTakenUpAgainInANewEpoch) {
  const std::string flv = ReadText(Path("a.flv"));
  HttpForTest server([&](const std::string&, const HttpForTest::Answer& answer) {
    answer.Head("200 OK\r\nContent-Type: video/x-flv\r\nConnection: close");
    answer.Send(std::string_view(flv).substr(0, flv.size() / 2));
    answer.Sleep(20000);
  });
  DecoderOptions options = Options(server.Url("/live.flv"));
  options.allowed_networks = {"127.0.0.1"};
  options.read_ms = 600;
  std::chrono::steady_clock::time_point last_picture;
  std::chrono::milliseconds noticed{};
  uint32_t opened = 0;
  const Heard heard = Hear(options, [&](const DecoderEvent* event, std::atomic<bool>* stop) {
    const auto now = std::chrono::steady_clock::now();
    if (event == nullptr) {
      last_picture = now;
    } else if (event->kind == DecoderEvent::Kind::kBrokenOff) {
      noticed = std::chrono::duration_cast<std::chrono::milliseconds>(now - last_picture);
    } else if (event->kind == DecoderEvent::Kind::kOpened && ++opened == 2) {
      *stop = true;
    }
  });
  EXPECT_TRUE(heard.status.ok());
  ASSERT_GE(heard.events.size(), 3u);
  EXPECT_TRUE(Contains(heard.events[1].reason, "nothing came for 600 ms"))
      << heard.events[1].reason;
  EXPECT_GE(heard.events[1].retry_ms, 500);
  EXPECT_EQ(heard.events[2].epoch, 1u);
  EXPECT_LT(noticed.count(), 600 + 500);
}

TEST_F(DecoderTest, AServerThatIsNotThereIsGivenUpWhenAsked) {
  std::string url;
  {
    url = HttpForTest([](const std::string&, const HttpForTest::Answer&) {}).Url("/x");
  }
  DecoderOptions options = Options(url);
  options.allowed_networks = {"127.0.0.1"};
  options.give_up_ms = 300;
  const Heard heard = Hear(options);
  EXPECT_EQ(heard.status.code(), Code::kUnavailable) << heard.status.ToString();
  EXPECT_TRUE(Contains(heard.status.message(), "refused")) << heard.status.message();
}

// This test's own folder has no heed-decoder.
TEST(Decoder, OneThatIsNotBesideTheProgramIsNamedWithItsPlace) {
  const std::atomic<bool> stop{false};
  const Status status = Decode({.input = "show.mp4"}, {}, stop);
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_NE(status.message().find("heed-decoder, which must lie beside the heed program"),
            std::string::npos)
      << status.message();
}

TEST(BackOff, DoublesToFourSecondsAndStartsAnew) {
  BackOff back_off(1);
  for (const int base : {500, 1000, 2000, 4000, 4000}) {
    const int ms = back_off.NextMs();
    EXPECT_GE(ms, base);
    EXPECT_LE(ms, base + base / 4);
  }
  back_off.Reset();
  EXPECT_LE(back_off.NextMs(), 625);
}

// --- the messages themselves

Result<bool> ReadBytes(const std::string& bytes, MessageReader* reader) {
  int fds[2];
  if (pipe2(fds, O_NONBLOCK) != 0) std::abort();
  EXPECT_EQ(write(fds[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  close(fds[1]);
  Result<bool> read = reader->Read(fds[0]);
  close(fds[0]);
  return read;
}

std::string Message(MessageHeader header, size_t payload) {
  header.size = static_cast<uint32_t>(payload);
  std::string bytes(sizeof(header) + payload, 1);
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

TEST(Wire, OnlyWhatFitsIsTaken) {
  MessageReader reader;
  EXPECT_TRUE(ReadBytes(Message({.type = MessageType::kAudio}, 28 * 100), &reader).value());
  EXPECT_EQ(reader.Audio().value().mono16k.size(), 100u);
  EXPECT_EQ(reader.Audio().value().stereo48k.size(), 600u);
  for (const size_t size : {size_t{0}, size_t{27}, size_t{32}}) {
    MessageReader other;
    ASSERT_TRUE(ReadBytes(Message({.type = MessageType::kAudio}, size), &other).ok());
    EXPECT_EQ(other.Audio().status().code(), Code::kCorruption) << size;
    EXPECT_EQ(other.Video().status().code(), Code::kCorruption) << size;
    EXPECT_EQ(other.Stream().status().code(), Code::kCorruption) << size;
  }
  MessageHeader header;
  const auto code = [&](const MessageHeader& h, size_t cut) {
    MessageReader fresh;
    std::string bytes = Message(h, 0);
    bytes.resize(bytes.size() - cut);
    return ReadBytes(bytes, &fresh).status().code();
  };
  EXPECT_EQ(code(header, 0), Code::kOk);
  EXPECT_EQ(code(header, 5), Code::kCorruption);
  EXPECT_EQ(code(header, 32), Code::kUnavailable);
  header.magic ^= 1;
  EXPECT_EQ(code(header, 0), Code::kCorruption);
  header = {.type = static_cast<MessageType>(9)};
  EXPECT_EQ(code(header, 0), Code::kCorruption);
  header = {.mode = static_cast<PictureMode>(5)};
  EXPECT_EQ(code(header, 0), Code::kCorruption);
  header = {.pts_us = INT64_MIN};
  EXPECT_EQ(code(header, 0), Code::kCorruption);
  MessageReader fresh;
  std::string large = Message({}, 0);
  const uint32_t size = kWireLargest + 1;
  std::memcpy(large.data() + 12, &size, sizeof(size));
  EXPECT_EQ(ReadBytes(large, &fresh).status().code(), Code::kCorruption);
}

}  // namespace
}  // namespace heed::media
