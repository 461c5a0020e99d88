// heed keys: API keys, made and revoked whether or not a server runs.
#include <cstdio>
#include <string>
#include <vector>

#include "cli/command.h"
#include "server/keys.h"

namespace heed::cli {
namespace {

struct Options {
  std::string directory = "data";
  std::string name, tenant, id;
  std::vector<std::string> scopes = {"events:write", "recommend"};
};

Result<std::unique_ptr<server::KeyStore>> OpenKeys(const Options& options) {
  return server::KeyStore::Open(options.directory + "/keys.json");
}

int Create(const Options& options) {
  const auto keys = OpenKeys(options);
  if (!keys.ok()) return Fail(keys.status());
  const Result<std::string> key =
      keys.value()->Create(options.name, options.scopes, options.tenant);
  if (!key.ok()) return Fail(key.status());
  std::printf("%s\n", key.value().c_str());
  std::fprintf(stderr,
               "This key is shown once: only a hash of it is kept. Send it as\n"
               "  Authorization: Bearer <key>\n");
  return 0;
}

int List(const Options& options) {
  const auto keys = OpenKeys(options);
  if (!keys.ok()) return Fail(keys.status());
  for (const server::ApiKey& key : keys.value()->List()) {
    std::string scopes;
    for (const std::string& scope : key.scopes) scopes += (scopes.empty() ? "" : ",") + scope;
    std::printf("%s  %-16s  tenant %-12s  %s\n", key.id.c_str(),
                key.name.empty() ? "-" : key.name.c_str(),
                key.tenant.empty() ? "any" : key.tenant.c_str(), scopes.c_str());
  }
  return 0;
}

int Revoke(const Options& options) {
  const auto keys = OpenKeys(options);
  if (!keys.ok()) return Fail(keys.status());
  const Status revoked = keys.value()->Revoke(options.id);
  return revoked.ok() ? 0 : Fail(revoked);
}

}  // namespace

void AddKeys(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("keys", "API keys: create, list, revoke");
  command->require_subcommand(1);
  std::string known;
  for (const std::string& scope : server::KnownScopes()) known += " " + scope;
  command->footer(
      "Example:\n  heed keys create --name shop --scope events:write --scope recommend\n"
      "Scopes:" +
      known);
  const auto with_data = [&](CLI::App* sub) {
    sub->add_option("--data", options->directory, "The engine's directory")->capture_default_str();
    return sub;
  };
  CLI::App* create = with_data(command->add_subcommand("create", "Make a key and print it, once"));
  create->add_option("--name", options->name, "For people: who uses it");
  create->add_option("--scope", options->scopes, "What it may do; repeat for several")
      ->capture_default_str();
  create->add_option("--tenant", options->tenant, "The only tenant it may touch; default any");
  create->callback([options, exit_code] { *exit_code = Create(*options); });
  CLI::App* list =
      with_data(command->add_subcommand("list", "Names, scopes and ids; never the keys"));
  list->callback([options, exit_code] { *exit_code = List(*options); });
  CLI::App* revoke =
      with_data(command->add_subcommand("revoke", "End a key; servers see it within a second"));
  revoke->add_option("id", options->id, "The id that `heed keys list` shows")->required();
  revoke->callback([options, exit_code] { *exit_code = Revoke(*options); });
}

}  // namespace heed::cli
