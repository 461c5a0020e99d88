// The tables as bytes and back. Format: docs/formats/state.md, version 1.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "state/tables.h"

namespace heed::state {

// The writer must stand still.
std::string SerializeTables(const Tables& tables, uint64_t last_sequence);

// Into empty tables. Never trusts `bytes`: what it accepts serialises to the same bytes. On
// kCorruption the tables are of no use.
Status RestoreTables(std::string_view bytes, Tables& tables, uint64_t& last_sequence);

}  // namespace heed::state
