// heed report: a broadcast on one page.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "base/file.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "media/moment_json.h"
#include "media/moments.h"
#include "report/report.h"

namespace heed::cli {
namespace {

struct Options {
  std::string input, model, out, room;
};

// As heed watch writes them.
bool HoldsMoments(std::string_view bytes) {
  const size_t first = bytes.find_first_not_of(" \t\r\n");
  return bytes.starts_with("HEEDMOM") || (first != std::string_view::npos && bytes[first] == '{');
}

Result<std::vector<media::Moment>> Watch(const Options& options) {
  std::vector<media::Moment> moments;
  Progress progress("watch", "seconds");
  media::MomentBuilder builder({.room = options.room}, [&](const media::Moment& moment) {
    moments.push_back(moment);
    progress.Update(moments.size(), 0);
  });
  HEED_RETURN_IF_ERROR(media::Decode({.input = options.input}, builder.Sink(), *StopFlag()));
  builder.Finish();
  return moments;
}

Result<std::vector<media::Moment>> Read(const Options& options) {
  if (media::IsUrl(options.input)) {
    return InvalidArgument(options.input +
                           ": a report is of a file; record a stream with heed watch --json");
  }
  std::string head(64, '\0');
  std::ifstream file(options.input, std::ios::binary);
  if (!file) return NotFound(options.input + ": cannot be read");
  head.resize(static_cast<size_t>(file.read(head.data(), 64).gcount()));
  if (!HoldsMoments(head)) return Watch(options);
  HEED_ASSIGN_OR_RETURN(const std::string bytes, ReadWholeFile(options.input));
  HEED_ASSIGN_OR_RETURN(std::vector<media::Moment> moments,
                        media::ReadMoments(bytes, options.input));
  if (!options.room.empty()) {
    std::erase_if(moments, [&](const media::Moment& m) { return m.room != options.room; });
    if (moments.empty()) return NotFound(options.input + ": no moments of room " + options.room);
  }
  for (const media::Moment& moment : moments) {
    if (moment.room != moments.front().room) {
      return InvalidArgument(options.input + ": moments of the rooms '" + moments.front().room +
                             "' and '" + moment.room + "': name one with --room");
    }
  }
  return moments;
}

Status Write(const Options& options) {
  namespace fs = std::filesystem;
  std::shared_ptr<const model::MomentAttention> model;
  if (!options.model.empty()) {
    HEED_ASSIGN_OR_RETURN(model, model::MomentAttention::Load(options.model));
  }
  std::error_code none;
  if (fs::equivalent(options.input, options.out, none)) {
    return InvalidArgument(options.out + ": would take the place of what the report is made from");
  }
  HEED_ASSIGN_OR_RETURN(const std::vector<media::Moment> moments, Read(options));
  const auto html =
      report::WriteReport(moments, model,
                          {.title = fs::path(options.input).filename().string(),
                           .model_name = fs::path(options.model).filename().string()});
  if (!html.ok()) return html.status().Within(options.input);
  return ReplaceFile(options.out, html.value());
}

int Report(Options options) {
  WatchForStop();
  if (options.out.empty()) {
    options.out = std::filesystem::path(options.input).replace_extension(".html").string();
  }
  const Status status = Write(options);
  if (StopRequested()) return kStopped;
  if (!status.ok()) return Fail(status);
  std::printf("%s\n", options.out.c_str());
  return 0;
}

}  // namespace

void AddReport(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "report", "Write a broadcast on one HTML page: attention, moments that stood out, and why");
  command->footer(
      "Examples:\n  heed watch show.mp4 --json > show.jsonl && heed report show.jsonl\n"
      "  heed report show.mp4 --model moments.heed -o show.html\n"
      "Without a model the page shows what was measured and how unusual it was, and says that it\n"
      "knows nothing of viewers. A model comes from heed train --config with a recipe of kind\n"
      "\"moments\" (docs/moments.md). The page needs no network and no other file.");
  command->add_option("file", options->input, "Moments (heed watch --json) or a recording")
      ->required();
  command->add_option("--model", options->model, "Moment attention, from heed train");
  command->add_option("-o,--out", options->out, "The page; default: the file's name with .html");
  command->add_option("--room", options->room,
                      "Of a file with several: which; of a recording: its id");
  command->callback([options, exit_code] { *exit_code = Report(*options); });
}

}  // namespace heed::cli
