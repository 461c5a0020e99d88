// How good predictions are: definitions that a reader can check by hand, computed exactly.
// Pure functions, safe from any thread. Where a metric does not exist (one class only) it is NaN.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace heed::train {

// One task's predictions on one set of rows: parallel arrays, [rows] each.
struct Predictions {
  std::vector<float> scores;         // only their order matters: logits
  std::vector<float> probabilities;  // in [0, 1]; of a value what is expected of it
  std::vector<float> labels;         // 0 or 1, or amounts; rows with NaN are left out
  std::vector<uint32_t> groups;      // whose row it is, for GAUC, HR, NDCG and resampling
};

struct MetricSet {
  double rows = 0, positives = 0;
  double auc = 0;   // P(score of a positive > score of a negative), ties count one half
  double gauc = 0;  // AUC within a group, weighted by the group's rows; one-class groups left out
  double log_loss = 0;            // mean natural-log loss; p clipped to [1e-7, 1 - 1e-7]
  double normalized_entropy = 0;  // log loss / entropy of the base rate: below 1 is information
  double pcoc = 0;                // mean predicted / mean observed: 1 is calibrated
  double ece = 0;                 // mean |predicted - observed| over ten bins of equal count
};

// O(n log n). `weights` is empty or one non-negative weight a row.
double Auc(std::span<const float> scores, std::span<const float> labels,
           std::span<const double> weights = {});

MetricSet Measure(const Predictions& predictions);

// How good predictions of a value are, over all rows: one whose label is NaN was worth nothing.
struct ValueMetrics {
  double rows = 0, paid = 0;   // paid: with a label
  double revenue_capture = 0;  // RevenueCapture at 1 %
  double pcoc = 0;             // sum of what was expected / sum of the labels
};
ValueMetrics MeasureValue(const Predictions& predictions);

// The share of the sum of `values` that is in the rows with the largest predictions: `share` of them,
// rounded up. NaN values count as 0, and of equal predictions the smaller values come first, so that a
// constant earns nothing. NaN when the sum is not above 0.
double RevenueCapture(std::span<const float> predicted, std::span<const float> values,
                      double share);

struct RankingMetrics {
  double hit_rate = 0;  // share of groups with a positive among the k best
  double ndcg = 0;      // binary gain, log2 discount, ideal order of the same group
  uint32_t groups = 0;  // groups with a positive: the others say nothing
};
// Equal scores: negatives first, so that a constant score earns nothing.
RankingMetrics MeasureRanking(const Predictions& predictions, uint32_t k);

struct Interval {
  double low = 0, high = 0;
};
struct MetricIntervals {
  Interval auc, gauc, log_loss, normalized_entropy, pcoc, ece;
};
// Percentile intervals at `level` over `resamples` draws of whole groups with replacement: rows of
// one user are not independent. Deterministic given the seed. O(n log n + resamples * n).
MetricIntervals Bootstrap(const Predictions& predictions, uint32_t resamples, uint64_t seed,
                          double level = 0.95);

// Of AUC(b) - AUC(a), predictions of the same rows: each draw is of the same groups for both.
Interval BootstrapAucGain(const Predictions& a, const Predictions& b, uint32_t resamples,
                          uint64_t seed, double level = 0.95);

}  // namespace heed::train
