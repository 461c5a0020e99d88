// A training between two of its steps, as a file: what is needed to go on as if nothing had ended it.
// docs/formats/checkpoints.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "train/trainer.h"

namespace heed::train {

// What Train is asked, as far as the weights depend on it: options but for threads, and the rows with
// their labels. A state is refused by a training that is asked for something else.
uint64_t FingerprintOf(const Examples& data, const TrainOptions& options);

struct TrainingState {
  uint64_t fingerprint = 0;
  uint64_t step = 0, best_step = 0, rows_seen = 0;
  uint64_t without_gain = 0;  // evaluations since the best
  double plateau_scale = 1, best_metric = 0, seconds = 0;
  std::vector<double> losses;  // of the last steps
  std::vector<ValidPoint> valid;
  std::string ranker, average, best;  // whole model files; the last two may be ""

  // In the refit only: what the fit before it came to.
  struct Fit {
    uint64_t steps = 0, rows_seen = 0;
    double best_metric = 0, best_epochs = 0, loss = 0, seconds = 0;
    std::vector<ValidPoint> valid;
    std::vector<float> calibration_scale, calibration_shift;
    std::string ranker;
  };
  std::optional<Fit> fit;
};

std::string EncodeState(const TrainingState& state);
Result<TrainingState> DecodeState(std::string_view bytes);  // never trusts them

}  // namespace heed::train
