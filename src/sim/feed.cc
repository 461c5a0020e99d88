#include "sim/feed.h"

#include <algorithm>
#include <utility>

namespace heed::sim {
namespace {

// A room about to end is not shown: whoever is promised to enter must still find it.
constexpr int64_t kLastShowMs = 5 * kSecondMs;

// Upper ends of the channels' shares; what is left, and what is not live, comes by popularity.
constexpr double kUpToPaid = 0.05;
constexpr double kUpToFollow = kUpToPaid + 0.25;
constexpr double kUpToExplore = kUpToFollow + 0.12;    // evenly over live rooms
constexpr double kUpToCategory = kUpToExplore + 0.35;  // a category the user leans to

}  // namespace

void Feed::Refresh() {
  all_ = {};
  for (Shelf& shelf : by_category_) shelf = {};
  const auto put = [](Shelf& shelf, uint32_t host, double popularity) {
    shelf.hosts.push_back(host);
    shelf.sums.push_back((shelf.sums.empty() ? 0 : shelf.sums.back()) + popularity);
  };
  for (uint32_t i = 0; i < stage_.people.hosts.size(); ++i) {
    const Host& host = stage_.people.hosts[i];
    if (!host.live) continue;
    put(all_, i, host.popularity);
    put(by_category_[host.category], i, host.popularity);
  }
  stale_ = false;
}

uint32_t Feed::Draw(const Shelf& shelf) {
  if (shelf.hosts.empty()) return kNobody;
  const double at = stage_.random.Uniform() * shelf.sums.back();
  const auto found = std::upper_bound(shelf.sums.begin(), shelf.sums.end(), at);
  return shelf.hosts[std::min<size_t>(found - shelf.sums.begin(), shelf.hosts.size() - 1)];
}

bool Feed::Showable(uint32_t host) const {
  return host != kNobody && stage_.people.hosts[host].live &&
         stage_.people.hosts[host].end_ts - stage_.now > kLastShowMs;
}

// `kind`, uniform in [0, 1), chooses the channel.
Shown Feed::Propose(const User& user, double kind) {
  Random& random = stage_.random;
  if (kind < kUpToPaid) return {.host = Draw(all_), .channel = "ad_feed", .paid = true};
  if (kind < kUpToFollow) {
    if (user.bond_count == 0) return {};
    const Bond& bond = user.bonds[random.Below(user.bond_count)];
    return bond.follows ? Shown{.host = bond.host, .channel = "follow"} : Shown{};
  }
  if (kind < kUpToExplore) {
    if (all_.hosts.empty()) return {};
    return {.host = all_.hosts[random.Below(all_.hosts.size())], .channel = "explore"};
  }
  if (kind < kUpToCategory) {
    // The better of two categories drawn evenly: leaning, not choosing.
    const size_t a = random.Below(kCategories), b = random.Below(kCategories);
    return {.host = Draw(by_category_[user.affinity[a] > user.affinity[b] ? a : b]),
            .channel = "category"};
  }
  return {};
}

Shown Feed::Pick(User& user) {
  if (stale_) Refresh();
  Random& random = stage_.random;
  if (user.wanted != kNobody) {
    const uint32_t wanted = std::exchange(user.wanted, kNobody);
    if (Showable(wanted)) return {.host = wanted, .channel = "follow"};
  }
  for (int attempt = 0; attempt < 4; ++attempt) {
    Shown shown = Propose(user, random.Uniform());
    if (!Showable(shown.host)) shown = {.host = Draw(all_), .channel = "feed"};
    if (Showable(shown.host)) return shown;
  }
  return {};
}

}  // namespace heed::sim
