#include "train/metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>

#include "base/random.h"

namespace heed::train {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr size_t kBins = 10;

std::vector<uint32_t> OrderBy(std::span<const float> values) {
  std::vector<uint32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return values[a] < values[b]; });
  return order;
}

// AUC over rows listed in ascending order of score.
template <typename WeightOf>
double SortedAuc(std::span<const uint32_t> order, std::span<const float> scores,
                 std::span<const float> labels, const WeightOf& weight_of) {
  double negatives_below = 0, positives = 0, pairs = 0;
  for (size_t i = 0; i < order.size();) {
    double tied_positives = 0, tied_negatives = 0;
    const float score = scores[order[i]];
    for (; i < order.size() && scores[order[i]] == score; ++i) {
      const double weight = weight_of(order[i]);
      (labels[order[i]] > 0.5f ? tied_positives : tied_negatives) += weight;
    }
    pairs += tied_positives * (negatives_below + 0.5 * tied_negatives);
    negatives_below += tied_negatives;
    positives += tied_positives;
  }
  const double all = positives * negatives_below;
  return all > 0 ? pairs / all : kNan;
}

// Everything about the rows that does not change when groups are resampled.
class Sample {
 public:
  explicit Sample(const Predictions& in) {
    std::unordered_map<uint32_t, uint32_t> ids;
    for (size_t i = 0; i < in.labels.size(); ++i) {
      if (std::isnan(in.labels[i])) continue;
      scores_.push_back(in.scores[i]);
      probabilities_.push_back(in.probabilities.empty() ? 0.5f : in.probabilities[i]);
      labels_.push_back(in.labels[i]);
      const uint32_t group = in.groups.empty() ? static_cast<uint32_t>(i) : in.groups[i];
      groups_.push_back(ids.emplace(group, static_cast<uint32_t>(ids.size())).first->second);
      const double p = std::clamp(static_cast<double>(probabilities_.back()), 1e-7, 1 - 1e-7);
      losses_.push_back(labels_.back() > 0.5f ? -std::log(p) : -std::log1p(-p));
    }
    group_count_ = ids.size();
    by_score_ = OrderBy(scores_);
    by_probability_ = OrderBy(probabilities_);
    FindGroupAucs();
  }

  size_t group_count() const { return group_count_; }

  double Auc(std::span<const double> multiplicity) const {
    return SortedAuc(by_score_, scores_, labels_,
                     [&](uint32_t row) { return multiplicity[groups_[row]]; });
  }

  // `multiplicity`: how often each group was drawn.
  MetricSet Measure(std::span<const double> multiplicity) const {
    const auto weight_of = [&](uint32_t row) { return multiplicity[groups_[row]]; };
    MetricSet out;
    double predicted = 0, loss = 0;
    for (uint32_t i = 0; i < labels_.size(); ++i) {
      const double weight = weight_of(i);
      out.rows += weight;
      out.positives += weight * labels_[i];
      predicted += weight * probabilities_[i];
      loss += weight * losses_[i];
    }
    out.auc = SortedAuc(by_score_, scores_, labels_, weight_of);
    out.log_loss = out.rows > 0 ? loss / out.rows : kNan;
    const double base = out.rows > 0 ? out.positives / out.rows : kNan;
    const bool both = base > 0 && base < 1;
    out.normalized_entropy =
        both ? out.log_loss / -(base * std::log(base) + (1 - base) * std::log1p(-base)) : kNan;
    out.pcoc = out.positives > 0 ? predicted / out.positives : kNan;
    out.ece = Ece(weight_of, out.rows);
    double sum = 0, rows = 0;
    for (size_t g = 0; g < group_count_; ++g) {
      if (std::isnan(group_auc_[g])) continue;
      sum += multiplicity[g] * group_rows_[g] * group_auc_[g];
      rows += multiplicity[g] * group_rows_[g];
    }
    out.gauc = rows > 0 ? sum / rows : kNan;
    return out;
  }

