// What every command of the `heed` program shares.
#pragma once

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <string>

#include "heed/engine.h"
#include "heed/status.h"

namespace heed::cli {

// Exit codes: 0 done, 1 failed (the message says why), 2 wrong usage, 130 stopped by Ctrl-C.
inline constexpr int kFailed = 1;
inline constexpr int kStopped = 130;

// Each adds one subcommand whose callback stores what it came to in *exit_code.
void AddServe(CLI::App& app, int* exit_code);
void AddDemo(CLI::App& app, int* exit_code);
void AddSimulate(CLI::App& app, int* exit_code);
void AddImport(CLI::App& app, int* exit_code);
void AddTrain(CLI::App& app, int* exit_code);
void AddEvaluate(CLI::App& app, int* exit_code);
void AddPrune(CLI::App& app, int* exit_code);
void AddQuantize(CLI::App& app, int* exit_code);
void AddExplain(CLI::App& app, int* exit_code);
void AddLint(CLI::App& app, int* exit_code);
void AddReproduce(CLI::App& app, int* exit_code);
void AddReport(CLI::App& app, int* exit_code);
void AddReplay(CLI::App& app, int* exit_code);
void AddInspect(CLI::App& app, int* exit_code);
void AddModels(CLI::App& app, int* exit_code);
void AddKeys(CLI::App& app, int* exit_code);
void AddWatch(CLI::App& app, int* exit_code);
void AddWatchComments(CLI::App& watch, int* exit_code);
void AddCompletion(CLI::App& app, int* exit_code);

// Engine::Train with a progress bar, stopped by Ctrl-C.
Result<TrainReport> TrainWithProgress(Engine& engine);
void PrintQuality(const TrainedModel& model, std::FILE* out);

// Prints "heed: <message>" to standard error and returns kFailed.
int Fail(const Status& status);

// True once Ctrl-C or SIGTERM has come. Installed by the first call to WatchForStop; a second Ctrl-C
// ends the process at once.
void WatchForStop();
bool StopRequested();
// The same, for long work to look at.
const std::atomic<bool>* StopFlag();

}  // namespace heed::cli
