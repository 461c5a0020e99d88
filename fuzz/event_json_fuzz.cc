// Any body: the reader refuses it with a reason, or gives events that survive JSON and the codec.
#include <simdjson.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "event/codec.h"
#include "event/json.h"

namespace {

using namespace heed;  // NOLINT(google-build-using-namespace)

void Require(bool condition, const char* promise) {
  if (condition) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

void CheckStatus(const Status& status) {
  Require(!status.message().empty(), "a refusal has a message");
  Require(simdjson::validate_utf8(status.message()), "a message is UTF-8");
}

void CheckEvent(const event::Event& event) {
  event::JsonReader reader;
  const std::string text = event::ToJson(event);
  const auto again = reader.ReadOne(text);
  Require(again.ok() && again.value() == event, "JSON gives the same event again");
  Require(event::ToJson(again.value()) == text, "the same event gives the same JSON");
  std::string bytes;
  event::Encode(event, bytes);
  const auto decoded = event::Decode(bytes);
  Require(decoded.ok() && decoded.value() == event, "the codec gives the same event again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static event::JsonReader reader;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const auto result = reader.ReadBody(body, 100);
  if (!result.ok()) {
    CheckStatus(result.status());
    return 0;
  }
  Require(result.value().events.size() == result.value().positions.size(), "a position an event");
  for (const auto& event : result.value().events) CheckEvent(event);
  for (const auto& rejected : result.value().rejected) CheckStatus(rejected.status);
  return 0;
}
