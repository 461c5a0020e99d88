#include "decide/explore.h"

#include <algorithm>
#include <numeric>

namespace heed::decide {

Slate ChooseSlate(std::span<const float> scores, size_t limit, double epsilon, Random* random) {
  Slate slate;
  std::vector<uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0u);
  const auto better = [&](uint32_t a, uint32_t b) {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  };
  limit = std::min(limit, order.size());
  if (limit == 0) return slate;
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(limit), order.end(),
                    better);
  slate.shown.assign(order.begin(), order.begin() + static_cast<ptrdiff_t>(limit));
  slate.propensity.assign(limit, 1.0f);
  const size_t contenders = order.size() - limit + 1;
  if (contenders == 1 || epsilon <= 0) return slate;
  const double chance = epsilon / static_cast<double>(contenders);
  size_t pick = limit - 1;
  if (random->Chance(epsilon)) pick += random->Below(contenders);
  slate.shown.back() = order[pick];
  slate.propensity.back() = static_cast<float>(pick == limit - 1 ? 1.0 - epsilon + chance : chance);
  return slate;
}

}  // namespace heed::decide
