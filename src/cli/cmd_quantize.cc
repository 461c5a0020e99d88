// heed quantize: what low precision does to a trained ranker, on the data it was made for.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <string>

#include "base/random.h"
#include "cli/command.h"
#include "infer/exact_ranker.h"
#include "train/agreement.h"
#include "train/dataset.h"
#include "train/recipe.h"

namespace heed::cli {
namespace {

using kernels::Precision;

// Calibration: rows as they were shown, and drawn rankings, both of the training split.
constexpr uint32_t kCalibrationRows = 4096;
constexpr train::RequestPlan kCalibrationPlan{.requests = 128, .candidates = 64, .seed = 101};
// What the exact mode's bound is measured on: other rankings of the training split.
constexpr train::RequestPlan kBoundPlan{.requests = 200, .candidates = 500, .seed = 102};

struct Options {
  std::string recipe, directory, model;
  std::vector<std::string> precisions = {"bf16", "int8"};
  std::string split = "test", setting = "online";
  train::RequestPlan plan;
  uint32_t k = 10;
  double exact = 0;  // coverage of the exact mode's bound; 0: without
  bool fp32_tables = false;
  bool json = false;
};

const std::map<std::string, Precision> kPrecisions = {
    {"fp32", Precision::kFp32}, {"bf16", Precision::kBf16}, {"int8", Precision::kInt8}};

std::vector<model::Batch> Calibration(const train::Dataset& data) {
  const std::vector<uint32_t>& all = data.samples_of(train::Split::kTrain);
  const train::View view{train::Setting::kOnline, train::Vocabulary::kAll};
  std::vector<model::Batch> out = DrawRequests(data, view, all, kCalibrationPlan);
  if (all.empty()) return out;
  Random random(kCalibrationPlan.seed);
  std::vector<uint32_t> rows(kCalibrationRows);
  for (uint32_t& row : rows) row = all[random.Below(all.size())];
  data.FillBatch(view, rows, &out.emplace_back());
  return out;
}

train::Scorer ScorerOf(const infer::CompiledRanker& compiled) {
  auto arena = std::make_shared<infer::Arena>();
  return [&compiled, arena](const model::Batch& batch, std::span<float> logits) {
    return compiled.Logits(batch, arena.get(), logits);
  };
}

// The exact mode's best k of the served score beside fp32's.
struct ExactReport {
  std::vector<float> bound;  // of each task's logit
  double rescored = 0;       // candidates a request
  double same_order = 0;     // share of requests whose best k are fp32's in its order
};

struct Line {
  Precision precision;
  infer::CompiledRanker::Footprint bytes;
  train::AgreementReport report;
  std::optional<ExactReport> exact;
};

Result<ExactReport> MeasureExact(const Options& options,
                                 const std::shared_ptr<const model::Ranker>& ranker,
                                 const infer::CompileOptions& compile,
                                 const std::vector<model::Batch>& calibration,
                                 const std::vector<model::Batch>& bounding,
                                 const std::vector<model::Batch>& requests) {
  const infer::ExactOptions exact{.compile = compile, .k = options.k, .coverage = options.exact};
  HEED_ASSIGN_OR_RETURN(const auto made,
                        infer::ExactRanker::Make(ranker, exact, calibration, bounding));
  ExactReport report{.bound = made->bound()};
  infer::Arena arena;
  std::vector<float> weights, logits;
  for (const model::TaskSpec& task : ranker->config().schema.tasks) weights.push_back(task.value);
  for (const model::Batch& batch : requests) {
    model::Scores want;
    HEED_RETURN_IF_ERROR(ranker->Forward(batch, false, &want));
    logits.resize(want.logits.size());
    infer::ExactRanker::Use use;
    HEED_RETURN_IF_ERROR(made->Logits(batch, weights, &arena, logits, &use));
    report.rescored += use.rescored;
    report.same_order += train::CompareOrders(train::ServedScores(*ranker, want.logits),
                                              train::ServedScores(*ranker, logits), options.k)
                                 .same
                             ? 1
                             : 0;
  }
  const auto count = static_cast<double>(requests.size());
  report.rescored /= count, report.same_order /= count;
  return report;
}

std::string Number(double value, const char* format = "{:.6g}") {
  return std::isfinite(value) ? fmt::format(fmt::runtime(format), value) : "null";
}

void PrintJson(const std::string& name, const Options& options, const Line& line) {
  std::string tasks;
  for (const train::TaskAgreement& task : line.report.tasks) {
    tasks += fmt::format(
        R"({}{{"task":"{}","auc_fp32":{},"auc_loss":{},"log_loss_fp32":{},"log_loss_rise":{},"overlap":{},)"
        R"("least_overlap":{},"same_order":{},"pair_flips":{},"rms_error":{},"largest_error":{},)"
        R"("logit_deviation":{}}})",
        tasks.empty() ? "" : ",", task.task, Number(task.auc), Number(task.auc_loss),
        Number(task.log_loss), Number(task.log_loss_rise), Number(task.overlap),
        Number(task.least_overlap), Number(task.same_order), Number(task.flips), Number(task.rms),
        Number(task.largest), Number(task.deviation));
  }
  std::string exact;
  if (line.exact) {
    exact = fmt::format(
        R"(,"exact":{{"coverage":{},"logit_bound":[{}],"rescored":{:.1f},"same_order":{}}})",
        options.exact, fmt::join(line.exact->bound, ","), line.exact->rescored,
        line.exact->same_order);
  }
  std::printf(
      "%s\n",
      fmt::format(
          R"({{"name":"{}","precision":"{}","split":"{}","setting":"{}","rows":{},)"
          R"("requests":{},"candidates":{:.1f},"top":{},"block_bytes":{},"shared_bytes":{},)"
          R"("item_row_bytes":{},"token_row_bytes":{},"table_bytes":{},"tasks":[{}]{}}})",
          name, PrecisionName(line.precision), options.split, options.setting, line.report.rows,
          line.report.requests, line.report.candidates, line.report.k, line.bytes.blocks,
          line.bytes.shared, line.bytes.item_row, line.bytes.token_row, line.bytes.tables, tasks,
          exact)
          .c_str());
}

void PrintTable(const Options& options, const std::vector<Line>& lines) {
  const train::AgreementReport& shape = lines.front().report;
  std::printf(
      "%llu %s rows (%s) for AUC; %llu rankings of %.0f candidates drawn from them for the "
      "rest\n\n",
      static_cast<unsigned long long>(shape.rows), options.split.c_str(), options.setting.c_str(),
      static_cast<unsigned long long>(shape.requests), shape.candidates);
  std::printf(
      "| precision | task | AUC fp32 | AUC loss | top-%u overlap | worst | same order | pair flips "
      "| "
      "rms error | of deviation |\n|---|---|---|---|---|---|---|---|---|---|\n",
      shape.k);
  for (const Line& line : lines) {
    for (const train::TaskAgreement& task : line.report.tasks) {
      const bool first = &task == line.report.tasks.data();
      std::printf("| %s | %s | %s | %s | %.2f %% | %.0f %% | %.1f %% | %.3f %% | %s | %.4f |\n",
                  first ? std::string(PrecisionName(line.precision)).c_str() : "",
                  task.task.c_str(),
                  std::isnan(task.auc) ? "" : fmt::format("{:.4f}", task.auc).c_str(),
                  std::isnan(task.auc) ? "" : fmt::format("{:.1e}", task.auc_loss).c_str(),
                  100 * task.overlap, 100 * task.least_overlap, 100 * task.same_order,
                  100 * task.flips, fmt::format("{:.5f}", task.rms).c_str(), task.deviation);
    }
  }
  std::printf(
      "\n| precision | blocks' weights | weights used once a request or item | row of an item | "
      "of a token | embedding tables |\n|---|---|---|---|---|---|\n");
  for (const Line& line : lines) {
    std::printf("| %s | %.1f KiB | %.1f KiB | %llu B | %llu B | %.1f KiB |\n",
                std::string(PrecisionName(line.precision)).c_str(),
                static_cast<double>(line.bytes.blocks) / 1024,
                static_cast<double>(line.bytes.shared) / 1024,
                static_cast<unsigned long long>(line.bytes.item_row),
                static_cast<unsigned long long>(line.bytes.token_row),
                static_cast<double>(line.bytes.tables) / 1024);
  }
}

void PrintExact(const Options& options, const std::vector<Line>& lines) {
  std::printf(
      "\nExact mode, best %u of the served score; the bound holds %g of the errors seen in "
      "calibration\n\n| precision | bound of a logit | candidates scored again in fp32 | same %u "
      "in the "
      "same order |\n|---|---|---|---|\n",
      options.k, options.exact, options.k);
  for (const Line& line : lines) {
    if (!line.exact) continue;
    std::printf("| %s | %s | %.1f of %.0f | %.1f %% of requests |\n",
                std::string(PrecisionName(line.precision)).c_str(),
                fmt::format("{:.4f}", fmt::join(line.exact->bound, ", ")).c_str(),
                line.exact->rescored, line.report.candidates, 100 * line.exact->same_order);
  }
}

Result<std::vector<Line>> Measure(const Options& options, std::string* name) {
  HEED_ASSIGN_OR_RETURN(const train::Recipe recipe, train::LoadRecipe(options.recipe));
  *name = recipe.name;
  train::AgreementOptions wanted{
      .split = options.split == "valid" ? train::Split::kValid : train::Split::kTest,
      .plan = options.plan,
      .k = options.k};
  HEED_ASSIGN_OR_RETURN(wanted.setting, train::ParseSetting(options.setting));
  HEED_ASSIGN_OR_RETURN(std::shared_ptr<const model::Ranker> ranker,
                        model::Ranker::Load(options.model));
  HEED_ASSIGN_OR_RETURN(const std::string folder,
                        train::DataFolder(recipe.folder, options.directory));
  HEED_ASSIGN_OR_RETURN(const std::unique_ptr<train::Dataset> data,
                        train::Dataset::Load(recipe.dataset, folder));
  HEED_RETURN_IF_ERROR(train::CheckSchema(ranker->config().schema, data->schema()));
  const std::vector<model::Batch> calibration = Calibration(*data);
  HEED_RETURN_IF_ERROR(data->Prepare(wanted.setting));
  std::vector<model::Batch> bounding, requests;
  if (options.exact > 0) {
    bounding = DrawRequests(*data, {train::Setting::kOnline, train::Vocabulary::kAll},
                            data->samples_of(train::Split::kTrain), kBoundPlan);
    requests = DrawRequests(*data, {wanted.setting, train::Vocabulary::kAll},
                            data->samples_of(wanted.split), options.plan);
  }
  std::vector<Line> lines;
  for (const std::string& precision : options.precisions) {
    const infer::CompileOptions compile{.precision = kPrecisions.at(precision)};
    // As it serves: calibrated on the trained tables, then reading its own in its precision.
    const std::shared_ptr<model::Ranker> served = ranker->CopyToServe();
    HEED_ASSIGN_OR_RETURN(const auto compiled,
                          infer::CompiledRanker::Compile(served, compile, calibration));
    if (!options.fp32_tables) served->StoreTables(compile.precision);
    HEED_ASSIGN_OR_RETURN(
        train::AgreementReport report,
        Compare(*data, *ranker, train::ScorerOf(*ranker), ScorerOf(*compiled), wanted));
    Line& line = lines.emplace_back(
        Line{compile.precision, compiled->footprint(), std::move(report), std::nullopt});
    if (options.exact == 0 || compile.precision == Precision::kFp32) continue;
    HEED_ASSIGN_OR_RETURN(line.exact,
                          MeasureExact(options, ranker, compile, calibration, bounding, requests));
  }
  return lines;
}

int Quantize(const Options& options) {
  std::string name;
  const Result<std::vector<Line>> lines = Measure(options, &name);
  if (!lines.ok()) return Fail(lines.status());
  if (options.json) {
    for (const Line& line : lines.value()) PrintJson(name, options, line);
  } else {
    PrintTable(options, lines.value());
    if (options.exact > 0) PrintExact(options, lines.value());
  }
  return 0;
}

}  // namespace

void AddQuantize(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("quantize", "Measure a trained ranker in low precision against itself");
  command->footer(
      "Example:\n  heed quantize --config examples/recipes/kuairand.toml --data KuaiRand-Pure "
      "--model model.heed\n"
      "Calibrates on training rows, judges on test rows, and prints what is lost by each "
      "precision.");
  command->add_option("--config", options->recipe, "The recipe it was trained by")->required();
  command->add_option("--data", options->directory, "Folder with the data set's files")->required();
  command->add_option("--model", options->model, "A .heed file")->required();
  command
      ->add_option("--precision", options->precisions,
                   "bf16, int8, or both; fp32: the compiled form")
      ->delimiter(',')
      ->check(CLI::IsMember({"fp32", "bf16", "int8"}))
      ->default_str("bf16,int8");
  command->add_option("--split", options->split, "valid or test")
      ->check(CLI::IsMember({"valid", "test"}))
      ->capture_default_str();
  command->add_option("--setting", options->setting, "online, day_lagged or frozen")
      ->check(CLI::IsMember({"online", "day_lagged", "frozen"}))
      ->capture_default_str();
  command->add_option("--requests", options->plan.requests, "Rankings drawn from the rows")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command->add_option("--candidates", options->plan.candidates, "Of each ranking")
      ->check(CLI::Range(2, 10000))
      ->capture_default_str();
  command->add_option("--top", options->k, "How many best are compared")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command
      ->add_option(
          "--exact", options->exact,
          "Also the exact mode, whose bound holds this share of calibration's errors; 1: all")
      ->check(CLI::Range(0.5, 1.0));
  command->add_flag("--fp32-tables", options->fp32_tables,
                    "Leave the embedding tables in fp32, to tell what they cost from the rest");
  command->add_option("--seed", options->plan.seed, "Of the draw")->capture_default_str();
  command->add_flag("--json", options->json, "One JSON object a precision");
  command->callback([options, exit_code] { *exit_code = Quantize(*options); });
}

}  // namespace heed::cli
