// Trains a text classifier: shuffled mini-batches, early stopping on held-out texts, refit on all of
// them, calibration.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "text/classifier.h"
#include "train/text_data.h"
#include "train/trainer.h"

namespace heed::train {

struct TextTrainOptions {
  enum class StopMetric : uint8_t { kNone, kAccuracy, kMacroF1, kLogLoss };

  uint32_t batch_size = 32;
  uint32_t epochs = 8;    // at most; rates fall linearly to 0 over them
  uint32_t patience = 2;  // epochs without a new best before stopping
  // Chooses the epoch to keep by the valid rows; kNone keeps the last.
  StopMetric stop_metric = StopMetric::kNone;
  bool refit = true;  // then once more from scratch on train + valid, for as many epochs
  uint64_t seed = 1;
  text::ClassifierUpdate update;
  std::vector<float> class_weights;  // a class each, or empty
};

struct TextMetrics {
  double rows = 0;
  double accuracy = 0;
  double macro_f1 = 0;  // mean over classes of 2 tp / (2 tp + fp + fn); 0 for one never hit
  double auc = 0;       // of the last class against the others
  double log_loss = 0;  // natural logarithm
};
// probabilities [N, C].
TextMetrics MeasureTexts(std::span<const float> probabilities, std::span<const uint32_t> labels,
                         size_t classes);

struct TextTrainResult {
  std::unique_ptr<text::Classifier> classifier;
  std::vector<double> valid;  // stop metric (or accuracy) after each epoch, of the first fit
  double best_epochs = 0, best_valid = 0;  // NaN without valid rows
  uint64_t steps = 0;
  bool stopped = false;
};

// Rows of `train_rows` and `valid_rows` only. `calibrate`: the scale is fitted to the valid rows, by the
// model that has not seen them. Deterministic: the same rows, options and seed give the same bytes.
Result<TextTrainResult> TrainTexts(const TextRows& rows, std::span<const uint32_t> train_rows,
                                   std::span<const uint32_t> valid_rows,
                                   const text::ClassifierConfig& config,
                                   const TextTrainOptions& options, bool calibrate,
                                   const ProgressCallback& progress = {},
                                   const std::atomic<bool>* stop = nullptr);

// Probabilities of the rows, [rows, C].
std::vector<float> PredictTexts(const text::Classifier& classifier, const TextRows& rows,
                                std::span<const uint32_t> which);

}  // namespace heed::train
