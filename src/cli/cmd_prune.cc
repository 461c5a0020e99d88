// heed prune: a trained ranker without the heads, experts and table rows it hardly needs.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>

#include "cli/command.h"
#include "train/agreement.h"
#include "train/dataset.h"
#include "train/pruning.h"
#include "train/recipe.h"

namespace heed::cli {
namespace {

struct Options {
  std::string recipe, directory, model, out;
  std::vector<std::string> parts = {"heads", "experts", "rows"};
  double budget = 2e-4;
  bool json = false;
};

struct Judged {  // the pruned ranker beside the one given, on rows nobody chose by
  train::AgreementReport test;
  uint64_t bytes_before = 0, bytes = 0;
};

std::string Steps(const std::vector<train::PruneTrial>& trials) {
  std::string out;
  for (const train::PruneTrial& trial : trials) {
    out += fmt::format(
        R"({}{{"without":"{}","auc_loss":{:.6g},"log_loss_rise":{:.6g},"dropped":{}}})",
        out.empty() ? "" : ",", trial.what, trial.auc_loss, trial.log_loss_rise, trial.dropped);
  }
  return out;
}

void PrintJson(const std::string& name, const train::PruneReport& report, const Judged& judged) {
  std::string tasks;
  for (const train::TaskAgreement& task : judged.test.tasks) {
    if (task.task == "score" && judged.test.tasks.size() > 1) continue;
    tasks += fmt::format(
        R"({}{{"task":"{}","auc":{:.6g},"auc_loss":{:.6g},"log_loss_rise":{:.6g},"overlap":{:.4f}}})",
        tasks.empty() ? "" : ",", task.task, task.auc, task.auc_loss, task.log_loss_rise,
        task.overlap);
  }
  std::printf(
      "%s\n",
      fmt::format(
          R"({{"name":"{}","heads_before":{},"heads":{},"experts_before":{},"experts":{},)"
          R"("rows_before":{},"rows":{},"valid_auc":{:.6g},"valid_auc_loss":{:.6g},)"
          R"("valid_log_loss_rise":{:.6g},"file_bytes_before":{},"file_bytes":{},"test":[{}],)"
          R"("trials":[{}]}})",
          name, report.heads_before, report.heads, report.experts_before, report.experts,
          report.rows_before, report.rows, report.auc, report.auc_loss, report.log_loss_rise,
          judged.bytes_before, judged.bytes, tasks, Steps(report.trials))
          .c_str());
}

void PrintText(const Options& options, const train::PruneReport& report, const Judged& judged) {
  if (!report.kept_whole.empty()) std::printf("kept whole: %s\n", report.kept_whole.c_str());
  const auto part = [](const char* what, uint64_t before, uint64_t after) {
    if (before == 0) {
      std::printf("| %s | none | |\n", what);
    } else {
      std::printf("| %s | %llu | %llu |\n", what, static_cast<unsigned long long>(before),
                  static_cast<unsigned long long>(after));
    }
  };
  std::printf("\n| | before | after |\n|---|---|---|\n");
  part("heads of a history", report.heads_before, report.heads);
  part("shared experts", report.experts_before, report.experts);
  part("table rows", report.rows_before, report.rows);
  part("bytes of the file", judged.bytes_before, judged.bytes);
  std::printf("| AUC on valid rows, mean of tasks | %.4f | %.4f |\n", report.auc,
              report.auc - report.auc_loss);
  for (const train::TaskAgreement& task : judged.test.tasks) {
    if (task.task == "score" && judged.test.tasks.size() > 1) continue;
    std::printf("| %s: AUC on test rows; log loss | %.4f; %.4f | %.4f; %.4f |\n", task.task.c_str(),
                task.auc, task.log_loss, task.auc - task.auc_loss,
                task.log_loss + task.log_loss_rise);
  }
  if (!options.out.empty()) std::printf("\nwritten to %s\n", options.out.c_str());
}

Status Run(const Options& options) {
  // Minutes of trials must not end at a folder that is not there.
  const auto out_folder = std::filesystem::path(options.out).parent_path();
  if (!out_folder.empty() && !std::filesystem::is_directory(out_folder)) {
    return InvalidArgument("the folder '" + out_folder.string() + "' does not exist", "--out");
  }
  HEED_ASSIGN_OR_RETURN(const train::Recipe recipe, train::LoadRecipe(options.recipe));
  HEED_ASSIGN_OR_RETURN(const auto ranker, model::Ranker::Load(options.model));
  HEED_ASSIGN_OR_RETURN(const std::string folder,
                        train::DataFolder(recipe.folder, options.directory));
  HEED_ASSIGN_OR_RETURN(const auto data, train::Dataset::Load(recipe.dataset, folder));
  const auto wants = [&](const char* part) {
    return std::find(options.parts.begin(), options.parts.end(), part) != options.parts.end();
  };
  const train::PruneOptions prune{.budget = options.budget,
                                  .heads = wants("heads"),
                                  .experts = wants("experts"),
                                  .rows = wants("rows")};
  const auto show = [&](const train::PruneTrial& trial) {
    if (options.json) return;
    std::printf("without %-36s AUC loss %+.6f  log loss %+.6f\n", trial.what.c_str(),
                trial.auc_loss, trial.log_loss_rise);
    std::fflush(stdout);
  };
  HEED_ASSIGN_OR_RETURN(const train::PruneResult pruned, train::Prune(*ranker, *data, prune, show));
  if (!options.out.empty()) HEED_RETURN_IF_ERROR(pruned.ranker->Save(options.out));
  Judged judged{.bytes_before = ranker->Serialize().size(),
                .bytes = pruned.ranker->Serialize().size()};
  HEED_ASSIGN_OR_RETURN(judged.test, Compare(*data, *ranker, train::ScorerOf(*ranker),
                                             train::ScorerOf(*pruned.ranker), {}));
  if (options.json) {
    PrintJson(recipe.name, pruned.report, judged);
  } else {
    PrintText(options, pruned.report, judged);
  }
  return {};
}

}  // namespace

void AddPrune(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("prune", "Drop what a trained ranker hardly needs, and say what it costs");
  command->footer(
      "Example:\n  heed prune --config examples/recipes/kuairand.toml --data KuaiRand-Pure "
      "--model model.heed --out small.heed\n"
      "Attention heads, shared experts and table rows go while the mean AUC on valid rows stays\n"
      "within the budget; the test rows, by which nothing is chosen, are judged at the end.");
  command->add_option("--config", options->recipe, "The recipe it was trained by")->required();
  command->add_option("--data", options->directory, "Folder with the data set's files")->required();
  command->add_option("--model", options->model, "A .heed file")->required();
  command->add_option("--out", options->out, "Where the smaller model goes; absent: only measured");
  command->add_option("--max-loss", options->budget, "Of mean AUC on valid rows, all together")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command->add_option("--parts", options->parts, "Which may go")
      ->delimiter(',')
      ->check(CLI::IsMember({"heads", "experts", "rows"}))
      ->default_str("heads,experts,rows");
  command->add_flag("--json", options->json, "One JSON object");
  command->callback([options, exit_code] {
    const Status status = Run(*options);
    *exit_code = status.ok() ? 0 : Fail(status);
  });
}

}  // namespace heed::cli
