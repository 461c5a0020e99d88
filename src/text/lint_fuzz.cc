// Any bytes are a text and any bytes are a pack: hits stay inside the text and come by place.
#include <cstdlib>
#include <string>
#include <vector>

#include "text/lint.h"

namespace {

constexpr int64_t kNow = 1'795'000'000'000;  // 2026-11-18

void Check(const heed::text::Linter& linter, std::string_view text) {
  uint32_t last = 0;
  for (const heed::text::LintHit& hit : linter.Check(text, kNow)) {
    if (hit.begin < last || hit.begin > hit.end || hit.end > text.size()) std::abort();
    last = hit.begin;
  }
}

std::shared_ptr<const heed::text::Linter> Parse(std::string toml) {
  const std::vector<heed::text::Linter::Source> sources = {{"fuzz.toml", std::move(toml)}};
  auto linter = heed::text::Linter::Parse(sources);
  return linter.ok() ? std::move(linter).value() : nullptr;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto fixed = Parse(
      "name = \"p\"\nversion = \"1\"\neffective_from = \"2020-01-01\"\nunless_before = [\"不\"]\n"
      "[[rule]]\nid = \"a\"\nterms = [\"最\", \"最最\", \"ab\", \"#件\", \"1,\"]\n"
      "unless = [\"最后\", \"第#\"]\n"
      "[[rule]]\nid = \"b\"\nterms = [\"a\", \"aa\"]\nneeds = [\"b\", \"#\"]\nwithin = 2\n");
  if (fixed == nullptr) std::abort();
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Check(*fixed, bytes);
  if (const auto own = Parse(std::string(bytes)); own != nullptr) Check(*own, bytes);
  return 0;
}
