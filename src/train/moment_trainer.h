// Trains moment attention: shuffled segments of rooms, the epoch chosen by rooms held out.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "model/moment_attention.h"
#include "train/moment_world.h"
#include "train/trainer.h"

namespace heed::train {

struct MomentTrainOptions {
  uint32_t segment_s = 600;  // whose own level is nobody's doing (MomentAttention::TrainStep)
  uint32_t epochs = 8;       // at most; rates fall linearly to 0 over them
  uint32_t patience = 8;  // epochs without a new best before stopping; without valid rooms: never
  uint64_t seed = 1;
  model::MomentTraining step;
};

struct MomentTrainResult {
  std::shared_ptr<model::MomentAttention> model;
  uint64_t steps = 0;
  double epochs = 0;  // of the model that is kept
  double valid = 0;   // its gain on the valid rooms (MomentGain), NaN without
  bool stopped = false;
};

// kInvalidArgument when no second of the train rooms has viewers. Deterministic: the same rooms, options and seed
// give the same bytes.
Result<MomentTrainResult> TrainMoments(std::span<const MomentRoom> rooms,
                                       std::span<const uint32_t> train,
                                       std::span<const uint32_t> valid,
                                       const model::MomentAttentionConfig& config,
                                       const MomentTrainOptions& options,
                                       const ProgressCallback& progress = {},
                                       const std::atomic<bool>* stop = nullptr);

// Nats a second by which log rates [T, K] of a view tell the counts better than rates that do not change, over whole
// segments of the rooms `which`, each segment's level given. log_rates(room) is asked once a room.
double MomentGain(std::span<const MomentRoom> rooms, std::span<const uint32_t> which,
                  model::MomentView view, uint32_t horizon_s, uint32_t segment_s,
                  const std::function<nn::Matrix(uint32_t room)>& log_rates);

// Log rates of one view by the model.
nn::Matrix MomentLogRates(const model::MomentAttention& model, const MomentRoom& room,
                          model::MomentView view, size_t omit = model::MomentAttention::kNone);

}  // namespace heed::train
