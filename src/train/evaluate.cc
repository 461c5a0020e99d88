#include "train/evaluate.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>

namespace heed::train {
namespace {

constexpr size_t kBatchRows = 1024;

Predictions Select(const Predictions& all, const std::vector<uint32_t>& rows) {
  Predictions out;
  for (const uint32_t row : rows) {
    out.scores.push_back(all.scores[row]);
    out.probabilities.push_back(all.probabilities[row]);
    out.labels.push_back(all.labels[row]);
    out.groups.push_back(all.groups[row]);
  }
  return out;
}

}  // namespace

Status CheckSchema(const model::Schema& model, const model::Schema& data) {
  if (model == data) return {};
  const auto differs = [](const std::string& what, const auto& a, const auto& b) {
    for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
      if (i < a.size() && i < b.size() && a[i] == b[i]) continue;
      return what + " " + std::to_string(i + 1) + " is '" + (i < a.size() ? a[i].name : "none") +
             "' in the model and '" + (i < b.size() ? b[i].name : "none") + "' in the data set";
    }
    return std::string();
  };
  std::string what = differs("field", model.fields, data.fields);
  if (what.empty()) what = differs("numeric", model.numerics, data.numerics);
  if (what.empty()) what = differs("sequence", model.sequences, data.sequences);
  if (what.empty()) what = differs("task", model.tasks, data.tasks);
  return InvalidArgument("the model was made for another data set: " + what);
}

Result<std::vector<Predictions>> Predict(const model::Ranker& ranker, const Examples& data,
                                         const View& view, std::span<const uint32_t> samples,
                                         uint32_t threads) {
  const size_t tasks = data.schema().tasks.size();
  std::vector<Predictions> out(tasks);
  for (Predictions& task : out) {
    task.scores.resize(samples.size()), task.probabilities.resize(samples.size());
    task.labels.resize(samples.size()), task.groups.resize(samples.size());
  }
  const size_t batches = (samples.size() + kBatchRows - 1) / kBatchRows;
  std::atomic<size_t> next{0};
  std::vector<Status> failures(std::max<uint32_t>(threads, 1));
  const auto work = [&](Status* failure) {
    model::Batch batch;
    model::Scores scores;
    for (size_t b = next++; b < batches; b = next++) {
      const size_t first = b * kBatchRows, count = std::min(kBatchRows, samples.size() - first);
      const std::span<const uint32_t> rows = samples.subspan(first, count);
      data.FillBatch(view, rows, &batch);
      if (*failure = ranker.Forward(batch, false, &scores); !failure->ok()) return;
      for (size_t i = 0; i < count; ++i) {
        for (size_t t = 0; t < tasks; ++t) {
          out[t].scores[first + i] = scores.logits[i * tasks + t];
          out[t].probabilities[first + i] = scores.probabilities[i * tasks + t];
          out[t].labels[first + i] = batch.labels[i * tasks + t];
          out[t].groups[first + i] = data.group(rows[i]);
        }
      }
    }
  };
  std::vector<std::jthread> helpers;
  for (size_t i = 1; i < std::min<size_t>(failures.size(), batches); ++i) {
    helpers.emplace_back(work, &failures[i]);
  }
  work(&failures[0]);
  helpers.clear();  // joins
  for (const Status& failure : failures) HEED_RETURN_IF_ERROR(failure);
  return out;
}

Result<EvaluationReport> Evaluate(const model::Ranker& ranker, Dataset& data,
                                  const EvaluateOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  HEED_RETURN_IF_ERROR(CheckSchema(ranker.config().schema, data.schema()));
  if (options.split == Split::kNone || data.samples_of(options.split).empty()) {
    return InvalidArgument("data set '" + data.spec().name + "' has no rows in that split");
  }
  HEED_RETURN_IF_ERROR(data.Prepare(options.setting));
  const std::vector<uint32_t>& samples = data.samples_of(options.split);
  HEED_ASSIGN_OR_RETURN(const std::vector<Predictions> predictions,
                        Predict(ranker, data, {options.setting, Vocabulary::kAll}, samples));

  std::vector<std::pair<std::string, std::vector<uint32_t>>> parts;  // of samples, by segment
  if (!options.segment_by.empty()) {
    HEED_ASSIGN_OR_RETURN(const Segments segments, data.SegmentsBy(options.segment_by));
    for (const std::string& name : segments.names) parts.push_back({name, {}});
    for (uint32_t i = 0; i < samples.size(); ++i)
      parts[segments.of[samples[i]]].second.push_back(i);
    std::erase_if(parts, [](const auto& part) { return part.second.empty(); });
    std::stable_sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) {
      return a.second.size() > b.second.size();
    });
  }
  EvaluationReport report{data.spec().name, options.split, options.setting, samples.size(), 0, {}};
  for (size_t t = 0; t < predictions.size(); ++t) {
    TaskReport task;
    task.task = data.schema().tasks[t].name;
    if (data.schema().tasks[t].kind == model::TaskKind::kValue) {
      task.value = MeasureValue(predictions[t]);
      report.tasks.push_back(std::move(task));
      continue;
    }
    task.metrics = Measure(predictions[t]);
    if (options.bootstrap > 0) {
      task.intervals = Bootstrap(predictions[t], options.bootstrap, options.seed);
    }
    for (const uint32_t k : options.ranking) {
      task.ranking.push_back({k, MeasureRanking(predictions[t], k)});
    }
    for (const auto& [name, rows] : parts) {
      task.segments.push_back({name, Measure(Select(predictions[t], rows))});
    }
    report.tasks.push_back(std::move(task));
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace heed::train
