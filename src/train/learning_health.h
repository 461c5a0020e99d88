// Is the learning model still at least as good as the one it came from? Both judge the same examples,
// so the difference of their losses is a paired one and its noise small.
//
// Looking again and again at a sliding window finds three standard errors sooner or later by chance
// alone. Two things keep that rare: looks are `check_every` examples apart, and a difference smaller than
// `min_worse` never counts. docs/learning.md has the rate of false alarms, by simulation.
#pragma once

#include <cstdint>
#include <deque>

#include "base/bytes.h"

namespace heed::train {

struct HealthOptions {
  uint32_t window = 2'000;       // examples
  uint32_t min_examples = 200;   // before the first look
  uint32_t check_every = 50;     // examples
  double standard_errors = 3.0;  // worse by more: rollback
  double min_worse = 0.005;      // nats an example, and by more than this
  uint64_t promote_after =
      20'000;  // examples without a rollback: the learned weights are the new reference
};

// Deterministic, not thread-safe. O(1) an example.
class LearningHealth {
 public:
  enum class Verdict : uint8_t { kNone, kPromote, kRollback };
  struct Summary {
    uint64_t examples = 0;      // since the last verdict
    double difference = 0;      // mean live loss - mean shadow loss over the window
    double standard_error = 0;  // of that
    uint64_t promotions = 0, rollbacks = 0;
  };

  explicit LearningHealth(const HealthOptions& options) : options_(options) {}

  // Losses of one example by the model that learns and by the reference. A verdict empties the window.
  Verdict Add(double live_loss, double shadow_loss);
  Summary summary() const;
  // The two are the same again, for another reason than a verdict.
  void Restart();

  void Write(ByteWriter* out) const;
  void Read(ByteReader* in);

 private:
  HealthOptions options_;
  std::deque<double> window_;
  // Kept exact by summing the window anew once it has been replaced.
  double sum_ = 0, squares_ = 0;
  uint64_t examples_ = 0, promotions_ = 0, rollbacks_ = 0;
};

}  // namespace heed::train