 private:
  void FindGroupAucs() {
    group_rows_.assign(group_count_, 0.0);
    group_auc_.assign(group_count_, kNan);
    std::vector<uint32_t> starts(group_count_ + 1, 0);
    for (const uint32_t g : groups_) ++starts[g + 1], group_rows_[g] += 1;
    std::partial_sum(starts.begin(), starts.end(), starts.begin());
    std::vector<uint32_t> rows(groups_.size()), next(starts.begin(), starts.end() - 1);
    for (const uint32_t row : by_score_) rows[next[groups_[row]]++] = row;  // stays sorted by score
    for (size_t g = 0; g < group_count_; ++g) {
      group_auc_[g] = SortedAuc(std::span(rows).subspan(starts[g], starts[g + 1] - starts[g]),
                                scores_, labels_, [](uint32_t) { return 1.0; });
    }
  }

  template <typename WeightOf>
  double Ece(const WeightOf& weight_of, double total) const {
    if (!(total > 0)) return kNan;
    std::array<double, kBins> predicted{}, observed{};
    double before = 0;
    for (const uint32_t row : by_probability_) {
      const double weight = weight_of(row);
      const auto bin = std::min(kBins - 1, static_cast<size_t>(before / total * kBins));
      predicted[bin] += weight * probabilities_[row];
      observed[bin] += weight * labels_[row];
      before += weight;
    }
    double gap = 0;
    for (size_t b = 0; b < kBins; ++b) gap += std::abs(predicted[b] - observed[b]);
    return gap / total;
  }

  std::vector<float> scores_, probabilities_, labels_;
  std::vector<double> losses_;
  std::vector<uint32_t> groups_;  // dense: 0 .. group_count_ - 1
  std::vector<uint32_t> by_score_, by_probability_;
  std::vector<double> group_auc_, group_rows_;
  size_t group_count_ = 0;
};

Interval Percentiles(std::vector<double> values, double level) {
  std::erase_if(values, [](double v) { return std::isnan(v); });
  if (values.empty()) return {kNan, kNan};
  std::sort(values.begin(), values.end());
  const auto at = [&](double q) {  // linear between the two nearest
    const double place = q * static_cast<double>(values.size() - 1);
    const auto i = static_cast<size_t>(place);
    const size_t j = std::min(i + 1, values.size() - 1);
    return values[i] + (place - static_cast<double>(i)) * (values[j] - values[i]);
  };
  return {at((1 - level) / 2), at((1 + level) / 2)};
}

void Draw(Random* random, std::vector<double>* multiplicity) {
  std::fill(multiplicity->begin(), multiplicity->end(), 0.0);
  for (size_t i = 0; i < multiplicity->size(); ++i) {
    (*multiplicity)[random->Below(multiplicity->size())] += 1.0;
  }
}

}  // namespace

double Auc(std::span<const float> scores, std::span<const float> labels,
           std::span<const double> weights) {
  std::vector<uint32_t> order = OrderBy(scores);
  std::erase_if(order, [&](uint32_t row) { return std::isnan(labels[row]); });
  return SortedAuc(order, scores, labels,
                   [&](uint32_t row) { return weights.empty() ? 1.0 : weights[row]; });
}

MetricSet Measure(const Predictions& predictions) {
  const Sample sample(predictions);
  return sample.Measure(std::vector<double>(sample.group_count(), 1.0));
}

double RevenueCapture(std::span<const float> predicted, std::span<const float> values,
                      double share) {
  const auto worth = [&](uint32_t row) {
    return std::isnan(values[row]) ? 0.0 : static_cast<double>(values[row]);
  };
  std::vector<uint32_t> order(predicted.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    if (predicted[a] != predicted[b]) return predicted[a] > predicted[b];
    return worth(a) < worth(b);
  });
  const auto best = static_cast<size_t>(std::ceil(share * static_cast<double>(order.size())));
  double found = 0, all = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    all += worth(order[i]);
    if (i < best) found += worth(order[i]);
  }
  return all > 0 ? found / all : kNan;
}

