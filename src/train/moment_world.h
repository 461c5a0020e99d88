// Rooms whose broadcast bears on their viewers in a known way: can the model find out how, from counts alone?
//
// Every feature of a modality is a standard normal series that remembers some seconds. A hidden
// direction of the modality's features is its signal; the signal, after the modality's lag and fading by its
// half-life, is its response (deviation 1), and
//   log rate_k(t) = room's level_k + slow drift_k(t) + sum_m effect_{m,k}(t) response_m(t)
// Leaves, comments and clicks are Poisson of rate times viewers. Modalities differ by how much they bear: one a lot,
// one half as much, one hardly, one lowers what the others raise, and one begins as a gain and ends as a loss.
// Which is which, directions, lags and half-lives are drawn with the seed. Each modality is out of sight
// for stretches, while what nobody measures goes on bearing; single features are missing as well.
#pragma once

#include <cstdint>
#include <vector>

#include "model/moment_attention.h"

namespace heed::train {

struct MomentWorldOptions {
  uint32_t rooms = 60, seconds = 2400;  // of each
  uint32_t longest_lag_s = 20;
  double effect = 0.3;  // of the modality that bears most: log rate a deviation of its response
  double seen_s = 300, unseen_s = 45;  // mean length of stretches
  double feature_missing = 0.1;
};

// One room with what viewers did: what training reads.
struct MomentRoom {
  model::MomentSeries series;
  nn::Matrix counts;           // [T, K]
  std::vector<float> viewers;  // [T], 0: not known
};

class MomentWorld {
 public:
  MomentWorld(const model::MomentAttentionConfig& config, const MomentWorldOptions& options,
              uint64_t seed);

  const std::vector<MomentRoom>& rooms() const { return rooms_; }
  std::vector<MomentRoom> TakeRooms() { return std::move(rooms_); }
  // Of a room: responses [T, M] and the rates they make, without level and drift: log rates [T, K].
  const nn::Matrix& responses(size_t room) const { return responses_[room]; }
  const nn::Matrix& log_effects(size_t room) const { return log_effects_[room]; }

  uint32_t lag_s(size_t modality) const { return modalities_[modality].lag_s; }
  double half_life_s(size_t modality) const { return modalities_[modality].half_life_s; }
  double effect(size_t modality, size_t outcome, double second) const;
  size_t modalities() const { return modalities_.size(); }

 private:
  struct Modality {
    uint32_t lag_s = 0;
    double half_life_s = 0;
    double effect = 0;
    bool turns = false;  // from effect to -effect within the broadcast
    std::array<double, model::kMomentOutcomes> outcomes = {};  // factors
    std::vector<double> direction;                             // [F_m], length 1
    std::vector<double> memory_s;                              // [F_m]
  };

  void Play(const MomentWorldOptions& options, uint64_t seed);

  double seconds_ = 0;
  std::vector<Modality> modalities_;
  std::vector<MomentRoom> rooms_;
  std::vector<nn::Matrix> responses_, log_effects_;
};

}  // namespace heed::train
