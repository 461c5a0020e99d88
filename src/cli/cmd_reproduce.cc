// heed reproduce: published settings, trained from the raw files and measured.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cli/command.h"
#include "cli/progress.h"
#include "train/experiment.h"

namespace heed::cli {
namespace {

struct Options {
  std::string name;
  std::string directory = ".";
  std::vector<uint64_t> seeds = {1};
  uint32_t jobs = 1;
  bool json = false;
};

struct Job {
  std::shared_ptr<const train::Experiment> experiment;
  std::string folder;
  uint64_t seed = 0;
  Result<train::ExperimentResult> result = Status(Code::kUnavailable, "not run");
};

Result<std::vector<Job>> Plan(const Options& options) {
  const std::vector<std::string> names =
      options.name == "all" ? train::BuiltinExperiments() : std::vector{options.name};
  std::vector<Job> jobs;
  for (const std::string& name : names) {
    HEED_ASSIGN_OR_RETURN(std::unique_ptr<train::Experiment> made, train::BuiltinExperiment(name));
    const std::shared_ptr<const train::Experiment> experiment = std::move(made);
    HEED_ASSIGN_OR_RETURN(const std::string folder,
                          train::DataFolder(*experiment, options.directory));
    for (const uint64_t seed : options.seeds) {
      jobs.push_back({.experiment = experiment, .folder = folder, .seed = seed});
    }
  }
  return jobs;
}

// One training shows its steps; several show how many are done.
void RunAll(const Options& options, std::vector<Job>* jobs) {
  std::mutex mutex;  // of progress and standard output
  Progress progress(jobs->size() == 1 ? "train" : "reproduce",
                    jobs->size() == 1 ? "steps" : "runs");
  std::atomic<size_t> next{0}, done{0};
  const auto work = [&] {
    for (size_t i = next++; i < jobs->size() && !StopRequested(); i = next++) {
      Job& job = (*jobs)[i];
      train::ExperimentRun run{.folder = job.folder, .seed = job.seed, .stop = StopFlag()};
      run.progress = [&](const train::TrainProgress& now) {
        const std::lock_guard lock(mutex);
        if (jobs->size() == 1) return Show(now, &progress);
        progress.Update(done, jobs->size(),
                        fmt::format("{} seed {}: {} {}/{}", job.experiment->name(), job.seed,
                                    now.phase, now.step, now.steps));
      };
      job.result = job.experiment->Reproduce(run);
      const std::lock_guard lock(mutex);
      ++done;
      if (job.result.ok() && !job.result.value().stopped && (jobs->size() > 1)) {
        std::printf("%s\n", ToJson(job.result.value()).c_str());
        std::fflush(stdout);
      }
    }
  };
  std::vector<std::thread> threads;
  for (size_t t = 1; t < std::min<size_t>(options.jobs, jobs->size()); ++t) {
    threads.emplace_back(work);
  }
  work();
  for (std::thread& thread : threads) thread.join();
  progress.Finish();
}

std::string Number(double value) {
  return std::isfinite(value) ? fmt::format("{:.4f}", value) : "";
}

// A Markdown table, as docs/results.md holds it: a row a figure, a column a seed.
void PrintTable(const std::vector<Job>& jobs, const std::vector<uint64_t>& seeds) {
  std::string head = "| setting | figure |", line = "|---|---|";
  for (const uint64_t seed : seeds) head += fmt::format(" seed {} |", seed), line += "---|";
  std::printf("%s mean | published | seconds a seed |\n%s---|---|---|\n", head.c_str(),
              line.c_str());
  for (size_t first = 0; first < jobs.size(); first += seeds.size()) {
    const train::ExperimentResult& shape = jobs[first].result.value();
    for (size_t f = 0; f < shape.figures.size(); ++f) {
      std::string row =
          fmt::format("| {} | {} |", f == 0 ? shape.name : "", shape.figures[f].metric);
      double sum = 0, seconds = 0;
      for (size_t s = 0; s < seeds.size(); ++s) {
        const train::ExperimentResult& result = jobs[first + s].result.value();
        row += fmt::format(" {} |", Number(result.figures[f].value));
        sum += result.figures[f].value, seconds += result.seconds;
      }
      const auto n = static_cast<double>(seeds.size());
      std::printf("%s %s | %s | %s |\n", row.c_str(), Number(sum / n).c_str(),
                  Number(shape.figures[f].published).c_str(),
                  f == 0 ? fmt::format("{:.0f}", seconds / n).c_str() : "");
    }
  }
}

int Reproduce(const Options& options) {
  WatchForStop();
  Result<std::vector<Job>> planned = Plan(options);
  if (!planned.ok()) return Fail(planned.status());
  std::vector<Job>& jobs = planned.value();
  const auto start = std::chrono::steady_clock::now();
  RunAll(options, &jobs);
  if (StopRequested()) return kStopped;
  for (const Job& job : jobs) {
    if (!job.result.ok()) {
      return Fail(job.result.status().Within(job.experiment->name() + ", seed " +
                                             std::to_string(job.seed)));
    }
  }
  if (!options.json) PrintTable(jobs, options.seeds);
  if (jobs.size() == 1) {
    std::printf("%s\n", ToJson(jobs[0].result.value()).c_str());
  } else {
    std::fprintf(
        stderr, "%zu runs, %u at a time, in %.1f min\n", jobs.size(), options.jobs,
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / 60);
  }
  return 0;
}

}  // namespace

void AddReproduce(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("reproduce", "Train and measure published settings from the raw files");
  std::vector<std::string> names = train::BuiltinExperiments();
  std::string listed;
  for (const std::string& name : names) listed += " " + name;
  names.emplace_back("all");
  command->footer(
      "Settings:" + listed +
      "\nExamples:\n  heed reproduce kuairand --data KuaiRand-Pure --seed 1 --json\n"
      "  heed reproduce all --data data --seeds 1,2,3 --jobs 2   the whole results table\n"
      "With one seed the last line is one JSON object; with several there is one a run, and a\n"
      "Markdown table at the end (docs/results.md). DIR is the data set's folder, or one that\n"
      "holds it under its usual name.");
  command->add_option("name", options->name, "Which setting, or all")
      ->required()
      ->check(CLI::IsMember(names));
  command->add_option("--data", options->directory, "Folder with the data set's files")
      ->capture_default_str();
  command->add_option("--seed,--seeds", options->seeds, "Of first weights and row order")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->default_str("1");
  command->add_option("--jobs", options->jobs, "Trainings side by side, one thread each")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_flag("--json", options->json, "Only the JSON lines");
  command->callback([options, exit_code] { *exit_code = Reproduce(*options); });
}

}  // namespace heed::cli
