// What is known of the products of a room: its shelf, and where that does not say it, the catalog.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "decide/catalog.h"
#include "state/state.h"

namespace heed::engine {

struct ShelfProduct {
  std::string id, title;
  std::optional<int64_t> price_cents, stock;  // absent: not said
};

// Without those taken off. Empty for a room that is not known.
std::vector<ShelfProduct> Shelf(const state::State& state, const decide::Catalog& catalog,
                                std::string_view tenant, std::string_view room);

}  // namespace heed::engine
