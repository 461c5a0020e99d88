#include "media/decoder.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <deque>
#include <system_error>
#include <thread>

#include "base/random.h"
#include "media/child.h"

namespace heed::media {
namespace {

constexpr int64_t kSecond = 1000000;
constexpr int kPollMs = 100;
constexpr int kHangMs = 3500;  // a decoder says something four times a second
constexpr int kCrashes = 5;    // within a minute end the input
constexpr int kExitAgain = 3,
              kExitRefused = 4;  // media/worker/fetch.h, on the other side of the fence

using Time = std::chrono::steady_clock;

int64_t SinceUs(Time::time_point then) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Time::now() - then).count();
}

int64_t WholeSecond(int64_t us) { return us <= 0 ? 0 : (us + kSecond - 1) / kSecond * kSecond; }

Result<std::string> WorkerProgram(const std::string& configured) {
  if (!configured.empty()) return configured;
  std::array<char, PATH_MAX> self{};
  if (readlink("/proc/self/exe", self.data(), self.size() - 1) < 0) {
    return IoError(std::string("/proc/self/exe: ") + std::system_category().message(errno));
  }
  const std::string path = self.data();
  const std::string program = path.substr(0, path.rfind('/') + 1) + "heed-decoder";
  if (access(program.c_str(), X_OK) != 0) {
    return IoError(program + ": " + std::system_category().message(errno) +
                   ". Media are read by heed-decoder, which must lie beside the heed program");
  }
  return program;
}

// How one start of the processes went.
struct Attempt {
  enum class End : uint8_t { kDone, kStopped, kAgain, kCrashed, kRefused };
  End end = End::kAgain;
  std::string reason;
};

class Session {
 public:
  Session(const DecoderOptions& options, std::string program, const MediaSink& sink,
          const std::atomic<bool>& stop)
      : options_(options),
        program_(std::move(program)),
        sink_(sink),
        stop_(stop),
        live_(IsUrl(options.input)),
        back_off_(static_cast<uint64_t>(Time::now().time_since_epoch().count())) {}

