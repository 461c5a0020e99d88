// Trains a ranker on examples: shuffled mini-batches, early stopping on held-out rows, refit on all
// rows, calibration.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "model/ranker.h"
#include "train/examples.h"

namespace heed::train {

struct TrainOptions {
  // Linear and cosine go from 1 down to 0 over `epochs`; plateau multiplies the rates by
  // `plateau_factor` at each evaluation without a new best.
  enum class Schedule : uint8_t { kConstant, kLinear, kCosine, kPlateau };
  enum class StopMetric : uint8_t { kAuc, kGauc, kLogLoss };

  uint32_t batch_size = 512;
  double epochs = 1;     // at most; early stopping may end sooner
  uint64_t seed = 1;     // of the first weights and of the order of rows
  uint32_t threads = 1;  // of a step; the result does not depend on them (Ranker::SetThreads)
  model::OptimizerConfig optimizer;
  Schedule schedule = Schedule::kConstant;
  double plateau_factor = 0.1;
  // Above 0: weights are judged and returned as their running average, old weights keeping this
  // share a step (Polyak averaging; early steps keep less: (1 + step) / (10 + step)).
  double average = 0;
  double warmup = 0;                  // share of the planned steps over which the rate rises
  uint32_t evaluate_every_steps = 0;  // 0: at the end of each epoch
  uint32_t patience = 1;              // evaluations without a new best before stopping
  StopMetric stop_metric = StopMetric::kAuc;
  std::string stop_task;  // "": the mean over all tasks
  bool refit = false;     // then once more from scratch, on train + valid, for as many epochs
  bool calibrate = true;  // Platt on the valid rows, by the model that has not seen them
  // How much more than a negative a positive counts, by task; empty: alike.
  std::vector<float> positive_weights;
  // Of the training rows that are negative this share is used, drawn once for all epochs; a ranker of one
  // task only, whose other rows would else say too much for the other tasks.
  double negative_share = 1;
  // Both move a task's log-odds by a known number; the ranker's calibration takes it out again, before
  // anything is measured, and where Platt is fitted that does it too.
};

// The factor on the rates at `step` of `planned`.
double RateScale(TrainOptions::Schedule schedule, double warmup, uint64_t step, uint64_t planned);

struct TrainProgress {
  std::string phase;  // "fit" or "refit"
  uint64_t step = 0, steps = 0;
  double rows_per_s = 0, eta_s = 0;
  double loss = 0;   // mean of the last steps
  double valid = 0;  // the stop metric just measured, NaN at other times
};
// Called from the training thread, a few times a second at most, and at each evaluation.
using ProgressCallback = std::function<void(const TrainProgress&)>;

struct ValidPoint {
  uint64_t step = 0;
  double epochs = 0;
  double metric = 0;  // higher is better: log loss with its sign turned
};

struct TrainResult {
  std::unique_ptr<model::Ranker> ranker;
  std::vector<ValidPoint> valid;  // of the fit phase
  double best_metric = 0;         // NaN without valid rows
  double best_epochs = 0;         // trained for that many
  uint64_t steps = 0;             // of the returned ranker
  double loss = 0;                // mean of its last steps
  uint64_t rows_seen = 0;         // in all phases, and the time for them
  double seconds = 0;
  bool stopped = false;  // by the stop flag; the ranker is the best one so far
  std::pair<std::vector<float>, std::vector<float>>
      calibration;  // scale, shift, a task each; or empty
};

// Where a training keeps its state between two steps (train/training_state.h), so that whatever ends it
// costs little. The file goes when the training has come to its end.
struct Checkpoint {
  std::string path;      // "": none
  double every_s = 600;  // and when it is stopped; one that cannot be written is logged, no more
  bool resume = false;   // go on from the file, which must be there and of the same training
};

// `stop` (may be null) is looked at before each step: once true, the best ranker so far comes back.
// Deterministic: the same data, options and seed give the same model bytes, resumed or not.
Result<TrainResult> Train(const Examples& data, const model::RankerConfig& config,
                          const TrainOptions& options, const ProgressCallback& progress = {},
                          const std::atomic<bool>* stop = nullptr,
                          const Checkpoint& checkpoint = {});

}  // namespace heed::train
