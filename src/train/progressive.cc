#include "train/progressive.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/ranker_net.h"

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

InputDrift::InputDrift(const model::Schema& schema, uint32_t horizon)
    : keep_(1.0 - 1.0 / static_cast<double>(std::max(horizon, 1u))),
      means_(schema.numerics.size()),
      squares_(means_.size()),
      absent_(means_.size()) {}

void InputDrift::Add(const model::Ranker& ranker, const model::Batch& batch) {
  const model::Net& net = ranker.net();
  const model::Layout& layout = net.layout;
  const auto numbers = [&](model::Side side, const std::vector<float>& values, size_t rows) {
    const std::vector<size_t> columns = net.config.schema.NumericsOf(side);
    for (size_t i = 0; i < rows * columns.size(); ++i) {
      const size_t column = columns[i % columns.size()];
      const bool absent = std::isnan(values[i]);
      absent_[column].Add(absent ? 1.0 : 0.0, keep_);
      if (absent) continue;
      const double z = (static_cast<double>(values[i]) - net.numeric_mean[column]) /
                       static_cast<double>(net.numeric_deviation[column]);
      means_[column].Add(z, keep_);
      squares_[column].Add(z * z, keep_);
    }
  };
  numbers(model::Side::kRequest, batch.request_numerics, batch.requests);
  numbers(model::Side::kCandidate, batch.candidate_numerics, batch.candidates);
  const auto keys = [&](const std::vector<model::Layout::Field>& fields,
                        const std::vector<model::Key>& values) {
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i] == 0) continue;
      uint32_t row = 0;
      net.tables[fields[i % fields.size()].table].Rows(&values[i], 1, 1, &row, 1);
      unseen_.Add(row == nn::EmbeddingTable::kUnseen ? 1.0 : 0.0, keep_);
    }
  };
  keys(layout.request_fields, batch.request_keys);
  keys(layout.candidate_fields, batch.candidate_keys);
}

std::vector<InputDrift::Numeric> InputDrift::numerics() const {
  std::vector<Numeric> out(means_.size());
  for (size_t i = 0; i < out.size(); ++i) {
    const double mean = means_[i].value;
    const double deviation = std::sqrt(std::max(0.0, squares_[i].value - mean * mean));
    out[i] = {mean, means_[i].weight > 0 ? deviation : 1.0, absent_[i].value};
  }
  return out;
}

double InputDrift::Numeric::divergence() const {
  const double squared = deviation * deviation, shift = mean * mean;
  if (!(squared > 0)) return std::numeric_limits<double>::infinity();
  return 0.5 * (squared + shift + (1 + shift) / squared - 2);
}

double InputDrift::unseen_keys() const { return unseen_.value; }

void InputDrift::Write(ByteWriter* out) const {
  const auto write = [&](const Mean& mean) {
    out->Fixed(mean.value);
    out->Fixed(mean.weight);
  };
  for (const auto* means : {&means_, &squares_, &absent_}) {
    for (const Mean& mean : *means) write(mean);
  }
  write(unseen_);
}

void InputDrift::Read(ByteReader* in) {
  const auto read = [&](Mean* mean) {
    mean->value = in->Fixed<double>();
    mean->weight = in->Fixed<double>();
  };
  for (auto* means : {&means_, &squares_, &absent_}) {
    for (Mean& mean : *means) read(&mean);
  }
  read(&unseen_);
}

}  // namespace heed::train