  Status Run() {
    while (true) {
      HEED_ASSIGN_OR_RETURN(const Attempt attempt, Try());
      if (attempt.end == Attempt::End::kDone || attempt.end == Attempt::End::kStopped) return {};
      if (attempt.end == Attempt::End::kRefused) {
        const bool address = attempt.reason.find("is not public") != std::string::npos;
        return Status(address ? Code::kPermissionDenied : Code::kInvalidArgument,
                      options_.input + ": " + attempt.reason);
      }
      if (attempt.end == Attempt::End::kCrashed) {
        crashes_.push_back(Time::now());
        while (SinceUs(crashes_.front()) > 60 * kSecond) crashes_.pop_front();
        if (crashes_.size() >= kCrashes) {
          return Status(Code::kUnavailable, options_.input + ": the decoder ended " +
                                                std::to_string(kCrashes) +
                                                " times within a minute: " + attempt.reason);
        }
      }
      if (options_.give_up_ms > 0 && SinceUs(heard_) > int64_t{1000} * options_.give_up_ms) {
        return Status(Code::kUnavailable, options_.input + ": " + attempt.reason);
      }
      if (heard_us_ > 10 * kSecond) back_off_.Reset();
      // A crash is the decoder's fault, not the server's, which may be asked again at once.
      const int wait_ms =
          attempt.end == Attempt::End::kCrashed && crashes_.size() == 1 ? 0 : back_off_.NextMs();
      ++epoch_;
      if (sink_.event) {
        sink_.event({.kind = DecoderEvent::Kind::kBrokenOff,
                     .epoch = epoch_,
                     .reason = attempt.reason,
                     .retry_ms = wait_ms});
      }
      const auto until = Time::now() + std::chrono::milliseconds(wait_ms);
      while (Time::now() < until && !stop_) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        if (sink_.idle) sink_.idle(SinceUs(heard_));
      }
      if (stop_) return {};
    }
  }

 private:
  Result<Attempt> Try() {
    Child fetch, decoder;
    Fd input, reports;
    HEED_ASSIGN_OR_RETURN(Pipe messages, MakePipe());
    if (live_) {
      HEED_ASSIGN_OR_RETURN(Pipe bytes, MakePipe());
      HEED_ASSIGN_OR_RETURN(Pipe words, MakePipe());
      fcntl(bytes.read.get(), F_SETPIPE_SZ, 1 << 20);  // a second of 8 Mbit/s; less will do
      std::vector<std::string> arguments = {"fetch",     options_.input,
                                            "--open-ms", std::to_string(options_.open_ms),
                                            "--read-ms", std::to_string(options_.read_ms)};
      for (const std::string& network : options_.allowed_networks) {
        arguments.insert(arguments.end(), {"--allow", network});
      }
      HEED_ASSIGN_OR_RETURN(
          fetch, Child::Start(program_, arguments, -1, bytes.write.get(), words.write.get()));
      input = std::move(bytes.read);
      reports = std::move(words.read);
    } else {
      input = Fd(open(options_.input.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
      struct stat about {};
      if (!input.open()) {
        return Status(errno == ENOENT ? Code::kNotFound : Code::kIo,
                      options_.input + ": " + std::system_category().message(errno));
      }
      if (fstat(input.get(), &about) != 0 || !S_ISREG(about.st_mode)) {
        return InvalidArgument(options_.input + ": not a file");
      }
    }
    const int64_t resume_us =
        WholeSecond(last_us_ == INT64_MIN ? 0 : last_us_ + (live_ ? SinceUs(heard_) : 0));
    std::vector<std::string> arguments = {"decode", "--epoch", std::to_string(epoch_),
                                          live_ ? "--base-us" : "--from-us",
                                          std::to_string(resume_us)};
    if (live_) arguments.emplace_back("--live");
    if (!options_.picture) arguments.emplace_back("--no-picture");
    HEED_ASSIGN_OR_RETURN(decoder,
                          Child::Start(program_, arguments, input.get(), messages.write.get(), -1));
    input.Close();
    messages.write.Close();
    fcntl(messages.read.get(), F_SETFL, O_NONBLOCK);
    Attempt attempt = Listen(messages.read.get(), decoder);
    if (attempt.end == Attempt::End::kStopped) return attempt;
    if (live_) Explain(&fetch, reports.get(), &attempt);
    return attempt;
  }

  Attempt Listen(int pipe, Child& decoder) {
    MessageReader reader;
    heard_us_ = 0;
    auto spoke = Time::now();
    bool ended = false;
    std::string refused;
    while (!stop_) {
      pollfd waiting{.fd = pipe, .events = POLLIN, .revents = 0};
      poll(&waiting, 1, kPollMs);
      const Result<bool> read = reader.Read(pipe);
      if (!read.ok()) {
        if (read.status().code() == Code::kCorruption) {
          return {Attempt::End::kCrashed, read.status().message()};
        }
        const int code = decoder.Wait(1000);
        if (ended) return {Attempt::End::kDone, {}};
        if (!refused.empty()) {
          return {code == kExitAgain ? Attempt::End::kAgain : Attempt::End::kRefused, refused};
        }
        return {Attempt::End::kCrashed, "the decoder ended with code " + std::to_string(code)};
      }
      if (!read.value()) {
        if (SinceUs(spoke) > int64_t{1000} * kHangMs) {
          decoder.Kill();
          return {Attempt::End::kCrashed, "the decoder hangs"};
        }
        if (sink_.idle) sink_.idle(SinceUs(heard_));
        continue;
      }
      spoke = Time::now();
      const MessageHeader& header = reader.header();
      switch (header.type) {
        case MessageType::kEnd: ended = true; break;
        case MessageType::kError:
          refused.assign(reinterpret_cast<const char*>(reader.payload().data()),
                         std::min<size_t>(reader.payload().size(), 500));
          break;
        default:
          if (Status status = HandOn(reader, decoder); !status.ok()) {
            return {Attempt::End::kCrashed, status.message()};
          }
      }
    }
    return {Attempt::End::kStopped, {}};
  }

  Status HandOn(const MessageReader& reader, const Child& decoder) {
    const MessageHeader& header = reader.header();
    if (header.epoch < epoch_) return Corruption("decoder pipe: an old epoch");
    epoch_ = header.epoch;
    if (live_ && sink_.lag) sink_.lag(header.lag_us);
    if (header.mode != mode_) {
      mode_ = header.mode;
      if (sink_.event) {
        sink_.event({.kind = DecoderEvent::Kind::kMode,
                     .epoch = epoch_,
                     .mode = mode_,
                     .lag_us = header.lag_us});
      }
    }
    if (header.type == MessageType::kStream) {
      HEED_ASSIGN_OR_RETURN(const StreamInfo stream, reader.Stream());
      if (sink_.event) {
        sink_.event({.kind = DecoderEvent::Kind::kOpened,
                     .epoch = epoch_,
                     .stream = stream,
                     .worker = decoder.pid()});
      }
    }
    int64_t end_us = header.pts_us;
    if (header.type == MessageType::kAudio) {
      HEED_ASSIGN_OR_RETURN(const AudioChunk chunk, reader.Audio());
      end_us += static_cast<int64_t>(chunk.mono16k.size()) * kSecond / 16000;
      if (sink_.audio) sink_.audio(chunk);
    } else if (header.type == MessageType::kVideo) {
      HEED_ASSIGN_OR_RETURN(const VideoFrame frame, reader.Video());
      if (sink_.video) sink_.video(frame);
    } else {
      return {};
    }
    heard_us_ += last_us_ == INT64_MIN ? 0 : std::clamp<int64_t>(end_us - last_us_, 0, kSecond);
    last_us_ = std::max(last_us_, end_us);
    heard_ = Time::now();
    return {};
  }

  // The fetch process knows why a stream ended; the decoder only that it did.
  static void Explain(Child* fetch, int reports, Attempt* attempt) {
    const bool crashed = attempt->end == Attempt::End::kCrashed;
    const int code = fetch->Wait(crashed ? 0 : 500);
    std::array<char, 2048> text{};
    fcntl(reports, F_SETFL, O_NONBLOCK);
    const ssize_t n = read(reports, text.data(), text.size() - 1);
    std::string said(text.data(), n > 0 ? static_cast<size_t>(n) : 0);
    if (crashed) return;
    said.resize(std::min(said.find('\n'), said.size()));
    if (said.rfind("fetch: ", 0) == 0) said.erase(0, 7);
    if (code == 0) return;                      // the decoder's verdict stands
    if (code > 128 && code != 128 + SIGKILL) {  // SIGKILL: it did not end in time
      *attempt = {Attempt::End::kCrashed, "fetch ended with code " + std::to_string(code)};
      return;
    }
    attempt->end = code == kExitRefused ? Attempt::End::kRefused : Attempt::End::kAgain;
    if (!said.empty()) attempt->reason = said;
    if (attempt->reason.empty()) attempt->reason = "fetch ended with code " + std::to_string(code);
  }

  const DecoderOptions& options_;
  const std::string program_;
  const MediaSink& sink_;
  const std::atomic<bool>& stop_;
  const bool live_;
  BackOff back_off_;

  uint32_t epoch_ = 0;
  PictureMode mode_ = PictureMode::kFull;
  int64_t last_us_ = INT64_MIN;           // end of the media heard so far, on the time base
  int64_t heard_us_ = 0;                  // of media, in this attempt
  Time::time_point heard_ = Time::now();  // when media came last
  std::deque<Time::time_point> crashes_;
};

}  // namespace

int BackOff::NextMs() {
  const int base = 500 << std::min(tries_++, 3);
  Random random(state_);
  state_ = random.Next();
  return base + static_cast<int>(random.Below(static_cast<uint64_t>(base) / 4 + 1));
}

bool IsUrl(const std::string& input) { return input.find("://") != std::string::npos; }

Status Decode(const DecoderOptions& options, const MediaSink& sink, const std::atomic<bool>& stop) {
  if (IsUrl(options.input)) {
    const std::string scheme = options.input.substr(0, options.input.find("://"));
    if (scheme != "http" && scheme != "https" && scheme != "rtmp" && scheme != "rtmps") {
      return InvalidArgument("'" + scheme + "': only http, https, rtmp and rtmps are read");
    }
  }
  HEED_ASSIGN_OR_RETURN(std::string program, WorkerProgram(options.program));
  return Session(options, std::move(program), sink, stop).Run();
}

}  // namespace heed::media
