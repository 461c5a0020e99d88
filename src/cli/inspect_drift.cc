#include "cli/inspect_drift.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "cli/command.h"
#include "cli/json_fields.h"
#include "server/http_client.h"
#include "train/dataset.h"
#include "train/evaluate.h"
#include "train/input_drift.h"
#include "train/recipe.h"

namespace heed::cli {
namespace {

namespace json = boost::json;

constexpr double kWorthALook = 0.1, kAnotherPopulation = 0.25;
constexpr std::string_view kPsi = "psi";

json::value NumberOrNull(double number) {
  return std::isfinite(number) ? json::value(number) : json::value(nullptr);
}

// {model, heads: [{task, rows, auc, pcoc, ece; of a value paid, revenue_capture and, of a server,
// mean_absolute_error, huber_loss}], unseen_keys, inputs: [{name, mean, deviation, absent,
// divergence, psi}]}
void Show(const DriftOptions& options, const json::object& report) {
  if (options.json) {
    std::printf("%s\n", json::serialize(report).c_str());
    return;
  }
  std::printf("%s\n", std::string(report.at("model").as_string()).c_str());
  std::printf("  %-20s %9s %8s %7s %7s\n", "head", "rows", "AUC", "PCOC", "ECE");
  for (const json::value& head : report.at("heads").as_array()) {
    std::printf("  %-20s %9s %8s %7s %7s\n", std::string(head.at("task").as_string()).c_str(),
                Number(head, "rows", 0).c_str(), Number(head, "auc", 4).c_str(),
                Number(head, "pcoc", 3).c_str(), Number(head, "ece", 4).c_str());
  }
  for (const json::value& head : report.at("heads").as_array()) {
    if (!head.as_object().contains("revenue_capture")) continue;
    std::printf("  %s: revenue at 1 %% %s, off by %s on average, Huber loss %s\n",
                std::string(head.at("task").as_string()).c_str(),
                Number(head, "revenue_capture", 3).c_str(),
                Number(head, "mean_absolute_error", 1).c_str(),
                Number(head, "huber_loss", 4).c_str());
  }
  std::printf("  keys without a row: %s\n", Number(report, "unseen_keys", 4).c_str());
  std::printf("  %-28s %9s %9s %8s %10s %8s\n", "input", "mean", "deviation", "absent",
              "divergence", "PSI");
  bool without_bins = false;
  for (const json::value& input : report.at("inputs").as_array()) {
    double far = 0;
    for (const std::string_view measure : {std::string_view("divergence"), kPsi}) {
      const json::value* value = input.as_object().if_contains(measure);
      const bool known = value != nullptr && value->is_number();
      if (known) far = std::max(far, value->to_number<double>());
      if (!known && measure == kPsi) without_bins = true;
    }
    std::printf("  %-28s %9s %9s %8s %10s %8s%s\n",
                std::string(input.at("name").as_string()).c_str(), Number(input, "mean", 3).c_str(),
                Number(input, "deviation", 3).c_str(), Number(input, "absent", 3).c_str(),
                Number(input, "divergence", 4).c_str(), Number(input, "psi", 4).c_str(),
                far >= kAnotherPopulation ? "  far from training"
                : far >= kWorthALook      ? "  worth a look"
                                          : "");
  }
  if (without_bins) {
    std::printf("  no PSI: of a model made by an earlier build, or of fewer than %.0f rows\n",
                train::InputDrift::kMinPsiRows);
  }
}

Result<json::object> JudgeFile(const DriftOptions& options) {
  HEED_ASSIGN_OR_RETURN(const train::Recipe recipe, train::LoadRecipe(options.recipe));
  HEED_ASSIGN_OR_RETURN(const std::unique_ptr<model::Ranker> ranker,
                        model::Ranker::Load(options.model));
  HEED_ASSIGN_OR_RETURN(const std::unique_ptr<train::Dataset> data,
                        train::Dataset::Load(recipe.dataset, options.directory));
  train::EvaluateOptions wanted;
  wanted.split = options.split == "valid" ? train::Split::kValid : train::Split::kTest;
  HEED_ASSIGN_OR_RETURN(const train::EvaluationReport report,
                        train::Evaluate(*ranker, *data, wanted));
  json::array heads;
  for (const train::TaskReport& task : report.tasks) {
    json::object head = {{"task", task.task}, {"rows", report.rows}};
    if (task.value) {
      head["pcoc"] = NumberOrNull(task.value->pcoc);
      head["paid"] = task.value->paid;
      head["revenue_capture"] = NumberOrNull(task.value->revenue_capture);
    } else {
      head["auc"] = NumberOrNull(task.metrics.auc);
      head["pcoc"] = NumberOrNull(task.metrics.pcoc);
      head["ece"] = NumberOrNull(task.metrics.ece);
    }
    heads.push_back(std::move(head));
  }
  const std::span<const uint32_t> rows = data->samples_of(wanted.split);
  // With a horizon that no row is far from, the means are those of all rows.
  train::InputDrift drift(data->schema(), ~uint32_t{0});
  model::Batch batch;
  constexpr size_t kBatchRows = 1024;
  for (size_t first = 0; first < rows.size(); first += kBatchRows) {
    data->FillBatch({wanted.setting, train::Vocabulary::kAll},
                    rows.subspan(first, std::min(kBatchRows, rows.size() - first)), &batch);
    drift.Add(*ranker, batch);
  }
  json::array inputs;
  const std::vector<train::InputDrift::Numeric> numerics = drift.numerics(*ranker);
  for (size_t i = 0; i < numerics.size(); ++i) {
    inputs.push_back({{"name", data->schema().numerics[i].name},
                      {"mean", NumberOrNull(numerics[i].mean)},
                      {"deviation", NumberOrNull(numerics[i].deviation)},
                      {"absent", NumberOrNull(numerics[i].absent)},
                      {"divergence", NumberOrNull(numerics[i].divergence())},
                      {"psi", NumberOrNull(numerics[i].psi)}});
  }
  return json::object{{"model", options.model},
                      {"heads", std::move(heads)},
                      {"unseen_keys", NumberOrNull(drift.unseen_keys())},
                      {"inputs", std::move(inputs)}};
}

Result<json::object> AskServer(const DriftOptions& options) {
  HEED_ASSIGN_OR_RETURN(auto client, server::HttpClient::Connect(options.host, options.port));
  server::HttpClient::Headers headers;
  if (!options.key.empty()) headers.emplace_back("Authorization", "Bearer " + options.key);
  HEED_ASSIGN_OR_RETURN(const auto response, client.Request("GET", "/v1/models", "", headers));
  json::error_code broken;
  const json::value answer = json::parse(response.body, broken);
  if (response.status != 200 || broken || !answer.is_object()) {
    return Status(Code::kUnavailable, "GET /v1/models: " + std::to_string(response.status));
  }
  for (const json::value& learning : answer.at("learning").as_array()) {
    if (learning.at("name").as_string() != options.model) continue;
    json::array heads;
    for (const json::value& task : learning.at("tasks").as_array()) {
      heads.push_back({{"task", task.at("task")},
                       {"rows", task.at("judged")},
                       {"auc", task.at("auc")},
                       {"pcoc", task.at("pcoc")},
                       {"ece", task.at("ece")}});
      for (const char* of_value :
           {"paid", "revenue_capture", "mean_absolute_error", "huber_loss"}) {
        if (const json::value* value = task.as_object().if_contains(of_value)) {
          heads.back().as_object()[of_value] = *value;
        }
      }
    }
    return json::object{{"model", learning.at("version")},
                        {"heads", std::move(heads)},
                        {"unseen_keys", learning.at("unseen_keys")},
                        {"inputs", learning.at("inputs")}};
  }
  return NotFound("no model '" + options.model + "' learns there");
}

int ShowOrFail(const DriftOptions& options, const Result<json::object>& report) {
  if (!report.ok()) return Fail(report.status());
  Show(options, report.value());
  return 0;
}

}  // namespace

int InspectDriftOfFile(const DriftOptions& options) {
  return ShowOrFail(options, JudgeFile(options));
}

int InspectDriftOfServer(const DriftOptions& options) {
  return ShowOrFail(options, AskServer(options));
}

}  // namespace heed::cli
