#include "sim/people.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "sim/words.h"

namespace heed::sim {
namespace {

// Spread of the log of a host's weight in the feed. With what taste and hours on air add, entries a
// host get a lognormal spread near 1.8: then 70 % of hosts lie below 0.42 of the mean and 4.6 % above
// 3.4 of it, which is KuaiLive's "< 5" and "> 40" at its mean of 11.8.
constexpr double kPopularitySpread = 2.1;
// Same reasoning from KuaiLive's users: mean 225 interactions, 43.8 % below 50.
constexpr double kActivitySpread = 1.3;
constexpr double kSpendSpread = 1.8;
constexpr double kLongest = 8;  // the tail is cut at so many times the mean: one evening is finite

double LogNormal(Random& random, double mean, double spread) {
  return mean * std::exp(spread * random.Normal() - spread * spread / 2);
}

Vector Around(const Vector& centre, double pull, Random& random) {
  const double own = std::sqrt(1 - pull * pull);
  Vector made{};
  for (size_t i = 0; i < kDims; ++i) {
    made[i] = static_cast<float>(pull * centre[i] + own * random.Normal());
  }
  return made;
}

std::string Id(char kind, size_t number) {
  std::string digits = std::to_string(number);
  if (digits.size() < 5) digits.insert(0, 5 - digits.size(), '0');
  return kind + digits;
}

void MakeProducts(const WorldConfig& config, uint32_t number, Random& random, Population& world) {
  Host& host = world.hosts[number];
  for (size_t i = 0; i < config.products_per_host; ++i) {
    Product product;
    product.id = Id('p', world.products.size());
    product.host = number;
    product.category =
        random.Chance(0.85) ? host.category : static_cast<uint8_t>(random.Below(kCategories));
    product.title = ProductTitle(product.category, random);
    product.price_level = static_cast<float>(0.7 * random.Normal());
    const double price =
        CategoryOf(product.category).usual_price_yuan * std::exp(product.price_level);
    product.price_cents = std::max<int64_t>(std::llround(price) * 100 - 10, 90);
    product.list_price_cents =
        product.price_cents + product.price_cents * (1 + random.Below(6)) / 10;
    product.appeal = Around(host.style, 0.6, random);
    product.charm = static_cast<float>(0.5 * random.Normal());
    product.full_stock = 1 + static_cast<int64_t>(std::min(LogNormal(random, 60, 1.2), 5000.0));
    product.stock = product.full_stock;
    host.products.push_back(static_cast<uint32_t>(world.products.size()));
    world.products.push_back(std::move(product));
  }
}

void MakeHosts(const WorldConfig& config, Random& random, Population& world) {
  std::array<Vector, kCategories> centres;
  for (Vector& centre : centres) centre = Around({}, 0, random);
  for (size_t i = 0; i < config.hosts; ++i) {
    Host host;
    host.id = Id('h', i);
    host.name = HostName(random);
    host.category = static_cast<uint8_t>(random.Below(kCategories));
    host.style = Around(centres[host.category], 0.5, random);
    host.quality = static_cast<float>(0.5 * random.Normal());
    host.popularity = LogNormal(random, 1, kPopularitySpread);
    // Broadcasts start mainly between 18 and 22 h.
    host.start_hour = std::clamp(18.8 + 1.7 * random.Normal(), 12.0, 22.5);
    host.session_ms =
        static_cast<double>(kHourMs) * std::clamp(LogNormal(random, 2.5, 0.5), 0.7, 6.0);
    world.hosts.push_back(std::move(host));
    MakeProducts(config, static_cast<uint32_t>(i), random, world);
  }
}

// Users with homes come back to them daily, at the host's hour.
void GiveHomes(const WorldConfig& config, uint32_t number, const std::vector<double>& sums,
               Random& random, Population& world) {
  User& user = world.users[number];
  const size_t homes = 1 + random.Below(3);
  for (size_t i = 0; i < homes; ++i) {
    const double at = random.Uniform() * sums.back();
    const auto host = static_cast<uint32_t>(std::min<size_t>(
        std::upper_bound(sums.begin(), sums.end(), at) - sums.begin(), sums.size() - 1));
    Host& home = world.hosts[host];
    if (std::find(home.fans.begin(), home.fans.end(), number) != home.fans.end()) continue;
    home.fans.push_back(number);
    const auto yesterday = static_cast<int64_t>((home.start_hour + 0.5 - 18 - 24) * kHourMs);
    user.bonds[user.bond_count++] = {.host = host,
                                     .strength = static_cast<float>(random.Uniform(1.0, 1.4)),
                                     .last_ts = config.start_ts + yesterday,
                                     .follows = true};
  }
}

void MakeUsers(const WorldConfig& config, Random& random, Population& world) {
  std::vector<double> sums;
  double sum = 0;
  for (const Host& host : world.hosts) sums.push_back(sum += std::sqrt(host.popularity));
  for (size_t i = 0; i < config.users; ++i) {
    User user;
    user.id = Id('u', i);
    user.taste = Around({}, 0, random);
    for (float& affinity : user.affinity) affinity = static_cast<float>(0.45 * random.Normal());
    for (size_t favourites = 1 + random.Below(3); favourites > 0; --favourites) {
      user.affinity[random.Below(kCategories)] += 1.3f;
    }
    user.price_sense = static_cast<float>(std::max(0.1, 0.6 + 0.3 * random.Normal()));
    user.talk = static_cast<float>(std::min(LogNormal(random, 1, 1.2), 20.0));
    user.spend = static_cast<float>(std::min(LogNormal(random, 1, kSpendSpread), 60.0));
    user.opens_per_evening =
        config.opens_per_evening * std::min(LogNormal(random, 1.05, kActivitySpread), kLongest);
    user.interest_ts = config.start_ts;
    world.users.push_back(std::move(user));
    if (!sums.empty() && random.Chance(config.home_share)) {
      GiveHomes(config, static_cast<uint32_t>(i), sums, random, world);
    }
  }
}

}  // namespace

Population MakePopulation(const WorldConfig& config) {
  Random random(config.seed);
  Population world;
  world.hosts.reserve(config.hosts);
  world.products.reserve(config.hosts * config.products_per_host);
  world.users.reserve(config.users);
  MakeHosts(config, random, world);
  MakeUsers(config, random, world);
  return world;
}

}  // namespace heed::sim
