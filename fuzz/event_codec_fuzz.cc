// Any bytes: Decode refuses them, or gives an event that is exactly these bytes and valid as JSON.
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static event::JsonReader reader;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto event = event::Decode(bytes);
  if (!event.ok()) {
    Require(event.status().code() == Code::kCorruption, "a refusal is a corruption");
    return 0;
  }
  std::string again;
  event::Encode(event.value(), again);
  Require(again == bytes, "what is accepted encodes to the same bytes");
  const auto read = reader.ReadOne(event::ToJson(event.value()));
  Require(read.ok() && read.value() == event.value(), "what is accepted is valid as JSON");
  return 0;
}
