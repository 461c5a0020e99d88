// heed watch comments: a file of comments as if it were a room now, on a terminal or as lines of JSON.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/comment_file.h"
#include "engine/room_desk.h"
#include "server/config.h"
#include "server/text_json.h"

namespace heed::cli {
namespace {

constexpr int64_t kRedrawMs = 250;
constexpr size_t kShownQuestions = 12, kShownWords = 12, kShownBursts = 5;

struct Options {
  std::string file, config;
  double speed = 1;
  int64_t every_ms = 1'000, interval_ms = 5'000;
  bool json = false;
};

std::string Minutes(int64_t t_ms) {
  return fmt::format("{}:{:02}", t_ms / 60'000, t_ms / 1'000 % 60);
}

// What the terminal needs of one moment.
std::string Page(const engine::RoomCommentView& view,
                 const std::vector<text::QuestionCluster>& questions, int64_t first_ms) {
  const text::LiveSnapshot& now = view.now;
  std::string out = fmt::format(
      "{}   {:.1f} comments/s, usually {:.1f}   z {:+.1f}{}   {} comments of {} viewers in a "
      "minute   "
      "mood {:+.2f}\n",
      Minutes(view.ts - first_ms), now.comments_per_s, now.usual_per_s, now.z,
      now.burst ? "   BURST" : "", now.comments, now.viewers, now.sentiment);
  out += "mix";
  std::vector<std::pair<double, std::string>> mix;
  for (const auto& [intent, share] : now.intents) mix.emplace_back(share, intent);
  std::sort(mix.rbegin(), mix.rend());
  for (const auto& [share, intent] : mix) out += fmt::format("   {} {:.0f} %", intent, share * 100);
  out += "\nhot";
  for (const text::LiveSnapshot::Word& word : now.words) out += "   " + word.text;
  if (view.lag) {
    out += fmt::format("\nlag   {:.1f} s behind the host's words (z {:.1f})",
                       static_cast<double>(view.lag->lag_ms) / 1000, view.lag->z);
  }
  out += "\n\nwaiting  viewers  buying  question\n";
  for (size_t i = 0; i < std::min(questions.size(), kShownQuestions); ++i) {
    const text::QuestionCluster& question = questions[i];
    out += fmt::format("{:7}  {:7}  {:6}  {}{}\n", question.waiting, question.viewers,
                       question.buying, question.text,
                       question.answered_ms >= 0 && question.waiting == 0 ? "  (answered)" : "");
  }
  if (!view.bursts.empty()) out += "\nbursts\n";
  for (size_t i = 0; i < std::min(view.bursts.size(), kShownBursts); ++i) {
    const text::Burst& burst = view.bursts[view.bursts.size() - 1 - i];
    out += fmt::format("{} to {}   {} comments in five seconds, z {:.1f}\n",
                       Minutes(burst.begin_ms - first_ms),
                       burst.end_ms < 0 ? "now" : Minutes(burst.end_ms - first_ms),
                       burst.peak_comments, burst.peak_z);
  }
  return out;
}

// Plays the lines to one room and shows it.
class Watch {
 public:
  Watch(const Options& options, const engine::TextTools& tools)
      : options_(options),
        tools_(tools),
        room_(tools.meaning(), tools.dictionary(), text::RoomCommentsConfig{}),
        redraw_(!options.json && isatty(STDOUT_FILENO) != 0) {}

