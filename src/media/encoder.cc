#include "media/encoder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <opencv2/dnn.hpp>
#include <opencv2/imgproc.hpp>
#include <string_view>
#include <system_error>
#include <utility>

#include "media/child.h"
#include "media/frame_view.h"

namespace heed::media {
namespace {

constexpr uintmax_t kMaxFileBytes = uintmax_t{512} << 20;
constexpr rlim_t kMaxSeconds = 60;  // of CPU, to load the model and use it once
constexpr size_t kMaxDim = 4'096;

// OpenCV's reader throws for most of what it does not like.
template <typename Function>
auto Guarded(const std::string& file, const Function& function) -> decltype(function()) {
  try {
    return function();
  } catch (const std::exception& error) {
    std::string what = error.what();
    what.resize(std::min({what.size(), what.find_last_not_of(" \n") + 1, size_t{300}}));
    return InvalidArgument(file + ": " + what);
  }
}

// Of the whole picture, in R G B, as a square of floats between 0 and 1 with each channel by itself. BT.601, studio
// range, which is what live encoders send.
std::array<cv::Mat, 3> SquareOf(const VideoFrame& frame, int side) {
  const auto plane = [side](const cv::Mat& in, double less) {
    cv::Mat square, out;
    cv::resize(in, square, {side, side}, 0, 0, cv::INTER_AREA);
    square.convertTo(out, CV_32F, 1.0 / 255, -less / 255);
    return out;
  };
  const cv::Mat y = plane(LumaOf(frame), 16) * 1.164383;
  const cv::Mat u = plane(BlueOf(frame), 128), v = plane(RedOf(frame), 128);
  std::array<cv::Mat, 3> out = {y + 1.596027 * v, y - 0.391762 * u - 0.812968 * v,
                                y + 2.017232 * u};
  for (cv::Mat& channel : out) {
    channel = cv::max(channel, 0.0);
    channel = cv::min(channel, 1.0);
  }
  return out;
}

class Model {
 public:
  explicit Model(const EncoderOptions& options) : options_(options) {}

  Status Load() {
    net_ = cv::dnn::readNetFromONNX(options_.file);
    net_.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
    net_.setPreferableTarget(cv::dnn::DNN_TARGET_CPU);
    return {};
  }

  Result<std::vector<float>> Run(const std::array<cv::Mat, 3>& square) {
    const int shape[] = {1, 3, options_.side, options_.side};
    cv::Mat blob(4, shape, CV_32F);
    for (int c = 0; c < 3; ++c) {
      const auto i = static_cast<size_t>(c);
      cv::Mat plane(options_.side, options_.side, CV_32F, blob.ptr<float>(0, c));
      square[i].convertTo(plane, CV_32F, 1.0 / options_.deviation[i],
                          -options_.mean[i] / options_.deviation[i]);
    }
    net_.setInput(blob);
    const cv::Mat out = net_.forward();
    if (out.depth() != CV_32F || out.total() < 1 || out.total() > kMaxDim || !out.isContinuous()) {
      return InvalidArgument(fmt::format("{}: its output has {} numbers, 1 to {} floats are taken",
                                         options_.file, out.total(), kMaxDim));
    }
    const float* const first = out.ptr<float>();
    std::vector<float> vector(first, first + out.total());
    if (!std::all_of(vector.begin(), vector.end(), [](float x) { return std::isfinite(x); })) {
      return InvalidArgument(options_.file + ": a number of its output is not finite");
    }
    return vector;
  }

  Result<std::vector<float>> LoadAndTry() {
    return Guarded(options_.file, [&]() -> Result<std::vector<float>> {
      HEED_RETURN_IF_ERROR(Load());
      const cv::Mat grey(options_.side, options_.side, CV_32F, cv::Scalar(0.5));
      return Run({grey, grey, grey});
    });
  }

