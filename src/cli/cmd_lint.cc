// heed lint: what the law forbids to say, in files or on standard input.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "engine/text_tools.h"
#include "event/json_text.h"
#include "text/normalize.h"
#include "text/transcript.h"

namespace heed::cli {
namespace {

struct Options {
  std::string packs, model;  // empty: those of the program
  std::string file;
  bool json = false;
};

std::string Quoted(std::string_view text) {
  std::string out;
  event::AppendString(text::ValidUtf8(text), out);
  return out;
}

// `where`: a line of a file, or a time of a transcript. True: something that must not be said.
bool Check(const engine::TextTools& tools, const std::string& where, const std::string& text,
           bool json) {
  bool blocked = false;
  for (const text::LintHit& hit : tools.Lint(text, Clock::System().now_ms(), /*listen=*/true)) {
    const std::string_view words = std::string_view(text).substr(hit.begin, hit.end - hit.begin);
    blocked = blocked || hit.severity == "block";
    if (json) {
      fmt::print(R"({{"where":{},"pack":{},"version":{},"rule":{},"severity":{},"basis":{},)"
                 R"("begin":{},"end":{},"words":{}}})"
                 "\n",
                 Quoted(where), Quoted(hit.pack), Quoted(hit.version), Quoted(hit.rule),
                 Quoted(hit.severity), Quoted(hit.basis), hit.begin, hit.end, Quoted(words));
    } else {
      fmt::print("{}: {} {}/{} {}: {} ({})\n", where, hit.severity, hit.pack, hit.version, hit.rule,
                 text::ValidUtf8(words), hit.basis);
    }
  }
  return blocked;
}

int Lint(const Options& options) {
  TextOptions files;
  files.packs = options.packs;
  files.lint_model = options.model;
  const auto tools = engine::TextTools::Load(files);
  if (!tools.ok()) return Fail(tools.status());
  bool blocked = false;
  const std::string ending = std::filesystem::path(options.file).extension().string();
  if (ending == ".vtt" || ending == ".srt" || ending == ".jsonl") {
    const auto segments = text::ReadTranscriptFile(options.file);
    if (!segments.ok()) return Fail(segments.status());
    for (const text::TranscriptSegment& segment : segments.value()) {
      const std::string where =
          fmt::format("{}:{:.3f}s", options.file, static_cast<double>(segment.begin_ms) / 1000);
      blocked = Check(*tools.value(), where, segment.text, options.json) || blocked;
    }
  } else {
    std::ifstream file;
    if (!options.file.empty()) {
      file.open(options.file, std::ios::binary);
      if (!file) return Fail(NotFound(options.file));
    }
    std::istream& in = options.file.empty() ? std::cin : file;
    std::string line;
    for (size_t number = 1; !StopRequested() && std::getline(in, line); ++number) {
      if (line.ends_with('\r')) line.pop_back();
      const std::string where =
          fmt::format("{}:{}", options.file.empty() ? "-" : options.file, number);
      blocked = Check(*tools.value(), where, line, options.json) || blocked;
    }
  }
  std::fflush(stdout);
  if (std::ferror(stdout) != 0) return Fail(IoError("standard output cannot be written"));
  return blocked ? kFailed : 0;
}

}  // namespace

void AddLint(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("lint", "Find what the law forbids to say in a live room");
  command->footer(
      "Examples:\n"
      "  heed lint script.txt                     one text a line\n"
      "  heed lint evening.srt --json             a transcript: .srt, .vtt, .jsonl\n"
      "Ends with 1 when a rule of severity \"block\" is hit. No legal advice: docs/compliance.md.");
  command->add_option("file", options->file, "Lines of text, or a transcript; none: standard input")
      ->check(CLI::ExistingFile);
  command
      ->add_option("--packs", options->packs,
                   "Folder with packs (*.toml) in place of the program's own")
      ->check(CLI::ExistingDirectory);
  command
      ->add_option("--model", options->model,
                   "The ear beside them, from heed train, in place of the program's own")
      ->check(CLI::ExistingFile);
  command->add_flag("--json", options->json, "One JSON object a hit");
  command->callback([options, exit_code] { *exit_code = Lint(*options); });
}

}  // namespace heed::cli
