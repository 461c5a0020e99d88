// Is the learning model still at least as good as the one it came from? Both judge the same examples,
// so the difference of their losses is a paired one and its noise small.
//
// Looking again and again at a sliding window finds three standard errors sooner or later by chance
// alone. Two things keep that rare: looks are `check_every` examples apart, and a difference smaller than
// `min_worse` never counts. docs/learning.md has the rate of false alarms, by simulation.
//
// A sliding window is slow where harm is sudden: it has to outweigh what was well before. Beside it runs a sequential
// test (a Shiryaev-Roberts e-detector: Shin, Ramdas, Rinaldo 2022) on evidence R, 0 at first,
//   R <- (R + 1) exp(u - u^2 / 2 - b sudden_min_worse),   u = b d cut to [-1, 1],   b = 1/4 / max(s, sudden_min_worse)
// of each difference d, s the root mean square of those in the window before it. Where the two models are equally good, d
// is as likely as -d, the factor's mean is at most 1 whatever the scale, and R passes n / f within n examples with a probability
// of at most f. No example multiplies R + 1 by more than e^(1/2), so none is the verdict.
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
  double sudden_min_worse = 0.02;  // nats an example: less is for the window to find
  double sudden_false_alarms =
      0.001;  // of equal models, in `promote_after` examples; 0: no such test
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
    uint64_t sudden = 0;  // of the rollbacks, those that the sequential test found
  };

  explicit LearningHealth(const HealthOptions& options) : options_(options) {}

  // Losses of one example by the model that learns and by the reference. A verdict empties the window.
  Verdict Add(double live_loss, double shadow_loss);
  Summary summary() const;
  // The two are the same again, for another reason than a verdict.
  void Restart();

  void Write(ByteWriter* out) const;
  void Read(ByteReader* in);
  // Of the sequential test, which states of earlier builds do not have.
  void WriteSudden(ByteWriter* out) const;
  void ReadSudden(ByteReader* in);

 private:
  bool Sudden(double difference);

  HealthOptions options_;
  std::deque<double> window_;
  // Kept exact by summing the window anew once it has been replaced.
  double sum_ = 0, squares_ = 0;
  uint64_t examples_ = 0, promotions_ = 0, rollbacks_ = 0, sudden_ = 0;
  double evidence_ = 0;  // R
};

}  // namespace heed::train
