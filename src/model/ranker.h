// The attention ranker: embeddings → multi-head dot target attention over each history → MLP → one
// probability per task. Reference forward and the backward pass; DESIGN's formulas are in
// docs/model.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/product.h"
#include "model/batch.h"
#include "model/families.h"
#include "model/schema.h"

namespace heed::model {

struct RankerConfig {
  Schema schema;
  uint32_t embedding_width = 16;
  // I: the candidate's fields together, and the tokens of each history, first pass a linear layer
  // to this width. The item vector stands where the fields stood and is the query of every history
  // (query_fields then do not choose). 0: embeddings go in as they are.
  uint32_t projection = 0;
  uint32_t attention_heads = 2;
  uint32_t attention_width = 32;  // of all heads together
  std::vector<uint32_t> hidden = {256, 128};
  bool mean_pool = true;         // the mean of the history beside its attention
  bool null_slot = true;         // attention may answer "nothing here" (nn/attention.h)
  bool wide = false;             // a linear part beside the MLP: T weights a key, T a number
  float dropout = 0.0f;          // on hidden layers, in training only
  uint32_t admit_after = 1;      // a key gets a row of its own when seen so often
  float init_deviation = 0.01f;  // of the numbers of a new embedding row
  float initial_decay = 0.1f;    // lambda of every head before training
  float age_scale_s = 3600.0f;   // tau: attention sees log1p(age / tau)
  float numeric_clip = 5.0f;     // standardised numbers are cut off at +- this

  PoolConfig pool;  // of every history that is not in `pools`
  std::vector<SequencePool> pools;
  std::vector<BlockConfig> blocks;  // side by side; none: one MLP of `hidden` and `dropout`
  HeadConfig head;
  std::vector<LinkConfig> links;  // the earlier link of a chain first

  const PoolConfig& PoolOf(size_t sequence) const;
  std::vector<BlockConfig> Blocks() const;  // as above, never empty
  bool operator==(const RankerConfig&) const = default;
};

// Refuses what Schema::Validate refuses, and sizes or names without sense.
Status ValidateConfig(const RankerConfig& config);

class Net;  // model/ranker_net.h

// One family of numbers for all optimisers; what a kind does not use is ignored.
struct OptimizerConfig {
  enum class Kind : uint8_t { kAdam, kAdagrad };
  Kind dense = Kind::kAdam;
  Kind tables = Kind::kAdam;  // touched rows only ("lazy"); Adagrad keeps one sum a row
  float dense_rate = 1e-3f;
  float table_rate = 1e-3f;
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  float dense_l2 = 0.0f, table_l2 = 0.0f;
  // Every row of a table at every step, touched or not: L2 and Adam's moments then act as on a dense
  // matrix. For small tables; the cost is that of the whole table a step.
  bool all_rows = false;
  float clip_norm = 0.0f;  // of the dense gradient; 0: none
};

struct Attention {  // of one sequence
  // [N, heads, tokens + 1] as one run per candidate, candidate n starting at starts[n]; within it
  // head-major; the last weight of each head is the null slot's. Each head sums to 1.
  std::vector<float> weights;
  std::vector<size_t> starts;  // [N]
  size_t heads = 1;
};

struct Scores {
  std::vector<float> logits;         // [N, T]
  std::vector<float> probabilities;  // [N, T], calibrated; of values what is expected of them
  std::vector<Attention> attention;  // one per sequence when asked for
};

// Rows of the embedding tables, by table in the order of Layout::tables.
using TableRows = std::vector<std::vector<uint32_t>>;

// A loss of the caller's own: sets its gradient in the logits, both [N, T], and returns it.
using LogitLoss = std::function<double(std::span<const float> logits, std::span<float> d_logits)>;

// The numbers one step may change, as they were before it: all dense ones, and the table rows that the
// batch reads. 4 bytes a dense number, 4 (width + 1) a row.
struct StepRecord {
  struct Rows {
    std::vector<uint32_t> rows;  // ascending, once each
    std::vector<float> values;   // [rows, width]
  };
  std::vector<float> dense;
  std::vector<Rows> tables;
};

class Ranker {
 public:
  static Result<std::unique_ptr<Ranker>> Create(const RankerConfig& config, uint64_t seed);
  // File format: docs/formats/model.md; checksummed, written whole, a damaged one is kCorruption.
  static Result<std::unique_ptr<Ranker>> Load(const std::string& path);
  static Result<std::unique_ptr<Ranker>> Parse(std::string_view bytes);  // what Load reads
  static std::unique_ptr<Ranker> Of(const Net& net);  // with a copy of these weights
  Status Save(const std::string& path) const;
  std::string Serialize() const;
  // What changed since the last increment or, before the first, since TrackChanges: of tables only the
  // rows. model/checkpoint_chain.h keeps such files.
  void TrackChanges();
  std::string SerializeIncrement();
  Result<std::unique_ptr<Ranker>> WithIncrement(std::string_view bytes) const;
  ~Ranker();

