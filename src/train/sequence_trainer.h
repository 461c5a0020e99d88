// Trains a next-item model on sequences, with early stopping on the valid cases, and judges it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/next_item.h"
#include "train/sequences.h"
#include "train/trainer.h"

namespace heed::train {

// One number about a ranking: what share of targets comes among the first `cutoff` (HR; with one
// target a case also the P of session papers), or the mean over cases of 1 / log2(1 + rank) (NDCG)
// or 1 / rank (MRR), 0 past the cutoff.
struct RankingMetric {
  enum class Kind : uint8_t { kHitRate, kNdcg, kMrr };
  Kind kind = Kind::kHitRate;
  uint32_t cutoff = 10;
  // "HR@10", "P@20", "NDCG@10", "MRR@20".
  static Result<RankingMetric> Parse(const std::string& text);
};

struct SequenceJudging {
  // Rank the target among this many drawn negatives (or the test file's); 0: among all items.
  uint32_t negatives = 100;
  uint64_t negatives_seed = 2024;  // of the draws, the same for every model
  uint32_t valid_cases = 0;        // judged in early stopping, spread evenly; 0: all
};

// Rank of the target of each case, 1 is best. An item with the same score stands before the target,
// so a model that cannot tell them apart gets no credit.
Result<std::vector<uint32_t>> Ranks(const model::NextItemModel& model, const SequenceData& data,
                                    const std::vector<SequenceCase>& cases,
                                    const std::vector<std::vector<uint32_t>>& negatives);
double Measure(const std::vector<uint32_t>& ranks, const RankingMetric& metric);
// The negatives of each case; empty: rank among all.
std::vector<std::vector<uint32_t>> NegativesOf(const SequenceData& data,
                                               const std::vector<SequenceCase>& cases,
                                               const SequenceJudging& judging, bool test);

struct SequenceTraining {
  enum class Windows : uint8_t {
    kNewest,  // the newest max_length + 1 items of a sequence
    kAll,     // all of it, cut from its end into pieces of max_length + 1 that share an end
  };
  model::NextItemTraining step;
  uint32_t batch_size = 128;    // pieces of sequences
  uint32_t epochs = 100;        // at most
  uint32_t patience = 5;        // evaluations without a new best before stopping
  uint32_t evaluate_every = 1;  // epochs
  uint64_t seed = 1;
  Windows windows = Windows::kNewest;
  TrainOptions::Schedule schedule = TrainOptions::Schedule::kConstant;  // down to 0 over `epochs`
  double warmup = 0;                                                    // share of the steps
  RankingMetric stop_metric;
  bool refit = false;  // then once more from scratch with the valid cases, for as many epochs
};

struct SequenceResult {
  std::unique_ptr<model::NextItemModel> model;
  std::vector<ValidPoint> valid;
  double best_metric = 0;  // NaN without valid cases
  double best_epochs = 0;
  uint64_t steps = 0;
  double loss = 0;  // mean of the last epoch
  bool stopped = false;
};

// Deterministic: the same data, options and seed give the same model bytes. `stop` as in Train.
Result<SequenceResult> TrainSequences(const SequenceData& data, const model::NextItemConfig& config,
                                      const SequenceTraining& training,
                                      const SequenceJudging& judging,
                                      const ProgressCallback& progress = {},
                                      const std::atomic<bool>* stop = nullptr);

}  // namespace heed::train
