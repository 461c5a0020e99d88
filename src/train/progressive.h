// How good a learning model is, judged on every example before it learns from it (progressive
// validation: Blum, Kalai, Langford 1999), and how far its inputs are from those it was made on.
// Deterministic, not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/bytes.h"
#include "model/ranker.h"
#include "train/metrics.h"

namespace heed::train {

// Per task, the last `window` labels with the probability given when the example was shown.
class Progressive {
 public:
  Progressive(size_t tasks, uint32_t window) : window_(window), tasks_(tasks) {}

  void Add(size_t task, uint64_t example, float predicted, bool positive);
  // What was added as a negative turned out a positive; false when it is not in the window. O(window).
  bool Correct(size_t task, uint64_t example);
  // Exact over the window: log loss, PCOC, ECE, AUC. O(window log window).
  MetricSet Measured(size_t task) const;

  void Write(ByteWriter* out) const;
  void Read(ByteReader* in);

 private:
  struct Label {
    uint64_t example = 0;
    float predicted = 0;
    bool positive = false;
  };
  uint32_t window_;
  std::vector<std::deque<Label>> tasks_;
};

// Exponentially forgetting means over about `horizon` examples.
class InputDrift {
 public:
  struct Numeric {
    // In deviations of the training rows; 0 and 1 where nothing has changed.
    double mean = 0, deviation = 1;
    double absent = 0;  // share without a value
    // How far that is from the training rows, as normals of these means and deviations: the symmetric
    // Kullback-Leibler divergence, in nats. The population stability index is its estimate from bins,
    // and its rules of thumb hold: 0.1 is worth a look, 0.25 another population. Infinite without spread.
    double divergence() const;
  };
  InputDrift(const model::Schema& schema, uint32_t horizon);

  // Every row of `batch`, against the scaling and the tables of `ranker`.
  void Add(const model::Ranker& ranker, const model::Batch& batch);
  // By the schema's numerics.
  std::vector<Numeric> numerics() const;
  // Share of the keys of the fields, absent ones left out, that have no row in the model.
  double unseen_keys() const;

  void Write(ByteWriter* out) const;
  void Read(ByteReader* in);

 private:
  struct Mean {  // of what it is given, from the first value on
    double value = 0, weight = 0;
    void Add(double x, double keep) {
      weight = keep * weight + 1;
      value += (x - value) / weight;
    }
  };
  double keep_;
  std::vector<Mean> means_, squares_, absent_;  // by numeric
  Mean unseen_;
};

}  // namespace heed::train
