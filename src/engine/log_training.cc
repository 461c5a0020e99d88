#include "engine/log_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "infer/compiled_ranker.h"
#include "train/evaluate.h"
#include "train/trainer.h"

namespace heed::engine {
namespace {

constexpr size_t kMinExamples = 1'000;
constexpr ptrdiff_t kCalibrationRows = 4'096;  // the newest, for the ranges of int8
constexpr size_t kMinPositives = 50;           // of the first task

model::RankerConfig ConfigFor(const model::Schema& schema) {
  model::RankerConfig config;
  config.schema = schema;
  config.embedding_width = 16;
  config.attention_heads = 2;
  config.attention_width = 32;
  config.hidden = {128, 64};
  config.admit_after = 2;  // a viewer or product seen once has nothing to teach a row of its own
  return config;
}

}  // namespace

Result<TrainedRanker> TrainRanker(const train::ExamplePool& pool, const std::string& name,
                                  uint64_t seed,
                                  const std::function<bool(const TrainProgress&)>& progress) {
  size_t positives = 0;
  for (uint32_t i = 0; i < pool.size(); ++i) positives += pool.label(i, 0) == 1.0f;
  if (pool.size() < kMinExamples || positives < kMinPositives) {
    return InvalidArgument(fmt::format(
        "too few examples to train '{}': {} impressions, {} with {}; at least {} and {} are needed",
        name, pool.size(), positives, pool.schema().tasks[0].name, kMinExamples, kMinPositives));
  }
  train::TrainOptions options;
  options.batch_size = 256;
  options.epochs = 4;
  options.patience = 1;
  options.seed = seed;
  options.stop_metric = train::TrainOptions::StopMetric::kLogLoss;
  options.refit = true;
  std::atomic<bool> stop{false};
  const model::RankerConfig config = ConfigFor(pool.schema());
  HEED_ASSIGN_OR_RETURN(
      train::TrainResult trained,
      train::Train(
          pool, config, options,
          [&](const train::TrainProgress& now) {
            if (!progress({name + " " + now.phase, now.step, now.steps, now.loss, now.eta_s})) {
              stop = true;
            }
          },
          &stop));
  if (trained.stopped) return Status(Code::kDeadlineExceeded, "training was stopped");

  TrainedRanker result;
  result.samples = pool.size();
  HEED_ASSIGN_OR_RETURN(
      const std::vector<train::Predictions> predictions,
      train::Predict(*trained.ranker, pool, {}, pool.samples_of(train::Split::kTest)));
  for (size_t task = 0; task < predictions.size(); ++task) {
    if (pool.schema().tasks[task].kind == model::TaskKind::kValue) {
      constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
      const train::ValueMetrics value = train::MeasureValue(predictions[task]);
      result.quality.push_back({pool.schema().tasks[task].name, kNone, kNone, value.pcoc,
                                static_cast<uint64_t>(value.rows),
                                static_cast<uint64_t>(value.paid), value.revenue_capture});
      continue;
    }
    const train::MetricSet metrics = train::Measure(predictions[task]);
    result.quality.push_back({pool.schema().tasks[task].name, metrics.auc, metrics.log_loss,
                              metrics.pcoc, static_cast<uint64_t>(metrics.rows),
                              static_cast<uint64_t>(metrics.positives)});
  }
  // Kept in the file, so that the model can serve in int8 whenever it is asked to.
  const std::vector<uint32_t>& rows = pool.samples_of(train::Split::kTrain);
  std::vector<uint32_t> newest(rows.end() - std::min<ptrdiff_t>(std::ssize(rows), kCalibrationRows),
                               rows.end());
  std::vector<model::Batch> calibration(1);
  pool.FillBatch({}, newest, &calibration[0]);
  std::shared_ptr<model::Ranker> ranker = std::move(trained.ranker);
  HEED_ASSIGN_OR_RETURN(std::vector<float> ranges,
                        infer::CompiledRanker::MeasureRanges(ranker, calibration));
  ranker->SetActivationRanges(std::move(ranges));
  result.ranker = std::move(ranker);
  return result;
}

}  // namespace heed::engine
