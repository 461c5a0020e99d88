#include <unistd.h>

#include <boost/json.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <string>

#include "heed/engine.h"

#include "base/log.h"
#include "server/api.h"
#include "server/dispatcher.h"
#include "server/head.h"
#include "server/keys.h"

namespace {

using namespace heed;          // NOLINT(google-build-using-namespace): a fuzz target, not a header
using namespace heed::server;  // NOLINT(google-build-using-namespace)

// A whole server but for its sockets, over an engine in a directory that is removed at the end.
struct World {
  World() {
    SetLogLevel(LogLevel::kOff);
    std::string pattern = (std::filesystem::temp_directory_path() / "heed_fuzz_XXXXXX").string();
    directory = ::mkdtemp(pattern.data());
    config.engine.directory = directory;
    config.server.max_body_bytes = 1 << 16;
    config.server.max_decompressed_bytes = 1 << 20;
    engine = Engine::Open(config.engine).value();
    keys = KeyStore::Open(directory + "/keys.json").value();
    api = std::make_unique<Api>(*engine, config.server, metrics);
    dispatcher =
        std::make_unique<Dispatcher>(Router(MakeRoutes(*api)), config.server, 0, *keys, metrics);
  }
  ~World() {
    dispatcher.reset();
    engine.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  std::string directory;
  Config config;
  Metrics metrics;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<KeyStore> keys;
  std::unique_ptr<Api> api;
  std::unique_ptr<Dispatcher> dispatcher;
};

Response Answer(World& world, const HeadParser& parser) {
  Dispatcher::Admission admission = world.dispatcher->Admit(HeadOf(parser));
  if (admission.refusal) return *admission.refusal;
  admission.request->body = parser.get().body();
  // Shared: a handler's last copy of the reply may outlive our waiting.
  const auto promise = std::make_shared<std::promise<Response>>();
  world.dispatcher->Handle(
      admission.request,
      Reply([promise](const std::function<Response()>& make) { promise->set_value(make()); }));
  Response response = promise->get_future().get();
  world.dispatcher->Finish(*admission.request, response, true);
  return response;
}

}  // namespace

// The input is one HTTP request as it comes over the wire. Whatever it is, it gets an answer that is
// not a 500, and an answer that calls itself JSON is JSON.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World world;
  HeadParser parser;
  parser.eager(true);
  parser.header_limit(8'192);
  parser.body_limit(1 << 16);
  boost::system::error_code error;
  parser.put(boost::asio::buffer(data, size), error);
  if (!parser.is_header_done()) {
    if (error) ExplainBadHead(parser, error);
    return 0;
  }
  if (!parser.is_done()) return 0;
  const Response response = Answer(world, parser);
  if (response.status == 500) std::abort();
  if (response.content_type.ends_with("json") && response.status != 204) {
    boost::json::parse(response.body, error);
    if (error) std::abort();
  }
  return 0;
}
