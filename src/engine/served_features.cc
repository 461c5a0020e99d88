#include "engine/served_features.h"

#include <string>
#include <utility>

#include "base/hash.h"

namespace heed::engine {
namespace {

uint64_t KeyOf(std::string_view tenant, std::string_view decision_id, std::string_view shown) {
  std::string text(tenant);
  text.append(1, '\0').append(decision_id).append(1, '\0').append(shown);
  const uint64_t key = HashBytes(text);
  return key == 0 ? 1 : key;
}

}  // namespace

void ServedFeatures::Add(std::string_view tenant, std::string_view decision_id,
                         std::string_view shown, Features features) {
  const uint64_t key = KeyOf(tenant, decision_id, shown);
  const std::lock_guard lock(mutex_);
  if (ring_.empty() || places_.contains(key)) return;
  Row& row = ring_[next_];
  if (row.key != 0) places_.erase(row.key);
  row.key = key;
  row.features.swap(features);  // the old one is freed after the lock
  places_[key] = next_;
  next_ = (next_ + 1) % ring_.size();
}

ServedFeatures::Features ServedFeatures::Take(std::string_view tenant, std::string_view decision_id,
                                              std::string_view shown) {
  if (decision_id.empty()) return nullptr;
  const uint64_t key = KeyOf(tenant, decision_id, shown);
  const std::lock_guard lock(mutex_);
  const auto found = places_.find(key);
  if (found == places_.end()) return nullptr;
  Row& row = ring_[found->second];
  places_.erase(found);
  row.key = 0;
  return std::exchange(row.features, nullptr);
}

}  // namespace heed::engine
