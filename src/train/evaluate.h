// A trained ranker on a split of a data set.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/ranker.h"
#include "train/dataset.h"
#include "train/metrics.h"

namespace heed::train {

// Per task, the predictions for `samples` in their order. Uses up to `threads` threads; the result
// does not depend on how many.
Result<std::vector<Predictions>> Predict(const model::Ranker& ranker, const Examples& data,
                                         const View& view, std::span<const uint32_t> samples,
                                         uint32_t threads = 2);

// The first difference, in words: a model that was trained on another description must not be judged
// silently on this one.
Status CheckSchema(const model::Schema& model, const model::Schema& data);

struct EvaluateOptions {
  Split split = Split::kTest;
  Setting setting = Setting::kOnline;
  uint32_t bootstrap = 0;         // resamples of users; 0: no intervals
  uint64_t seed = 1;              // of the resampling
  std::vector<uint32_t> ranking;  // the k of HR@k and NDCG@k, within a group
  std::string segment_by;         // a column of the data set's `segments`; "": none
};

struct RankingAt {
  uint32_t k = 0;
  RankingMetrics metrics;
};
struct SegmentReport {
  std::string name;  // "": rows without a value
  MetricSet metrics;
};
struct TaskReport {
  std::string task;
  std::optional<ValueMetrics> value;  // of a value, which has nothing of what follows
  MetricSet metrics;
  std::optional<MetricIntervals> intervals;
  std::vector<RankingAt> ranking;
  std::vector<SegmentReport> segments;  // by rows, most first
};
struct EvaluationReport {
  std::string dataset;
  Split split = Split::kTest;
  Setting setting = Setting::kOnline;
  uint64_t rows = 0;
  double seconds = 0;
  std::vector<TaskReport> tasks;
};

// Prepares the setting. kInvalidArgument when the ranker was made for another schema or the split is
// empty.
Result<EvaluationReport> Evaluate(const model::Ranker& ranker, Dataset& data,
                                  const EvaluateOptions& options);

}  // namespace heed::train
