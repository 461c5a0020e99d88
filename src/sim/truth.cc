#include "sim/truth.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace heed::sim {
namespace {

double Dot(const Vector& a, const Vector& b) {
  float sum = 0;
  for (size_t i = 0; i < kDims; ++i) sum += a[i] * b[i];
  return sum / std::sqrt(static_cast<double>(kDims));
}

// 1 right after a visit, 0.5 twelve hours later, 1 again at the same hour of the next day.
double DailyPeriod(int64_t since_ms) {
  return 0.75 + 0.25 * std::cos(2 * std::numbers::pi * static_cast<double>(since_ms) /
                                static_cast<double>(kDayMs));
}

}  // namespace

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double Interest(const User& user, size_t category, int64_t now) {
  const float kept = user.interest[category];
  if (kept == 0) return 0;
  return kept * std::exp2(-static_cast<double>(now - user.interest_ts) / kInterestHalfLifeMs);
}

void AddInterest(User& user, size_t category, double amount, int64_t now) {
  const double fade = std::exp2(-static_cast<double>(now - user.interest_ts) / kInterestHalfLifeMs);
  for (float& interest : user.interest) interest = static_cast<float>(interest * fade);
  user.interest_ts = now;
  user.interest[category] =
      static_cast<float>(std::clamp(user.interest[category] + amount, -1.0, 1.5));
}

Bond* FindBond(User& user, uint32_t host) {
  const auto end = user.bonds.begin() + user.bond_count;
  const auto found =
      std::find_if(user.bonds.begin(), end, [host](const Bond& bond) { return bond.host == host; });
  return found == end ? nullptr : &*found;
}

Bond& TakeBond(User& user, uint32_t host, int64_t now) {
  if (Bond* bond = FindBond(user, host)) return *bond;
  Bond* slot = nullptr;
  if (user.bond_count < kMaxBonds) {
    slot = &user.bonds[user.bond_count++];
  } else {
    slot = &*std::min_element(user.bonds.begin(), user.bonds.end(),
                              [](const Bond& a, const Bond& b) { return a.strength < b.strength; });
  }
  *slot = {.host = host, .strength = 0, .last_ts = now, .follows = false};
  return *slot;
}

double LastingMatch(const User& user, const Host& host) {
  return 1.1 * Dot(user.taste, host.style) + user.affinity[host.category] + host.quality;
}

double PassingMatch(const User& user, uint32_t number, const Population& world, int64_t now) {
  const Host& host = world.hosts[number];
  double sum = 1.6 * Interest(user, host.category, now);
  for (size_t i = 0; i < user.bond_count; ++i) {
    const Bond& bond = user.bonds[i];
    if (bond.host == number) sum += 1.6 * bond.strength * DailyPeriod(now - bond.last_ts);
  }
  for (const Seen& seen : user.seen) {
    if (seen.host == number && now - seen.ts < 2 * kHourMs) {
      sum -= seen.weight * std::exp(-static_cast<double>(now - seen.ts) / (20.0 * kMinuteMs));
    }
  }
  if (host.explaining != kNobody) {
    const Product& product = world.products[host.explaining];
    sum += 0.4 * Dot(user.taste, product.appeal) - 0.2 * user.price_sense * product.price_level;
  }
  return sum;
}

double EnterProbability(const User& user, uint32_t host, const Population& world,
                        const Calibration& calibration, int64_t now) {
  if (!world.hosts[host].live) return 0;
  return Sigmoid(calibration.enter_bias + LastingMatch(user, world.hosts[host]) +
                 PassingMatch(user, host, world, now));
}

double ShortStayProbability(double match, const Calibration& calibration) {
  return Sigmoid(calibration.short_bias - 0.5 * std::clamp(match, -4.0, 4.0));
}

double MeanLongStayMs(double match, const Calibration& calibration) {
  return calibration.stay_ms * std::exp(0.25 * std::clamp(match, -4.0, 4.0));
}

double ClickProbability(const User& user, const Product& product, bool explained, int64_t now) {
  return Sigmoid(-3.7 + (explained ? 0.9 : 0.0) + 0.9 * Dot(user.taste, product.appeal) +
                 product.charm - user.price_sense * product.price_level +
                 0.6 * Interest(user, product.category, now));
}

double OrderProbability(const User& user, const Product& product, int64_t now) {
  if (product.stock <= 0) return 0;
  return Sigmoid(-2.2 + std::log(user.spend) * 0.5 + 0.7 * Dot(user.taste, product.appeal) +
                 0.5 * product.charm - 1.3 * user.price_sense * product.price_level +
                 0.3 * Interest(user, product.category, now));
}

}  // namespace heed::sim
