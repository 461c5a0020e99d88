// How well a model found out what simulated rooms were made of.
#pragma once

#include <span>
#include <vector>

#include "train/moment_world.h"

namespace heed::train {

struct MomentRecovery {
  // Pearson's r of learned with true effects: a number for each modality, outcome and third of the broadcast.
  double effects = 0;
  // The same of contributions to the log rates, second by second; where a modality was in sight for the whole
  // look-back, and less their means over the room.
  double contributions = 0;
  std::vector<double> lag_errors_s;  // [M], absolute, of the view kNow
  // Learned effects [M, 3, K]: how much a contribution rises with the true response (least squares), by third.
  std::vector<double> learned, truth;
};
MomentRecovery MeasureMomentRecovery(const model::MomentAttention& model, const MomentWorld& world,
                                     std::span<const uint32_t> rooms);

}  // namespace heed::train
