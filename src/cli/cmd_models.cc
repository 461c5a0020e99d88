// heed models: versions and learning of a server that runs, over its HTTP API.
#include <boost/json.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "cli/command.h"
#include "cli/json_fields.h"
#include "server/http_client.h"

namespace heed::cli {
namespace {

namespace json = boost::json;

struct Options {
  std::string host = "127.0.0.1";
  uint16_t port = 7600;
  std::string key;
  std::string which;  // a version, or a name
  bool json = false;
};

void PrintLearning(const json::value& learning) {
  const bool on = learning.at("learning").as_bool();
  std::printf("%s  %s%s\n", Text(learning, "version").c_str(),
              on ? "learns" : "stopped: ", on ? "" : Text(learning, "stopped").c_str());
  std::printf("  impressions  %s followed, %s left, %s with the features of their decision\n",
              Number(learning, "shown", 0).c_str(), Number(learning, "skipped", 0).c_str(),
              Number(learning, "by_decision", 0).c_str());
  std::printf("  steps        %s, %s refused; event to weights %s s (median), %s s (p99)\n",
              Number(learning, "steps", 0).c_str(), Number(learning, "refused_steps", 0).c_str(),
              Number(learning, "event_to_weights_p50_s", 3).c_str(),
              Number(learning, "event_to_weights_p99_s", 3).c_str());
  std::printf("  health       loss %s beside its shadow, standard error %s; %s rollbacks\n",
              Number(learning, "loss_difference", 4).c_str(),
              Number(learning, "loss_difference_error", 4).c_str(),
              Number(learning, "rollbacks", 0).c_str());
  std::printf("  %-12s %9s %9s %9s %9s %7s %8s %6s %6s\n", "task", "open", "positive", "negative",
              "corrected", "AUC", "log loss", "PCOC", "ECE");
  for (const json::value& task : learning.at("tasks").as_array()) {
    std::printf("  %-12s %9s %9s %9s %9s %7s %8s %6s %6s\n", Text(task, "task").c_str(),
                Number(task, "open", 0).c_str(), Number(task, "positive", 0).c_str(),
                Number(task, "negative", 0).c_str(), Number(task, "corrected", 0).c_str(),
                Number(task, "auc", 4).c_str(), Number(task, "log_loss", 4).c_str(),
                Number(task, "pcoc", 3).c_str(), Number(task, "ece", 4).c_str());
  }
}

void Print(const json::value& answer) {
  for (const json::value& model : answer.at("models").as_array()) {
    const bool active = model.at("active").as_bool(), shadow = model.at("shadow").as_bool();
    std::printf("%-20s %s%s%s\n", Text(model, "version").c_str(), active ? "active" : "",
                active && shadow ? ", " : "", shadow ? "shadow" : "");
  }
  if (answer.at("models").as_array().empty())
    std::printf("no model yet: heed train, or POST /v1/train\n");
  for (const json::value& learning : answer.at("learning").as_array()) {
    std::printf("\n");
    PrintLearning(learning);
  }
}

int Ask(const Options& options, const char* method, const std::string& target,
        const std::string& body = "") {
  auto client = server::HttpClient::Connect(options.host, options.port);
  if (!client.ok()) return Fail(client.status());
  server::HttpClient::Headers headers;
  if (!options.key.empty()) headers.emplace_back("Authorization", "Bearer " + options.key);
  if (!body.empty()) headers.emplace_back("Content-Type", "application/json");
  const auto response = client.value().Request(method, target, body, headers);
  if (!response.ok()) return Fail(response.status());
  json::error_code broken;
  const json::value answer = json::parse(response.value().body, broken);
  if (broken || !answer.is_object()) return Fail(IoError("the answer is no JSON object"));
  if (response.value().status >= 400) {
    return Fail(Status(Code::kUnavailable,
                       std::to_string(response.value().status) + ": " + Text(answer, "detail")));
  }
  if (options.json) {
    std::printf("%s\n", response.value().body.c_str());
  } else {
    Print(answer);
  }
  return 0;
}

}  // namespace

void AddModels(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("models", "Versions and learning of a server that runs");
  command->require_subcommand(1);
  command->footer(
      "Examples:\n  heed models list\n  heed models activate hosts-000002\n"
      "  heed models shadow hosts-000001\n  heed models rollback hosts\n  heed models stop "
      "products");
  command->add_option("--host", options->host, "Where the server listens")->capture_default_str();
  command->add_option("--port", options->port, "Its port")->capture_default_str();
  command->add_option("--key", options->key, "An API key with the scope models")
      ->envname("HEED_KEY");
  command->add_flag("--json", options->json, "The server's answer as it is");
  const auto add = [&](const char* name, const char* help, const char* argument, auto run) {
    CLI::App* sub = command->add_subcommand(name, help);
    sub->fallthrough();
    if (argument != nullptr) sub->add_option(argument, options->which, "")->required();
    sub->callback([options, exit_code, run] { *exit_code = run(*options); });
  };
  add("list", "What there is, what serves, how learning goes", nullptr,
      [](const Options& o) { return Ask(o, "GET", "/v1/models"); });
  add("activate", "Serve a version, and learn on from it", "version",
      [](const Options& o) { return Ask(o, "POST", "/v1/models/" + o.which + "/activate"); });
  add("shadow", "Judge what is learned by a version", "version",
      [](const Options& o) { return Ask(o, "POST", "/v1/models/" + o.which + "/shadow"); });
  add("rollback", "Back to the shadow's weights", "name",
      [](const Options& o) { return Ask(o, "POST", "/v1/models/" + o.which + "/rollback"); });
  add("stop", "Stop learning; what serves stays", "name", [](const Options& o) {
    return Ask(o, "POST", "/v1/models/" + o.which + "/learning", R"({"on":false})");
  });
  add("learn", "Go on learning, also after an alarm", "name", [](const Options& o) {
    return Ask(o, "POST", "/v1/models/" + o.which + "/learning", R"({"on":true})");
  });
}

}  // namespace heed::cli
