// A stream of shown items whose true click probabilities are known, for judging learners that have to
// keep up: tastes may change from one row to the next, and clicks may come late.
//
// Kinds of viewer have latent vectors v_k, items latent vectors w_i (normal, 4 wide); a click comes with
// probability sigmoid(bias + gain v_k·w_i / sqrt(4)). At row `drift_at` of the stream a share of the items get
// new vectors. A click is known after an exponential delay, whose mean varies from item to item.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "train/examples.h"

namespace heed::train {

struct StreamWorldOptions {
  uint32_t train_rows = 100'000;  // 9 : 1 train, valid; before the stream, labels all known
  uint32_t stream_rows = 100'000;
  uint32_t kinds = 40, items = 60;
  double gain = 2.0, bias = -1.0;
  double rows_per_s = 10;
  uint32_t drift_at = 0;  // 0: no drift
  double drift_share = 0.5;
  double delay_s = 20;  // mean over items; an item's own is 0.2 to 1.8 times that
};

class StreamWorld final : public Examples {
 public:
  StreamWorld(const StreamWorldOptions& options, uint64_t seed);

  const model::Schema& schema() const override { return schema_; }
  // kTest is the stream.
  const std::vector<uint32_t>& samples_of(Split split) const override;
  void FillBatch(const View& view, std::span<const uint32_t> samples,
                 model::Batch* batch) const override;
  float label(uint32_t sample, size_t) const override {
    return rows_[sample].clicked ? 1.0f : 0.0f;
  }
  uint32_t group(uint32_t sample) const override { return sample; }
  void NumericScaling(const View&, std::span<const uint32_t>, std::vector<float>* mean,
                      std::vector<float>* deviation) const override {
    mean->clear();
    deviation->clear();
  }

  struct Row {
    uint32_t kind = 0, item = 0;
    int64_t ts = 0;        // ms
    int64_t delay_ms = 0;  // of the click, if there is one
    double probability = 0;
    bool clicked = false;
  };
  const Row& row(uint32_t sample) const { return rows_[sample]; }

 private:
  model::Schema schema_;
  std::vector<Row> rows_;
  std::vector<uint32_t> splits_[3];
};

}  // namespace heed::train
