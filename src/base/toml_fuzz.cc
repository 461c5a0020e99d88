// Any bytes are a file that somebody may name as heed.toml: a table, whose values can be asked for as any
// type, or a Status.
#include <cstdlib>
#include <string_view>

#include "base/toml_table.h"

namespace {

void Walk(const heed::TomlTable& table) {
  for (const std::string& key : table.Keys()) {
    table.String(key, "");
    table.Number(key, 0.0);
    table.Strings(key);
    table.Text(key);
    Walk(table.Table(key));
    for (const heed::TomlTable& one : table.Tables(key)) Walk(one);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto table =
      heed::TomlTable::Parse({reinterpret_cast<const char*>(data), size}, "fuzz.toml");
  if (table.ok()) {
    Walk(table.value());
    const heed::Status status = table.value().Finish();
    if (!status.ok() && status.message().empty()) std::abort();
  } else if (table.status().message().empty()) {
    std::abort();
  }
  return 0;
}
