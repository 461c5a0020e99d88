#include "train/text_trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include "train/metrics.h"

namespace heed::train {
namespace {

using Clock = std::chrono::steady_clock;
using StopMetric = TextTrainOptions::StopMetric;

double Value(const TextMetrics& metrics, StopMetric metric) {
  switch (metric) {
    case StopMetric::kLogLoss: return -metrics.log_loss;
    case StopMetric::kMacroF1: return metrics.macro_f1;
    case StopMetric::kNone:
    case StopMetric::kAccuracy: break;
  }
  return metrics.accuracy;
}

std::vector<uint32_t> LabelsOf(const TextRows& rows, std::span<const uint32_t> which) {
  std::vector<uint32_t> labels;
  for (const uint32_t i : which) labels.push_back(rows.labels[i]);
  return labels;
}

text::TextBatch Tokens(const text::Classifier& classifier, const TextRows& rows,
                       std::span<const uint32_t> which) {
  text::TextBatch batch;
  for (const uint32_t i : which) classifier.Append(rows.texts[i], &batch);
  return batch;
}

// Scores a slice at a time, so that memory does not grow with the number of texts.
std::vector<float> Logits(const text::Classifier& classifier, const TextRows& rows,
                          std::span<const uint32_t> which) {
  constexpr size_t kSlice = 256;
  const size_t C = classifier.config().labels.size();
  std::vector<float> logits(which.size() * C);
  const text::ScratchPtr scratch = text::NewScratch();
  for (size_t first = 0; first < which.size(); first += kSlice) {
    const size_t n = std::min(kSlice, which.size() - first);
    const text::TextBatch batch = Tokens(classifier, rows, which.subspan(first, n));
    classifier.Score(batch, scratch.get(), std::span(logits).subspan(first * C, n * C));
  }
  return logits;
}

// One fit from scratch.
struct Fit {
  const TextRows& rows;
  std::span<const uint32_t> train;
  std::span<const uint32_t> valid;  // judged after each epoch; may be empty
  const TextTrainOptions& options;
  const char* phase;
  double epochs;  // the last one to run; rates fall over options.epochs all the same
  const ProgressCallback& progress;
  const std::atomic<bool>* stop;

  TextTrainResult Run(std::unique_ptr<text::Classifier> classifier) const {
    TextTrainResult result;
    result.best_valid = std::numeric_limits<double>::quiet_NaN();
    const text::TextBatch batch = Tokens(*classifier, rows, train);
    classifier->CountNgrams(batch);
    const std::vector<uint32_t> labels = LabelsOf(rows, train), judged = LabelsOf(rows, valid);
    classifier->FitLinear(batch, labels, options.class_weights);
    std::vector<uint32_t> order(train.size());
    std::iota(order.begin(), order.end(), 0u);
    Random random(options.seed);
    const size_t per_epoch = (order.size() + options.batch_size - 1) / options.batch_size;
    const auto planned = static_cast<double>(per_epoch) * options.epochs;
    const auto started = Clock::now();
    std::string best;  // the bytes of the best model so far, where an epoch is chosen
    uint32_t since_best = 0;
    double loss = 0.0;
    for (uint32_t epoch = 1; epoch <= static_cast<uint32_t>(epochs); ++epoch) {
      random.Shuffle(order);
      for (size_t first = 0; first < order.size() && !result.stopped; first += options.batch_size) {
        result.stopped = stop != nullptr && stop->load();
        const size_t n = std::min<size_t>(options.batch_size, order.size() - first);
        text::ClassifierUpdate update = options.update;
        const auto left = static_cast<float>(1.0 - static_cast<double>(result.steps) / planned);
        update.table_rate *= left;
        update.dense_rate *= left;
        update.class_weights = options.class_weights;
        const double step =
            classifier->TrainStep(batch, {order.data() + first, n}, labels, update, random);
        loss = result.steps == 0 ? step : 0.98 * loss + 0.02 * step;
        ++result.steps;
        if (progress && result.steps % 50 == 0) {
          Report(result.steps, loss, started, std::numeric_limits<double>::quiet_NaN());
        }
      }
      result.best_epochs = epoch;
      if (!valid.empty()) {
        const TextMetrics metrics = MeasureTexts(PredictTexts(*classifier, rows, valid), judged,
                                                 classifier->config().labels.size());
        const double value = Value(metrics, options.stop_metric);
        result.valid.push_back(value);
        if (progress) Report(result.steps, loss, started, value);
        const bool choose = options.stop_metric != StopMetric::kNone;
        if (!choose || best.empty() || value > result.best_valid) {
          result.best_valid = value;
          since_best = 0;
          if (choose) best = classifier->Serialize();
        } else {
          ++since_best;
          result.best_epochs = epoch - since_best;
        }
        if (choose && since_best >= options.patience) break;
      }
      if (result.stopped) break;
    }
    if (since_best > 0) {
      auto kept = text::Classifier::Parse(best);
      if (kept.ok()) classifier = std::move(kept).value();
    }
    result.classifier = std::move(classifier);
    return result;
  }

