// The heed command. Each subcommand is a file of its own, cmd_<name>.cc.
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <exception>

#include "cli/command.h"

namespace heed::cli {
namespace {

std::atomic<bool> stop_requested{false};

void OnStop(int signal) {
  if (stop_requested.exchange(true)) _exit(128 + signal);
}

}  // namespace

int Fail(const Status& status) {
  std::fprintf(stderr, "heed: %s\n", status.ToString().c_str());
  return kFailed;
}

void WatchForStop() {
  struct sigaction action {};
  action.sa_handler = OnStop;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool StopRequested() { return stop_requested.load(); }

const std::atomic<bool>* StopFlag() { return &stop_requested; }

int Main(int argc, char** argv) {
  CLI::App app{
      "Heed: an attention engine for live-streaming commerce.\n"
      "It takes the events of live rooms, keeps them safely, learns what holds viewers and what "
      "makes\n"
      "them buy, and ranks hosts and products over HTTP with the attention weights shown.\n"
      "\n"
      "  heed demo                     a simulated evening, from events to explained rankings\n"
      "  heed serve --data DIR         the engine, on http://127.0.0.1:7600\n"
      "  heed reproduce kuairand ...   a published setting, trained and measured here"};
  app.name("heed");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("heed ") + HEED_VERSION);
  app.failure_message(CLI::FailureMessage::help);
  int exit_code = 0;
  AddDemo(app, &exit_code);
  AddServe(app, &exit_code);
  AddImport(app, &exit_code);
  AddTrain(app, &exit_code);
  AddEvaluate(app, &exit_code);
  AddPrune(app, &exit_code);
  AddQuantize(app, &exit_code);
  AddExplain(app, &exit_code);
  AddLint(app, &exit_code);
  AddReproduce(app, &exit_code);
  AddSimulate(app, &exit_code);
  AddWatch(app, &exit_code);
  AddReport(app, &exit_code);
  AddReplay(app, &exit_code);
  AddInspect(app, &exit_code);
  AddModels(app, &exit_code);
  AddKeys(app, &exit_code);
  AddCompletion(app, &exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return exit_code;
}

}  // namespace heed::cli

int main(int argc, char** argv) {
  try {
    return heed::cli::Main(argc, argv);
  } catch (const std::exception& error) {  // a bug, or memory ran out: say what, do not hang
    std::fprintf(stderr, "heed: internal error: %s\n", error.what());
    return heed::cli::kFailed;
  }
}
