// Rows whose attention weights are known, because they were made from them: can a ranker find them
// again from clicks alone?
//
// Item types have latent keys k_i and values v_i, candidates latent queries q_c (normal, 4 wide). A
// history is up to `max_length` items with ages; its weights are the softmax of
//   s_i = sharpness q_c·k_i / sqrt(4) - decay log(1 + age_i / tau)     and a null slot of score 0,
// and a click comes with probability sigmoid(bias + gain sum_i a_i v_i). A share of the types are
// noise: their score is -12 whoever asks, so they weigh nothing, and a history of noise alone leaves
// everything to the null slot.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/ranker.h"
#include "train/examples.h"

namespace heed::train {

struct RecoveryWorldOptions {
  uint32_t rows = 200'000;  // 8 : 1 : 1 train, valid, test
  uint32_t types = 60, candidates = 40;
  double noise_types = 0.3;      // share of the types
  double noise_histories = 0.2;  // share of the histories made of noise alone
  uint32_t max_length = 10;
  double sharpness = 2.0, decay = 0.3, gain = 3.0, bias = -0.5;
  float age_scale_s = 3600.0f;  // tau
};

class RecoveryWorld final : public Examples {
 public:
  RecoveryWorld(const RecoveryWorldOptions& options, uint64_t seed);

  const model::Schema& schema() const override { return schema_; }
  const std::vector<uint32_t>& samples_of(Split split) const override;
  void FillBatch(const View& view, std::span<const uint32_t> samples,
                 model::Batch* batch) const override;
  float label(uint32_t sample, size_t) const override { return rows_[sample].click; }
  uint32_t group(uint32_t sample) const override { return sample; }
  void NumericScaling(const View&, std::span<const uint32_t>, std::vector<float>* mean,
                      std::vector<float>* deviation) const override {
    mean->clear();
    deviation->clear();
  }

  // Of the items of the sample's history, oldest first, and last the null slot.
  std::span<const float> TrueWeights(uint32_t sample) const;
  bool OnlyNoise(uint32_t sample) const { return rows_[sample].only_noise; }

 private:
  struct Row {
    uint32_t candidate = 0;
    uint32_t first = 0, length = 0;  // in items_; weights start at first + the row's number
    float click = 0;
    bool only_noise = false;
  };

  model::Schema schema_;
  std::vector<Row> rows_;
  std::vector<uint32_t> items_;  // types
  std::vector<float> ages_s_;
  std::vector<float> weights_;
  std::vector<uint32_t> splits_[3];
};

struct Recovery {
  double correlation = 0;         // Pearson, learned with true weights, over all items of the rows
  double null_on_noise = 0;       // mean weight of the null slot where the history is noise alone
  double true_null_on_noise = 0;  // and what it should be
  double null_on_others = 0, true_null_on_others = 0;
};
// Of the first head of the ranker's first sequence, on the rows of `split`.
Result<Recovery> MeasureRecovery(const model::Ranker& ranker, const RecoveryWorld& world,
                                 Split split);

}  // namespace heed::train
