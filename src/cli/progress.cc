#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "base/clock.h"

namespace heed::cli {
namespace {

constexpr int64_t kTerminalPeriodUs = 100'000;
constexpr int64_t kLinePeriodUs = 5'000'000;

std::string Count(double value) {
  if (value >= 1e6) return fmt::format("{:.1f}M", value / 1e6);
  if (value >= 1e4) return fmt::format("{:.0f}k", value / 1e3);
  return fmt::format("{:.0f}", value);
}

std::string Seconds(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  return whole >= 60 ? fmt::format("{}m{:02}s", whole / 60, whole % 60) : fmt::format("{}s", whole);
}

}  // namespace

bool StderrIsTerminal() { return isatty(STDERR_FILENO) != 0; }

Progress::Progress(std::string what, std::string unit)
    : what_(std::move(what)), unit_(std::move(unit)), started_us_(Clock::System().steady_us()) {}

Progress::~Progress() { Finish(); }

void Progress::Update(uint64_t done, uint64_t total, const std::string& note) {
  done_ = done;
  total_ = total;
  note_ = note;
  any_ = true;
  const int64_t now_us = Clock::System().steady_us();
  if (now_us - printed_us_ < (StderrIsTerminal() ? kTerminalPeriodUs : kLinePeriodUs)) return;
  printed_us_ = now_us;
  Print(false);
}

void Progress::Finish() {
  if (finished_ || !any_) return;
  finished_ = true;
  Print(true);
}

void Progress::Print(bool last) {
  const double seconds =
      std::max(1e-3, static_cast<double>(Clock::System().steady_us() - started_us_) * 1e-6);
  const double rate = static_cast<double>(done_) / seconds;
  std::string line = fmt::format("{:<10} ", what_);
  if (total_ > 0) {
    const double share = std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_));
    if (StderrIsTerminal()) {
      const auto filled = static_cast<size_t>(share * 24);
      std::string bar;
      for (size_t i = 0; i < 24; ++i) bar += i < filled ? "█" : "░";
      line += bar + " ";
    }
    line += fmt::format("{:>4.0f} %  ", share * 100);
  }
  line += fmt::format("{} {}  {}/s", Count(static_cast<double>(done_)), unit_, Count(rate));
  if (last) {
    line += fmt::format("  in {}", Seconds(seconds));
  } else if (total_ > done_ && rate > 0) {
    line += fmt::format("  {} left", Seconds(static_cast<double>(total_ - done_) / rate));
  }
  if (!note_.empty()) line += "  " + note_;
  if (StderrIsTerminal()) {
    std::fprintf(stderr, "\r\033[K%s%s", line.c_str(), last ? "\n" : "");
  } else {
    std::fprintf(stderr, "%s\n", line.c_str());
  }
  std::fflush(stderr);
}

}  // namespace heed::cli