ValueMetrics MeasureValue(const Predictions& predictions) {
  ValueMetrics out;
  double expected = 0, all = 0;
  for (size_t i = 0; i < predictions.labels.size(); ++i) {
    out.rows += 1;
    expected += static_cast<double>(predictions.probabilities[i]);
    if (std::isnan(predictions.labels[i])) continue;
    out.paid += 1;
    all += static_cast<double>(predictions.labels[i]);
  }
  out.revenue_capture = RevenueCapture(predictions.probabilities, predictions.labels, 0.01);
  out.pcoc = all > 0 ? expected / all : kNan;
  return out;
}

RankingMetrics MeasureRanking(const Predictions& predictions, uint32_t k) {
  std::unordered_map<uint32_t, std::vector<uint32_t>> groups;
  for (uint32_t i = 0; i < predictions.labels.size(); ++i) {
    if (!std::isnan(predictions.labels[i])) groups[predictions.groups[i]].push_back(i);
  }
  std::vector<uint32_t> names;  // a fixed order of summing makes the result bit-reproducible
  names.reserve(groups.size());
  for (const auto& [group, rows] : groups) names.push_back(group);
  std::sort(names.begin(), names.end());
  RankingMetrics out;
  for (const uint32_t name : names) {
    std::vector<uint32_t>& rows = groups[name];
    const auto positives = static_cast<size_t>(std::count_if(
        rows.begin(), rows.end(), [&](uint32_t i) { return predictions.labels[i] > 0.5f; }));
    if (positives == 0) continue;
    std::stable_sort(rows.begin(), rows.end(), [&](uint32_t a, uint32_t b) {
      if (predictions.scores[a] != predictions.scores[b]) {
        return predictions.scores[a] > predictions.scores[b];
      }
      return predictions.labels[a] < predictions.labels[b];
    });
    double gain = 0, ideal = 0;
    for (size_t i = 0; i < std::min<size_t>(k, rows.size()); ++i) {
      const double discount = 1.0 / std::log2(static_cast<double>(i) + 2.0);
      if (predictions.labels[rows[i]] > 0.5f) gain += discount;
      if (i < positives) ideal += discount;
    }
    ++out.groups;
    out.hit_rate += gain > 0 ? 1 : 0;
    out.ndcg += ideal > 0 ? gain / ideal : 0;
  }
  const double count = out.groups;
  out.hit_rate = count > 0 ? out.hit_rate / count : kNan;
  out.ndcg = count > 0 ? out.ndcg / count : kNan;
  return out;
}

MetricIntervals Bootstrap(const Predictions& predictions, uint32_t resamples, uint64_t seed,
                          double level) {
  const Sample sample(predictions);
  Random random(seed);
  std::vector<MetricSet> draws(resamples);
  std::vector<double> multiplicity(sample.group_count());
  for (MetricSet& draw : draws) {
    Draw(&random, &multiplicity);
    draw = sample.Measure(multiplicity);
  }
  const auto interval = [&](double MetricSet::*member) {
    std::vector<double> values;
    values.reserve(draws.size());
    for (const MetricSet& draw : draws) values.push_back(draw.*member);
    return Percentiles(std::move(values), level);
  };
  return {interval(&MetricSet::auc),      interval(&MetricSet::gauc),
          interval(&MetricSet::log_loss), interval(&MetricSet::normalized_entropy),
          interval(&MetricSet::pcoc),     interval(&MetricSet::ece)};
}

Interval BootstrapAucGain(const Predictions& a, const Predictions& b, uint32_t resamples,
                          uint64_t seed, double level) {
  const Sample first(a), second(b);
  Random random(seed);
  std::vector<double> gains(resamples), multiplicity(first.group_count());
  for (double& gain : gains) {
    Draw(&random, &multiplicity);
    gain = second.Auc(multiplicity) - first.Auc(multiplicity);
  }
  return Percentiles(std::move(gains), level);
}

}  // namespace heed::train
