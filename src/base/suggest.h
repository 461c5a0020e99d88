// "did you mean": the nearest of a few known names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace heed {

// " (did you mean 'x'?)" when some candidate is near enough in edit distance to be a slip of the
// hand, else "".
std::string Suggestion(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace heed
