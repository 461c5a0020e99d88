// A ranker that learns from feedback as it comes (docs/learning.md).
//
// An example is predicted when it is shown; its labels are learned when the ledger says they are due, in
// small steps. No step moves the logit of one of its own labels by more than max_logit_step: the batch is
// scored again after the step, and of a step that went further only the share that fits is kept. A
// second, slow copy of the weights judges the same labels; when the learning one is worse, its weights
// become the copy's again, and the rates are halved until it has earned the next promotion.
//
// Probabilities are calibrated ones, those that are served, and the loss is theirs: the calibration of the
// model file stays, and what is wrong with it is learned like anything else.
//
// Driven by calls, one thread at a time, deterministic: the same calls give the same weights, also across
// Serialize and Restore anywhere between them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/checkpoint_chain.h"
#include "model/ranker.h"
#include "train/attribution.h"
#include "train/input_drift.h"
#include "train/label_ledger.h"
#include "train/learning_guards.h"
#include "train/learning_health.h"
#include "train/progressive.h"

namespace heed::train {

struct OnlineOptions {
  LedgerOptions ledger;
  // Of the sum over a step's labels, not their mean: what a label teaches does not depend on how many are
  // due with it. Dense weights learn slower than rows by the ratio of their rates; a dense rate of 0 keeps them.
  // Epsilon is large on purpose: Adagrad's sums are empty when a batch-trained model comes, and its first
  // steps would be of full size whatever the gradient. Up to a gradient of epsilon it is plain descent
  // at rate / epsilon.
  model::OptimizerConfig optimizer = {.dense = model::OptimizerConfig::Kind::kAdagrad,
                                      .tables = model::OptimizerConfig::Kind::kAdagrad,
                                      .dense_rate = 1e-3f,
                                      .table_rate = 1e-2f,
                                      .epsilon = 1.0f};
  uint32_t batch_size = 32;  // examples a step
  double max_logit_step = 0.5;
  // Of the last `influence_window` examples, at most these shares are learned from one viewer and from one
  // source; 1: no cap.
  double viewer_share = 0.01, source_share = 1.0;
  uint32_t influence_window = 10'000;
  LabelRateOptions label_rate;
  HealthOptions health;
  uint32_t refused_to_stop = 5;    // steps that are not finite, one after the other
  uint32_t rollbacks_to_stop = 3;  // without a promotion between
  // Rows whose key no example has had for so long, in event time, go, but for the two shared ones; 0: none.
  // Looked for 16 times in that time. Keys that wait to be admitted are forgotten each time.
  int64_t expire_after_ms = 0;
  uint32_t progressive_window = 5'000;
  uint32_t drift_horizon = 5'000;
};

// Why learning has stopped; it goes on predicting.
enum class Alarm : uint8_t { kNone, kNotFinite, kLabelRate, kRollbacks, kByHand };
// "none", "not_finite", "label_rate", "rollbacks", "by_hand".
std::string_view AlarmName(Alarm alarm);

struct LearnReport {
  uint32_t steps = 0, labels = 0;
  bool rolled_back = false;
};

struct OnlineStats {
  uint64_t examples = 0;  // predicted
  uint64_t steps = 0, labels = 0, corrections = 0;
  uint64_t bounded = 0;                       // steps of which only a share was kept
  uint64_t refused = 0;                       // steps that were not finite: taken back
  uint64_t unlearned = 0;                     // labels that came while learning was stopped
  uint64_t over_viewer = 0, over_source = 0;  // examples over an influence cap
  // For whatever reason. After one the weights are another object, with the shadow's rows: a copy kept by
  // touched rows begins anew.
  uint64_t rollbacks = 0;
  uint64_t expired_rows = 0;
  double rate_scale =
      1;  // of all rates: halved by a verdict's rollback, doubled up to 1 by a promotion
  uint64_t queued_labels = 0, followed_examples = 0, evicted_examples = 0;
  Alarm alarm = Alarm::kNone;
  LearningHealth::Summary health;
  std::vector<LabelLedger::Counts> labels_of;  // by task
};

class OnlineTrainer {
 public:
  // `live`: a trained ranker, from here on the trainer's own. kInvalidArgument names the option.
  static Result<std::unique_ptr<OnlineTrainer>> Create(std::unique_ptr<model::Ranker> live,
                                                       const OnlineOptions& options);
  // From Serialize, with the options it was made with.
  static Result<std::unique_ptr<OnlineTrainer>> Restore(std::string_view bytes,
                                                        const OnlineOptions& options);
  std::string Serialize() const;
  // The same in a chain: what changed since this trainer's last checkpoint there, or all where a whole one is
  // due, with `note` beside it. After Restored, into the chain it was restored from.
  Status WriteTo(model::CheckpointChain* chain, std::string_view note);
  struct Restored {
    std::unique_ptr<OnlineTrainer> trainer;
    std::string note;  // of the checkpoint it is from
  };
  static Result<Restored> Restore(model::CheckpointChain::Restored chain,
                                  const OnlineOptions& options);
  ~OnlineTrainer();

  // Feedback of this ranker, in order. What a replay tells again changes nothing. kInvalidArgument:
  // features that are not of the schema.
  Status Add(const Feedback& feedback);
  // Ends windows up to `now_ts`, then takes up to `max_steps` steps over what is due.
  LearnReport Learn(int64_t now_ts, uint32_t max_steps);
  bool due() const;  // something to learn without the clock going on

  // The weights that learn, calibrated as the model file says.
  const model::Ranker& live() const;
  const model::Ranker& shadow() const;
  // By table, ascending: the rows changed since the last call. Rows a table has gained since are new, in
  // here or not; a key that was given an expired row's place is in here from its first lesson on. After a
  // rollback everything has changed.
  std::vector<std::vector<uint32_t>> TakeTouchedRows();

  // Live weights become the shadow's.
  void Rollback();
  // Live weights are judged by these from now on. kInvalidArgument when they are another model's.
  Status SetShadow(std::unique_ptr<model::Ranker> shadow);
  // Stops learning, or goes on after an alarm.
  void SetAlarm(Alarm alarm);
  Alarm alarm() const;

  OnlineStats stats() const;
  const Progressive& progressive() const;
  const ProgressiveValues& values() const;
  const InputDrift& drift() const;

 private:
  struct Impl;
  explicit OnlineTrainer(std::unique_ptr<Impl> impl);
  static Result<std::unique_ptr<OnlineTrainer>> Of(std::unique_ptr<model::Ranker> live,
                                                   std::unique_ptr<model::Ranker> shadow,
                                                   const OnlineOptions& options);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed::train
