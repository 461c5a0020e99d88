#include "train/causal.h"

#include <algorithm>
#include <cmath>

namespace heed::train {
namespace {

std::vector<size_t> LabelIndices(const DatasetSpec& spec, const std::vector<std::string>& names) {
  std::vector<size_t> indices;
  for (const std::string& name : names) {
    const auto found = std::find_if(spec.labels.begin(), spec.labels.end(),
                                    [&](const LabelSpec& label) { return label.name == name; });
    indices.push_back(static_cast<size_t>(found - spec.labels.begin()));
  }
  return indices;
}

}  // namespace

Result<GroupIndex> GroupIndex::Build(const RowLog& log, const std::vector<std::string>& by,
                                     const Filter& filter) {
  struct Entry {
    uint64_t key;
    uint32_t row;
  };
  std::vector<Entry> entries(log.rows());
  for (uint32_t row = 0; row < log.rows(); ++row) entries[row] = {0, row};
  double combinations = 1;
  for (const std::string& name : by) {
    const TextColumn& column = log.texts.at(name);
    combinations *= column.dictionary.size();
    if (combinations > 9e18) {
      return InvalidArgument("too many combinations of the columns of 'by', at '" + name + "'",
                             name);
    }
    for (Entry& entry : entries) {
      entry.key = entry.key * column.dictionary.size() + column.codes[entry.row];
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.key != b.key ? a.key < b.key : a.row < b.row;
  });
  GroupIndex index;
  index.group_of_.resize(log.rows());
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i == 0 || entries[i].key != entries[i - 1].key) {
      index.starts_.push_back(static_cast<uint32_t>(index.order_.size()));
    }
    const uint32_t row = entries[i].row;
    index.group_of_[row] = static_cast<uint32_t>(index.starts_.size() - 1);
    const bool kept = (filter.with_history || log.is_history[row] == 0) &&
                      (filter.only == nullptr || (*filter.only)[row] == 1.0f);
    if (kept) index.order_.push_back(row);
  }
  index.starts_.push_back(static_cast<uint32_t>(index.order_.size()));
  return index;
}

GroupIndex::Range GroupIndex::Between(uint32_t row, uint32_t first, uint32_t cut) const {
  const uint32_t group = group_of_[row];
  const auto begin = order_.begin() + starts_[group], end = order_.begin() + starts_[group + 1];
  const auto low = first == 0 ? begin : std::lower_bound(begin, end, first);
  const auto high = std::lower_bound(low, end, cut);
  return {static_cast<uint32_t>(low - order_.begin()),
          static_cast<uint32_t>(high - order_.begin())};
}

uint32_t FeedbackCode(const RowLog& log, std::span<const size_t> labels, uint32_t row) {
  uint32_t code = 0, digit = 1;
  for (const size_t label : labels) {
    const float value = log.labels[label][row];
    code += digit * (std::isnan(value) ? 2 : static_cast<uint32_t>(value));
    digit *= 3;
  }
  return 1 + code;
}

std::vector<double> Derive(const FeatureSpec& feature, const DatasetSpec& spec, const RowLog& log,
                           const GroupIndex& index, std::span<const Viewpoint> viewpoints) {
  using Source = FeatureSpec::Source;
  const std::vector<uint32_t>& order = index.order();
  const std::vector<size_t> labels = LabelIndices(spec, feature.labels);
  // Prefix sums over positions turn any range into two subtractions.
  std::vector<uint32_t> ones, known;
  const bool count_label = feature.source == Source::kCount && !labels.empty();
  if (feature.source == Source::kRate || count_label) {
    ones.assign(order.size() + 1, 0), known.assign(order.size() + 1, 0);
    for (size_t i = 0; i < order.size(); ++i) {
      const float label = log.labels[labels[0]][order[i]];
      ones[i + 1] = ones[i] + (label == 1.0f ? 1 : 0);
      known[i + 1] = known[i] + (std::isnan(label) ? 0 : 1);
    }
  }
  std::vector<double> out;
  out.reserve(viewpoints.size());
  for (const Viewpoint& at : viewpoints) {
    uint32_t first = 0;
    if (feature.window_s > 0) {
      // The window ends at the row's own time in every setting; what a setting does not know yet
      // counts as not there.
      first =
          log.FirstAtOrAfter(log.time_ms[at.row] - static_cast<int64_t>(feature.window_s * 1000));
    }
    const GroupIndex::Range range = index.Between(at.row, std::min(first, at.cut), at.cut);
    switch (feature.source) {
      case Source::kRate:
        out.push_back((ones[range.end] - ones[range.begin] + feature.strength * feature.prior) /
                      (known[range.end] - known[range.begin] + feature.strength));
        break;
      case Source::kCount:
        out.push_back(count_label ? ones[range.end] - ones[range.begin] : range.size());
        break;
      case Source::kGap: {
        const double gap_s =
            range.size() == 0
                ? feature.max_s
                : static_cast<double>(log.time_ms[at.row] - log.time_ms[order[range.end - 1]]) /
                      1e3;
        out.push_back(std::min(gap_s, feature.max_s));
        break;
      }
      case Source::kFeedback:
        out.push_back(range.size() < feature.position
                          ? 0
                          : FeedbackCode(log, labels, order[range.end - feature.position]));
        break;
      default: out.push_back(std::nan("")); break;
    }
  }
  return out;
}

}  // namespace heed::train
