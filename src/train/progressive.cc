#include "train/progressive.h"

#include <algorithm>
#include <cmath>

#include "nn/loss.h"

namespace heed::train {

void Progressive::Add(size_t task, uint64_t example, float predicted, bool positive) {
  std::deque<Label>& labels = tasks_[task];
  labels.push_back({example, predicted, positive});
  if (labels.size() > window_) labels.pop_front();
}

bool Progressive::Correct(size_t task, uint64_t example) {
  std::deque<Label>& labels = tasks_[task];
  const auto found = std::find_if(labels.rbegin(), labels.rend(),
                                  [&](const Label& label) { return label.example == example; });
  if (found == labels.rend()) return false;
  found->positive = true;
  return true;
}

MetricSet Progressive::Measured(size_t task) const {
  Predictions predictions;
  for (const Label& label : tasks_[task]) {
    predictions.scores.push_back(label.predicted);
    predictions.probabilities.push_back(label.predicted);
    predictions.labels.push_back(label.positive ? 1.0f : 0.0f);
    predictions.groups.push_back(0);
  }
  return Measure(predictions);
}

void Progressive::Write(ByteWriter* out) const {
  for (const std::deque<Label>& labels : tasks_) {
    out->Varint(labels.size());
    for (const Label& label : labels) {
      out->Fixed(label.example);
      out->Fixed(label.predicted);
      out->Fixed(static_cast<uint8_t>(label.positive));
    }
  }
}

void Progressive::Read(ByteReader* in) {
  for (std::deque<Label>& labels : tasks_) {
    labels.clear();
    const uint64_t n = in->Varint();
    if (n > window_) return in->Fail();
    for (uint64_t i = 0; i < n; ++i) {
      Label label;
      label.example = in->Fixed<uint64_t>();
      label.predicted = in->Fixed<float>();
      label.positive = in->Fixed<uint8_t>() != 0;
      labels.push_back(label);
    }
  }
}

ProgressiveValues::ProgressiveValues(const std::vector<model::TaskSpec>& tasks, uint32_t window)
    : window_(window), tasks_(tasks.size()) {
  for (size_t t = 0; t < tasks.size(); ++t) {
    if (tasks[t].kind == model::TaskKind::kValue) {
      tasks_[t].delta = static_cast<double>(tasks[t].huber_delta);
    }
  }
}

void ProgressiveValues::Ended(size_t task, uint64_t example, float expected, float brought) {
  std::deque<Example>& ended = tasks_[task].ended;
  ended.push_back({example, expected, brought});
  if (ended.size() > window_) ended.pop_front();
}

bool ProgressiveValues::Correct(size_t task, uint64_t example, float brought) {
  std::deque<Example>& ended = tasks_[task].ended;
  const auto found = std::find_if(ended.rbegin(), ended.rend(),
                                  [&](const Example& one) { return one.id == example; });
  if (found == ended.rend()) return false;
  found->brought = brought;
  return true;
}

void ProgressiveValues::Came(size_t task, float predicted, float amount) {
  std::deque<Amount>& came = tasks_[task].came;
  came.push_back({predicted, amount});
  if (came.size() > window_) came.pop_front();
}

ProgressiveValues::Metrics ProgressiveValues::Measured(size_t task) const {
  const Task& of = tasks_[task];
  Metrics out;
  Predictions predictions;
  for (const Example& one : of.ended) {
    predictions.probabilities.push_back(one.expected);
    predictions.labels.push_back(one.brought > 0 ? one.brought : std::nanf(""));
  }
  out.shown = MeasureValue(predictions);
  out.amounts = static_cast<double>(of.came.size());
  for (const Amount& one : of.came) {
    const double off = static_cast<double>(one.predicted) - static_cast<double>(one.amount);
    out.mean_absolute_error += std::abs(off);
    out.huber += nn::Huber(off / of.delta);
  }
  out.mean_absolute_error /= out.amounts;  // NaN of none
  out.huber /= out.amounts;
  return out;
}

void ProgressiveValues::Write(ByteWriter* out) const {
  for (const Task& task : tasks_) {
    if (task.delta == 0) continue;
    out->Varint(task.ended.size());
    for (const Example& one : task.ended) {
      out->Fixed(one.id);
      out->Fixed(one.expected);
      out->Fixed(one.brought);
    }
    out->Varint(task.came.size());
    for (const Amount& one : task.came) {
      out->Fixed(one.predicted);
      out->Fixed(one.amount);
    }
  }
}

void ProgressiveValues::Read(ByteReader* in) {
  for (Task& task : tasks_) {
    if (task.delta == 0) continue;
    const uint64_t ended = in->Varint();
    if (ended > window_) return in->Fail();
    task.ended.clear();
    for (uint64_t i = 0; i < ended; ++i) {
      Example one;
      one.id = in->Fixed<uint64_t>();
      one.expected = in->Fixed<float>();
      one.brought = in->Fixed<float>();
      task.ended.push_back(one);
    }
    const uint64_t came = in->Varint();
    if (came > window_) return in->Fail();
    task.came.clear();
    for (uint64_t i = 0; i < came; ++i) {
      Amount one;
      one.predicted = in->Fixed<float>();
      one.amount = in->Fixed<float>();
      task.came.push_back(one);
    }
  }
}

}  // namespace heed::train
