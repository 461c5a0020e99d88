// The world's truth: how likely each thing is. The only place where it is written down; the event
// loop draws from these, and an oracle reads them.
#pragma once

#include <cstdint>

#include "sim/people.h"

namespace heed::sim {

inline constexpr double kInterestHalfLifeMs = 20.0 * kMinuteMs;

// Found on pilot worlds so that the world's means are those of its configuration (World's constructor).
struct Calibration {
  double enter_bias = -2;
  double short_bias = -0.5;
  double stay_ms = 100.0 * kSecondMs;  // mean of a stay that is not short, at match 0
};

double Sigmoid(double x);

// What lasts: taste against style, category, quality. Log-odds without bias, standard deviation
// about 1.5 over the population.
double LastingMatch(const User& user, const Host& host);
// What tonight and the past visits add: recent interest, bond with its daily period, weariness of
// rooms just seen, the product on screen.
double PassingMatch(const User& user, uint32_t host, const Population& world, int64_t now);

// That `user` enters `host`'s room when it is shown to them now; 0 when not live.
double EnterProbability(const User& user, uint32_t host, const Population& world,
                        const Calibration& calibration, int64_t now);
// That an entry ends within kShortStayMs, and the mean of one that does not; `match` is the sum of
// both matches at the moment of entering.
double ShortStayProbability(double match, const Calibration& calibration);
double MeanLongStayMs(double match, const Calibration& calibration);
inline constexpr int64_t kShortStayMs = 3 * kSecondMs;
inline constexpr double kStaySpread = 1.3;  // standard deviation of the log of a long stay
// That a product shown to a viewer inside is clicked; the one being explained draws more.
double ClickProbability(const User& user, const Product& product, bool explained, int64_t now);
// That a click becomes an order; 0 out of stock.
double OrderProbability(const User& user, const Product& product, int64_t now);

double Interest(const User& user, size_t category, int64_t now);
void AddInterest(User& user, size_t category, double amount, int64_t now);

Bond* FindBond(User& user, uint32_t host);
// Finds, or makes room by dropping the weakest.
Bond& TakeBond(User& user, uint32_t host, int64_t now);

}  // namespace heed::sim
