#include "train/input_drift.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "model/ranker_net.h"

namespace heed::train {
namespace {

constexpr size_t kMostBinned = 50'000;  // shares to within .2 % of a bin of a tenth

}  // namespace

model::NumericBins BinNumerics(const Examples& data, const View& view,
                               std::span<const uint32_t> samples) {
  const model::Schema& schema = data.schema();
  std::vector<uint32_t> some(std::min(samples.size(), kMostBinned));
  for (size_t i = 0; i < some.size(); ++i) some[i] = samples[i * samples.size() / some.size()];
  std::vector<std::vector<float>> columns(schema.numerics.size());
  if (columns.empty() || some.empty()) return {};
  const auto take = [&](model::Side side, const std::vector<float>& values) {
    const std::vector<size_t> of = schema.NumericsOf(side);
    for (size_t i = 0; i < values.size(); ++i) columns[of[i % of.size()]].push_back(values[i]);
  };
  model::Batch batch;
  constexpr size_t kBatchRows = 1024;
  for (size_t first = 0; first < some.size(); first += kBatchRows) {
    data.FillBatch(view, std::span(some).subspan(first, std::min(kBatchRows, some.size() - first)),
                   &batch);
    take(model::Side::kRequest, batch.request_numerics);
    take(model::Side::kCandidate, batch.candidate_numerics);
  }
  return model::NumericBins::Of(std::move(columns));
}

InputDrift::InputDrift(const model::Schema& schema, uint32_t horizon)
    : keep_(1.0 - 1.0 / static_cast<double>(std::max(horizon, 1u))),
      means_(schema.numerics.size()),
      squares_(means_.size()),
      absent_(means_.size()),
      shares_(means_.size() * model::NumericBins::kShares) {}

void InputDrift::Add(const model::Ranker& ranker, const model::Batch& batch) {
  const model::Net& net = ranker.net();
  const model::Layout& layout = net.layout;
  const auto numbers = [&](model::Side side, const std::vector<float>& values, size_t rows) {
    const std::vector<size_t> columns = net.config.schema.NumericsOf(side);
    for (size_t i = 0; i < rows * columns.size(); ++i) {
      const size_t column = columns[i % columns.size()];
      const bool absent = std::isnan(values[i]);
      absent_[column].Add(absent ? 1.0 : 0.0, keep_);
      if (!net.numeric_bins.empty()) {
        const size_t bin = net.numeric_bins.BinOf(column, values[i]);
        Mean* shares = &shares_[column * model::NumericBins::kShares];
        for (size_t b = 0; b < model::NumericBins::kShares; ++b) {
          shares[b].Add(b == bin ? 1.0 : 0.0, keep_);
        }
      }
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

std::vector<InputDrift::Numeric> InputDrift::numerics(const model::Ranker& ranker) const {
  const model::NumericBins& bins = ranker.net().numeric_bins;
  const auto psi = [&](size_t i) {
    const Mean* seen = &shares_[i * model::NumericBins::kShares];
    if (bins.empty() || seen->weight < kMinPsiRows - 0.5) {  // weights are not quite whole
      return std::numeric_limits<double>::quiet_NaN();
    }
    std::array<double, model::NumericBins::kShares> expected{}, actual{};
    for (size_t b = 0; b < actual.size(); ++b) {
      expected[b] = static_cast<double>(bins.SharesOf(i)[b]);
      actual[b] = seen[b].value;
    }
    return Psi(expected, actual);
  };
  std::vector<Numeric> out(means_.size());
  for (size_t i = 0; i < out.size(); ++i) {
    const double mean = means_[i].value;
    const double deviation = std::sqrt(std::max(0.0, squares_[i].value - mean * mean));
    out[i] = {mean, means_[i].weight > 0 ? deviation : 1.0, absent_[i].value, psi(i)};
  }
  return out;
}

double InputDrift::Numeric::divergence() const {
  const double squared = deviation * deviation, shift = mean * mean;
  if (!(squared > 0)) return std::numeric_limits<double>::infinity();
  return 0.5 * (squared + shift + (1 + shift) / squared - 2);
}

double Psi(std::span<const double> expected, std::span<const double> actual) {
  double sum = 0;
  for (size_t b = 0; b < expected.size(); ++b) {
    const double e = std::max(expected[b], kLeastShare), a = std::max(actual[b], kLeastShare);
    sum += (a - e) * std::log(a / e);
  }
  return sum;
}

double InputDrift::unseen_keys() const { return unseen_.value; }

void InputDrift::Write(Mean mean, ByteWriter* out) {
  out->Fixed(mean.value);
  out->Fixed(mean.weight);
}

void InputDrift::Read(Mean* mean, ByteReader* in) {
  mean->value = in->Fixed<double>();
  mean->weight = in->Fixed<double>();
}

void InputDrift::Write(ByteWriter* out) const {
  for (const auto* means : {&means_, &squares_, &absent_}) {
    for (const Mean& mean : *means) Write(mean, out);
  }
  Write(unseen_, out);
}

void InputDrift::Read(ByteReader* in) {
  for (auto* means : {&means_, &squares_, &absent_}) {
    for (Mean& mean : *means) Read(&mean, in);
  }
  Read(&unseen_, in);
}

void InputDrift::WriteBins(ByteWriter* out) const {
  for (const Mean& share : shares_) Write(share, out);
}

void InputDrift::ReadBins(ByteReader* in) {
  for (Mean& share : shares_) Read(&share, in);
}

}  // namespace heed::train
