// How good a learning model is, judged on every example before it learns from it (progressive
// validation: Blum, Kalai, Langford 1999). Deterministic, not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/bytes.h"
#include "model/schema.h"
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

// The same of amounts: what an example was expected to bring when it was shown, and what it brought.
class ProgressiveValues {
 public:
  ProgressiveValues(const std::vector<model::TaskSpec>& tasks, uint32_t window);

  // An example's window has ended. `expected`: what is served, of examples that bring nothing, too.
  void Ended(size_t task, uint64_t example, float expected, float brought);
  // It brought that after all; false when it is not in the window. O(window).
  bool Correct(size_t task, uint64_t example, float brought);
  // An amount came that was predicted, given that one comes.
  void Came(size_t task, float predicted, float amount);

  struct Metrics {
    // Over the last `window` examples that ended: bias ratio (pcoc), revenue capture.
    ValueMetrics shown;
    // Over the last `window` amounts, of predictions given that one comes; NaN without any.
    double amounts = 0;
    double mean_absolute_error = 0;  // in the label's units
    double huber = 0;  // the loss that is trained: mean of h((predicted - amount) / delta)
  };
  // Exact. O(window log window).
  Metrics Measured(size_t task) const;

  void Write(ByteWriter* out) const;
  void Read(ByteReader* in);

 private:
  struct Example {
    uint64_t id = 0;
    float expected = 0, brought = 0;
  };
  struct Amount {
    float predicted = 0, amount = 0;
  };
  struct Task {
    double delta = 0;  // 0: no value
    std::deque<Example> ended;
    std::deque<Amount> came;
  };
  uint32_t window_;
  std::vector<Task> tasks_;
};

}  // namespace heed::train
