#include "train/moment_world.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/random.h"

namespace heed::train {
namespace {

constexpr size_t kOutcomes = model::kMomentOutcomes;
constexpr size_t kWarm = 120;  // seconds before a room's first, so that responses have a past
// Events per viewer and second: leaves, comments, clicks.
constexpr std::array<double, kOutcomes> kLevels = {0.004, 0.01, 0.004};
// Which outcomes an effect raises: who is held stays.
constexpr std::array<double, kOutcomes> kSigns = {-0.7, 1, 1};

uint32_t Poisson(double mean, Random& random) {
  const double limit = std::exp(-mean);
  uint32_t n = 0;
  for (double product = random.Uniform(); product > limit; product *= random.Uniform()) ++n;
  return n;
}

// Stationary, deviation 1.
class Memory {
 public:
  Memory(double seconds, Random& random)
      : keep_(std::exp(-1 / seconds)), fresh_(std::sqrt(1 - keep_ * keep_)), x_(random.Normal()) {}
  double Next(Random& random) { return x_ = keep_ * x_ + fresh_ * random.Normal(); }

 private:
  double keep_, fresh_, x_;
};

// Stretches in sight and out of it.
class Sight {
 public:
  Sight(double seen_s, double unseen_s) : seen_s_(seen_s), unseen_s_(unseen_s) {}
  bool Next(Random& random) {
    if (unseen_s_ > 0 && random.Chance(1 / (seen_ ? seen_s_ : unseen_s_))) seen_ = !seen_;
    return seen_;
  }

 private:
  double seen_s_, unseen_s_;
  bool seen_ = true;
};

}  // namespace

MomentWorld::MomentWorld(const model::MomentAttentionConfig& config,
                         const MomentWorldOptions& options, uint64_t seed)
    : seconds_(options.seconds) {
  Random random(seed);
  struct Role {
    double effect;
    bool turns;
  };
  std::vector<Role> roles = {{1, false}, {0.5, false}, {0.15, false}, {-0.8, false}, {1, true}};
  random.Shuffle(roles);
  for (size_t m = 0; m < config.modalities.size(); ++m) {
    const Role role = roles[m % roles.size()];
    Modality modality{.lag_s = static_cast<uint32_t>(random.Below(options.longest_lag_s + 1)),
                      .half_life_s = random.Uniform(1, 5),
                      .effect = options.effect * role.effect,
                      .turns = role.turns,
                      .outcomes = {},
                      .direction = {},
                      .memory_s = {}};
    for (size_t k = 0; k < kOutcomes; ++k)
      modality.outcomes[k] = kSigns[k] * random.Uniform(0.6, 1.4);
    double length = 0;
    for (size_t f = 0; f < config.modalities[m].features.size(); ++f) {
      modality.direction.push_back(random.Normal());
      modality.memory_s.push_back(random.Uniform(1, 6));
      length += modality.direction.back() * modality.direction.back();
    }
    for (double& d : modality.direction) d /= std::sqrt(length);
    modalities_.push_back(std::move(modality));
  }
  for (uint32_t room = 0; room < options.rooms; ++room) Play(options, random.Next());
}

double MomentWorld::effect(size_t modality, size_t outcome, double second) const {
  const Modality& m = modalities_[modality];
  const double turn = m.turns ? 1 - 2 * std::clamp(second / seconds_, 0.0, 1.0) : 1;
  return m.effect * m.outcomes[outcome] * turn;
}

void MomentWorld::Play(const MomentWorldOptions& options, uint64_t seed) {
  Random random(seed);
  const size_t T = options.seconds, M = modalities_.size();
  size_t F = 0;
  for (const Modality& m : modalities_) F += m.direction.size();
  MomentRoom room{.series = {.first_second = 0, .values = nn::Matrix(T, F), .measured = {}},
                  .counts = nn::Matrix(T, kOutcomes),
                  .viewers = {}};
  room.series.measured.resize(T * F);
  nn::Matrix responses(T, M), log_effects(T, kOutcomes);
  log_effects.Fill(0);
  size_t first = 0;
  for (size_t m = 0; m < M; ++m) {
    const Modality& modality = modalities_[m];
    std::vector<Memory> features;
    for (const double memory_s : modality.memory_s) features.emplace_back(memory_s, random);
    Sight sight(options.seen_s, options.unseen_s);
    // A sum that fades, with its deviation for a signal of the mean memory: near 1 is near enough.
    const double keep = std::exp2(-1 / modality.half_life_s);
    std::vector<double> signal(kWarm + T), response(kWarm + T);
    double faded = 0;
    for (size_t t = 0; t < kWarm + T; ++t) {
      const bool seen = sight.Next(random);
      for (size_t f = 0; f < features.size(); ++f) {
        const double x = features[f].Next(random);
        signal[t] += modality.direction[f] * x;
        const bool measured = seen && !random.Chance(options.feature_missing);
        if (t < kWarm) continue;
        room.series.values.Row(t - kWarm)[first + f] = measured ? static_cast<float>(x) : 0;
        room.series.measured[(t - kWarm) * F + first + f] = measured;
      }
      faded *= keep;
      if (t >= modality.lag_s) faded += signal[t - modality.lag_s];
      response[t] = faded;
    }
    // Variance of a faded sum of a series with autocorrelation rho^l: (1 + keep rho) / ((1 - keep^2)(1 - keep rho)).
    double variance = 0;
    for (size_t f = 0; f < features.size(); ++f) {
      const double rho = std::exp(-1 / modality.memory_s[f]);
      variance += modality.direction[f] * modality.direction[f] * (1 + keep * rho) /
                  ((1 - keep * keep) * (1 - keep * rho));
    }
    for (size_t t = 0; t < T; ++t) {
      const double r = response[kWarm + t] / std::sqrt(variance);
      responses.Row(t)[m] = static_cast<float>(r);
      for (size_t k = 0; k < kOutcomes; ++k) {
        log_effects.Row(t)[k] += static_cast<float>(effect(m, k, static_cast<double>(t)) * r);
      }
    }
    first += features.size();
  }
  const double crowd = 300 * std::exp(0.4 * random.Normal());
  Memory crowd_drift(600, random);
  for (size_t t = 0; t < T; ++t) {
    room.viewers.push_back(
        static_cast<float>(std::round(crowd * std::exp(0.3 * crowd_drift.Next(random)))));
  }
  for (size_t k = 0; k < kOutcomes; ++k) {
    const double level = std::log(kLevels[k]) + 0.5 * random.Normal();
    Memory drift(900, random);
    for (size_t t = 0; t < T; ++t) {
      const double rate =
          std::exp(level + 0.3 * drift.Next(random) + static_cast<double>(log_effects.Row(t)[k]));
      room.counts.Row(t)[k] = static_cast<float>(
          Poisson(std::min(rate * static_cast<double>(room.viewers[t]), 500.0), random));
    }
  }
  rooms_.push_back(std::move(room));
  responses_.push_back(std::move(responses));
  log_effects_.push_back(std::move(log_effects));
}

}  // namespace heed::train