 private:
  const EncoderOptions& options_;
  cv::dnn::Net net_;
};

void LimitThisProcess() {
#ifndef HEED_SANITIZED  // whose shadow memory is over any limit
  constexpr rlim_t kMaxMemoryBytes = rlim_t{8} << 30;
  const rlimit memory{.rlim_cur = kMaxMemoryBytes, .rlim_max = kMaxMemoryBytes};
  setrlimit(RLIMIT_AS, &memory);
#endif
  const rlimit seconds{.rlim_cur = kMaxSeconds, .rlim_max = kMaxSeconds};
  setrlimit(RLIMIT_CPU, &seconds);
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  setrlimit(RLIMIT_CORE, &none);
  setrlimit(RLIMIT_FSIZE, &none);
}

// Loads and uses the model where it can break nothing.
Status TryElsewhere(const EncoderOptions& options) {
  HEED_ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
  const pid_t child = fork();
  if (child < 0) return IoError(std::string("fork: ") + std::system_category().message(errno));
  if (child == 0) {
    LimitThisProcess();
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    // OpenCV tells of its exceptions there, too, and flushes what this process has not written yet.
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    const Status status = Model(options).LoadAndTry().status();
    const std::string_view said = status.message();
    const ssize_t written = write(pipe.write.get(), said.data(), said.size());
    _exit(status.ok() && written >= 0 ? 0 : 1);
  }
  pipe.write.Close();
  std::string said;
  std::array<char, 1024> part{};
  for (;;) {
    const ssize_t n = read(pipe.read.get(), part.data(), part.size());
    if (n > 0) said.append(part.data(), static_cast<size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR)) break;
  }
  int ended = 0;
  while (waitpid(child, &ended, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0) return {};
  if (WIFEXITED(ended) && !said.empty()) return InvalidArgument(said);
  return InvalidArgument(fmt::format("{}: reading it ended with {} {}", options.file,
                                     WIFSIGNALED(ended) ? "signal" : "code",
                                     WIFSIGNALED(ended) ? WTERMSIG(ended) : WEXITSTATUS(ended)));
}

}  // namespace

struct Encoder::Impl {
  explicit Impl(const EncoderOptions& wanted) : options(wanted), model(options) {}

  const EncoderOptions options;
  Model model;
  EncoderInfo info;
};

Encoder::Encoder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Encoder::~Encoder() = default;

const EncoderInfo& Encoder::info() const { return impl_->info; }

Result<std::unique_ptr<Encoder>> Encoder::Open(const EncoderOptions& options) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(options.file, error)) {
    return NotFound(options.file + ": no such file");
  }
  if (std::filesystem::file_size(options.file, error) > kMaxFileBytes) {
    return Status(Code::kTooLarge,
                  fmt::format("{}: is larger than {} MiB", options.file, kMaxFileBytes >> 20));
  }
  if (options.side < 1 || options.side > 1'024) {
    return InvalidArgument("its side must be 1 to 1024 pixels");
  }
  for (const float deviation : options.deviation) {
    if (!(deviation > 0)) return InvalidArgument("its standard deviations must be over 0");
  }
  HEED_RETURN_IF_ERROR(TryElsewhere(options));
  UseOneThread();
  auto impl = std::make_unique<Impl>(options);
  HEED_ASSIGN_OR_RETURN(const std::vector<float> tried, impl->model.LoadAndTry());
  impl->info = {.id = options.id, .dim = tried.size()};
  if (options.id.empty()) impl->info.id = std::filesystem::path(options.file).stem().string();
  return std::unique_ptr<Encoder>(new Encoder(std::move(impl)));
}

Result<std::vector<float>> Encoder::Encode(const VideoFrame& frame) {
  HEED_RETURN_IF_ERROR(CheckFrame(frame));
  HEED_ASSIGN_OR_RETURN(std::vector<float> vector,
                        Guarded(impl_->options.file, [&]() -> Result<std::vector<float>> {
                          return impl_->model.Run(SquareOf(frame, impl_->options.side));
                        }));
  if (vector.size() != impl_->info.dim) {
    return InvalidArgument(fmt::format("{}: its output has {} numbers now, {} before",
                                       impl_->options.file, vector.size(), impl_->info.dim));
  }
  return vector;
}

}  // namespace heed::media
