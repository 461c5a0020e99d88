// The words of the simulated world: categories, names, titles, comments.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/random.h"
#include "sim/world_config.h"

namespace heed::sim {

struct Category {
  std::string_view name;
  double usual_price_yuan;
  bool sized;  // clothing and shoes: viewers ask for sizes
  std::span<const std::string_view> nouns;
};
const Category& CategoryOf(size_t index);  // below kCategories

std::string HostName(Random& random);
std::string ProductTitle(size_t category, Random& random);
std::string RoomTitle(size_t category, Random& random);
// One comment: a greeting, an opinion or a question; sizes are asked for in sized categories.
std::string Comment(size_t category, Random& random);

}  // namespace heed::sim