  Status Play(const std::vector<RoomLine>& lines) {
    const int64_t started_us = Clock::System().steady_us();
    first_ms_ = now_ms_ = shown_ms_ = lines.front().t_ms;
    for (const RoomLine& line : lines) {
      while (options_.speed > 0 && now_ms_ < line.t_ms && !StopRequested()) {
        const auto passed_ms = static_cast<double>(Clock::System().steady_us() - started_us) * 1e-3;
        MoveTo(std::min(line.t_ms, first_ms_ + static_cast<int64_t>(passed_ms * options_.speed)));
        if (now_ms_ < line.t_ms) std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      if (StopRequested()) break;
      MoveTo(line.t_ms);
      HEED_RETURN_IF_ERROR(Read(line));
    }
    Show();
    return {};
  }

 private:
  Status Read(const RoomLine& line) {
    switch (line.kind) {
      case RoomLine::Kind::kComment:
        room_.Add({line.text, line.viewer, line.t_ms, ++number_},
                  tools_.analyzer().Analyze(line.text, /*with_reasons=*/false));
        return {};
      case RoomLine::Kind::kSpeech:
        return room_.HostSaid({line.t_ms, line.end_ms, line.text, "", true}).status();
      case RoomLine::Kind::kInterest: room_.WantsToBuy(line.viewer, line.t_ms, line.how); return {};
    }
    return {};
  }

  // Shows what was, when it is time to.
  void MoveTo(int64_t t_ms) {
    const int64_t clock_ms = Clock::System().steady_us() / 1'000;
    if (options_.json) {
      if (t_ms - shown_ms_ >= options_.interval_ms) {
        // A pause is one line.
        shown_ms_ += (t_ms - shown_ms_) / options_.interval_ms * options_.interval_ms;
        now_ms_ = std::max(now_ms_, shown_ms_);
        Show();
      }
    } else if (redraw_ && clock_ms - drawn_ms_ >= kRedrawMs) {
      drawn_ms_ = clock_ms;
      Show();
    }
    now_ms_ = std::max(now_ms_, t_ms);
  }

  void Show() {
    const engine::RoomCommentView view = engine::ViewOf(&room_, now_ms_, kShownWords);
    const std::vector<text::QuestionCluster> questions = room_.Questions(now_ms_);
    if (options_.json) {
      engine::RoomQuestions asked;
      asked.ts = now_ms_;
      for (const text::QuestionCluster& question : questions) {
        asked.questions.push_back({question, std::nullopt});
      }
      boost::json::object out = server::CommentsJson(view);
      out["questions"] = server::QuestionsJson(asked).at("questions");
      std::puts(boost::json::serialize(out).c_str());
    } else {
      if (redraw_) std::fputs("\x1b[H\x1b[2J", stdout);
      std::fputs(Page(view, questions, first_ms_).c_str(), stdout);
    }
    std::fflush(stdout);
  }

  const Options& options_;
  const engine::TextTools& tools_;
  text::RoomComments room_;
  const bool redraw_;
  uint64_t number_ = 0;
  int64_t first_ms_ = 0, now_ms_ = 0;    // of the room
  int64_t shown_ms_ = 0, drawn_ms_ = 0;  // of the room; of the clock
};

int WatchComments(const Options& options) {
  WatchForStop();
  const Result<Config> config = LoadConfig(options.config, CurrentEnvironment());
  if (!config.ok()) return Fail(config.status());
  const auto tools = engine::TextTools::Load(config.value().engine.text);
  if (!tools.ok()) return Fail(tools.status());
  const auto lines = ReadCommentFile(options.file, options.every_ms);
  if (!lines.ok()) return Fail(lines.status());
  if (lines.value().empty()) return Fail(InvalidArgument(options.file + ": no comment in it"));
  Watch watch(options, *tools.value());
  if (const Status played = watch.Play(lines.value()); !played.ok()) return Fail(played);
  if (std::ferror(stdout) != 0) return Fail(IoError("standard output cannot be written"));
  return StopRequested() ? kStopped : 0;
}

}  // namespace

void AddWatchComments(CLI::App& watch, int* exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* comments = watch.add_subcommand(
      "comments", "A file of comments as if it were a room now: questions, bursts, mix, hot words");
  comments->footer(
      "Examples:\n"
      "  heed watch comments evening.jsonl                  at the speed it happened\n"
      "  heed watch comments evening.vtt --speed 20\n"
      "  heed watch comments evening.jsonl --speed 0 --json   all at once, for machines\n"
      "Files: .jsonl or .ndjson with events or {\"t_ms\", \"text\", \"viewer\"} a line; .vtt and "
      ".srt with "
      "a\n"
      "comment a cue; any other with a comment a line. Ctrl-C ends it with a last look.");
  comments->add_option("file", options->file, "The comments")->required()->check(CLI::ExistingFile);
  comments->add_option("--speed", options->speed, "Times as fast as it happened; 0: at once")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  comments->add_option("--every-ms", options->every_ms, "Between the lines of a file without times")
      ->check(CLI::Range(int64_t{1}, int64_t{3'600'000}))
      ->capture_default_str();
  comments->add_flag("--json", options->json,
                     "One line for every --interval-ms of the room, and one at the end");
  comments->add_option("--interval-ms", options->interval_ms, "With --json")
      ->check(CLI::Range(int64_t{100}, int64_t{3'600'000}))
      ->capture_default_str();
  comments->add_option("--config", options->config, "Settings: [text] of heed.toml")
      ->check(CLI::ExistingFile);
  comments->callback([options, exit_code] { *exit_code = WatchComments(*options); });
}

}  // namespace heed::cli