  const RankerConfig& config() const;

  // Thread-safe with itself, not with training. `batch` must Validate.
  Status Forward(const Batch& batch, bool with_attention, Scores* scores) const;

  // Training: one thread. Means and deviations of numerics first, once, from the training rows.
  void SetNumericScaling(const std::vector<float>& mean, const std::vector<float>& deviation);
  // Forward, backward, update; returns the mean weighted loss before the update. Deterministic.
  // The loss is sum_t loss_weight_t sum_n weight_n bce / sum_n weight_n over known labels.
  // A non-finite loss or gradient is kInvalidArgument and changes no weight, with one exception: where
  // everything down to a history's attention was finite and only what came after overflowed, rows of
  // that history may have been updated (Net::Backward), never by what is not finite. The batch's keys
  // have been counted all the same.
  Result<double> TrainStep(const Batch& batch, const OptimizerConfig& optimizer);
  // The same with a loss of the caller's own, which reads what labels it likes, and with a record of
  // what the step changes (may be null). What is trained is what is served: no dropout, and batch
  // normalisation by the running statistics, which stay as they are; the logits are those of Forward.
  // With a record a refused step changes no weight at all. Touched rows only: `all_rows` is kInvalidArgument.
  Result<double> TrainStep(const Batch& batch, const OptimizerConfig& optimizer,
                           const LogitLoss& loss, StepRecord* before);
  // Weights become before + keep (now - before): that share of the step last taken. 0 is exact. The
  // optimiser's state stays as the step left it.
  void KeepOfStep(const StepRecord& before, float keep);
  // Counts the batch's keys towards admission, and nothing else: a pass over the training rows
  // before the first step makes admission follow the counts of the whole set. Then turn counting in
  // TrainStep off, or every epoch counts again.
  Status CountKeys(const Batch& batch);
  void SetCounting(bool counting);
  // Before the first step: the head's biases, one a task (log-odds of the task's base rate).
  void SetTaskBias(const std::vector<float>& bias);
  // Threads of TrainStep, 1 until told otherwise; its results do not depend on them.
  void SetThreads(size_t threads);
  // Multiplies the rates of later steps (schedules).
  void SetRateScale(float scale);
  // Expiry of rows that were not counted for long (EmbeddingTable::SetClock, Expire), in all tables. The
  // rows that went.
  void SetClock(uint32_t now);
  TableRows ExpireRows(uint32_t oldest);
  // Per task, p = sigmoid(scale * logit + shift): Platt, fitted on held-out rows by train/.
  void SetCalibration(const std::vector<float>& scale, const std::vector<float>& shift);

  // Ranges that int8 serving measured of this ranker's activations (infer/compiled_ranker.h), to be
  // kept in its file; later training empties them.
  void SetActivationRanges(std::vector<float> ranges);

  // Each number becomes keep * own + (1 - keep) * other's: an average of the weights a training goes
  // through. Rows the other has admitted meanwhile are taken as they are. `other` is this ranker's
  // later self.
  void MoveTowards(const Ranker& other, float keep);
  // A deep copy of weights, tables and optimiser state, for early stopping and averaging.
  std::unique_ptr<Ranker> Copy() const;
  // A copy that takes the place of `replaced`, the one that did so before, in increments, too: changed is what
  // had changed in that, and what changed here since it was made. Both track their changes.
  std::unique_ptr<Ranker> CopyInPlaceOf(const Ranker& replaced);
  // How `replaced` differs from this one is not known: the next to take its place has changed in every row.
  void ForgetCopies();
  // Weights and tables alone, a third of the memory: a copy to serve, which cannot be trained or
  // saved, and follows this ranker by CopyRows and CopyDense.
  std::unique_ptr<Ranker> CopyToServe() const;
  // Of such a copy: its tables are kept in bf16 or int8 from now on, and CopyRows rounds.
  void StoreTables(kernels::Precision precision);
  // Of a ranker that others follow: keys by row are kept from now on.
  void TrackKeys();
  // `from` is this ranker's later self and tracks keys. Rows and what only it has; O(rows). Or everything else: dense
  // weights, running statistics, calibration. Activation ranges stay this ranker's own.
  void CopyRows(const Ranker& from, const TableRows& rows);
  void CopyDense(const Ranker& from);
  // Keys of these rows, the two shared rows have none; of a ranker that tracks them.
  std::vector<Key> KeysOf(const TableRows& rows) const;
  uint64_t parameter_count() const;
  // The inside, for infer/, which compiles it.
  const Net& net() const;

 private:
  struct Impl;
  Result<double> Step(const Batch& batch, const OptimizerConfig& optimizer, const LogitLoss* loss,
                      StepRecord* before);
  explicit Ranker(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed::model
