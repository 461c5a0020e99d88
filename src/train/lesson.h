// One step of online learning: which labels of which examples, what they cost, and the rows it touched.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "model/batch.h"
#include "nn/loss.h"
#include "train/label_ledger.h"

namespace heed::train {

// log(1 + exp(x)), of any x.
inline double Softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

// The labels of one step: examples once each, whatever number of their labels is due.
struct Lesson {
  struct Label {
    size_t row = 0, task = 0;
    LabelState known = LabelState::kOpen;
    LabelLedger::Step step = LabelLedger::Step::kPositive;
    std::optional<double> units;  // of a value: its label, in units of the head
  };
  model::Batch batch;
  std::vector<uint64_t> ids;  // by row
  std::vector<Label> labels;
};

inline double LossOf(const Lesson::Label& label, double logit) {
  if (label.units) return nn::Huber(logit - *label.units);
  switch (label.step) {
    case LabelLedger::Step::kPositive: return Softplus(-logit);
    case LabelLedger::Step::kNegative: return Softplus(logit);
    case LabelLedger::Step::kCorrection: return -logit;
  }
  return 0;
}

inline double SlopeOf(const Lesson::Label& label, double logit) {
  if (label.units) return nn::HuberSlope(logit - *label.units);
  switch (label.step) {
    case LabelLedger::Step::kPositive:
      return static_cast<double>(nn::Sigmoid(static_cast<float>(logit))) - 1;
    case LabelLedger::Step::kNegative:
      return static_cast<double>(nn::Sigmoid(static_cast<float>(logit)));
    case LabelLedger::Step::kCorrection: return -1;
  }
  return 0;
}

// Rows touched, by table. Sorted when asked for, or when there are many more than there were.
struct TouchedRows {
  std::vector<uint32_t> rows;
  size_t sorted = 0;

  void Add(const std::vector<uint32_t>& more) {
    rows.insert(rows.end(), more.begin(), more.end());
    if (rows.size() > 4096 + 2 * sorted) Sort();
  }
  void Sort() {
    std::sort(rows.begin(), rows.end());
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
    sorted = rows.size();
  }
};

}  // namespace heed::train