  void Report(uint64_t step, double loss, Clock::time_point started, double value) const {
    TrainProgress now;
    now.phase = phase;
    now.step = step;
    const size_t steps_an_epoch = (train.size() + options.batch_size - 1) / options.batch_size;
    now.steps = static_cast<uint64_t>(epochs * static_cast<double>(steps_an_epoch));
    const double seconds = std::chrono::duration<double>(Clock::now() - started).count();
    const auto done = static_cast<double>(step);
    now.rows_per_s = done * options.batch_size / seconds;
    now.eta_s = seconds / done * static_cast<double>(now.steps - std::min(now.steps, step));
    now.loss = loss;
    now.valid = value;
    progress(now);
  }
};

}  // namespace

TextMetrics MeasureTexts(std::span<const float> probabilities, std::span<const uint32_t> labels,
                         size_t classes) {
  TextMetrics metrics;
  const size_t C = classes, N = labels.size();
  assert(probabilities.size() == N * C);
  std::vector<double> hit(C), said(C), is(C);
  std::vector<float> scores, ones;
  for (size_t n = 0; n < N; ++n) {
    const float* p = probabilities.data() + n * C;
    const auto best = static_cast<size_t>(std::max_element(p, p + C) - p);
    ++said[best];
    ++is[labels[n]];
    if (best == labels[n]) ++hit[best];
    metrics.log_loss -= std::log(std::max(1e-7, static_cast<double>(p[labels[n]])));
    scores.push_back(p[C - 1]);
    ones.push_back(labels[n] == C - 1 ? 1.0f : 0.0f);
  }
  metrics.rows = static_cast<double>(N);
  metrics.accuracy = std::accumulate(hit.begin(), hit.end(), 0.0) / metrics.rows;
  metrics.log_loss /= metrics.rows;
  for (size_t c = 0; c < C; ++c) {
    if (hit[c] > 0) metrics.macro_f1 += 2 * hit[c] / (said[c] + is[c]) / static_cast<double>(C);
  }
  metrics.auc = Auc(scores, ones);
  return metrics;
}

std::vector<float> PredictTexts(const text::Classifier& classifier, const TextRows& rows,
                                std::span<const uint32_t> which) {
  std::vector<float> numbers = Logits(classifier, rows, which);
  classifier.ToProbabilities(numbers);
  return numbers;
}

Result<TextTrainResult> TrainTexts(const TextRows& rows, std::span<const uint32_t> train_rows,
                                   std::span<const uint32_t> valid_rows,
                                   const text::ClassifierConfig& config,
                                   const TextTrainOptions& options, bool calibrate,
                                   const ProgressCallback& progress,
                                   const std::atomic<bool>* stop) {
  if (train_rows.empty()) return InvalidArgument("there is no text to train on");
  if (options.stop_metric != StopMetric::kNone && valid_rows.empty()) {
    return InvalidArgument("early stopping needs valid rows, and there are none");
  }
  const bool refit = options.refit && !valid_rows.empty();
  TextTrainResult result;
  auto epochs = static_cast<double>(options.epochs);
  // Without an epoch to choose or a scale to fit, a first fit would only be thrown away.
  if (!refit || calibrate || options.stop_metric != StopMetric::kNone) {
    HEED_ASSIGN_OR_RETURN(auto fresh, text::Classifier::Create(config, options.seed));
    result = Fit{rows, train_rows, valid_rows, options, "fit", epochs, progress, stop}.Run(
        std::move(fresh));
    epochs = result.best_epochs;
    if (calibrate && !valid_rows.empty()) {
      const std::vector<float> logits = Logits(*result.classifier, rows, valid_rows);
      result.classifier->FitScale(logits, LabelsOf(rows, valid_rows));
    }
    if (!refit || result.stopped) return result;
  }
  const float scale = result.classifier == nullptr ? 1.0f : result.classifier->scale();
  std::vector<uint32_t> all(train_rows.begin(), train_rows.end());
  all.insert(all.end(), valid_rows.begin(), valid_rows.end());
  HEED_ASSIGN_OR_RETURN(auto fresh, text::Classifier::Create(config, options.seed));
  TextTrainResult again =
      Fit{rows, all, {}, options, "refit", epochs, progress, stop}.Run(std::move(fresh));
  again.classifier->set_scale(scale);
  again.valid = std::move(result.valid);
  again.best_valid = result.best_valid;
  return again;
}

}  // namespace heed::train
