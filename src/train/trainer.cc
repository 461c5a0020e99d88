#include "train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numbers>
#include <optional>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/random.h"
#include "base/suggest.h"
#include "model/ranker_net.h"
#include "train/calibration.h"
#include "train/evaluate.h"
#include "train/input_drift.h"
#include "train/metrics.h"
#include "train/training_state.h"

namespace heed::train {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kProgressEveryS = 0.2;
constexpr size_t kLossWindow = 50;  // steps

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// One training from the first weights on. The phases differ in rows, vocabulary and end.
class Run {
 public:
  struct Plan {
    std::string phase;
    std::vector<uint32_t> samples;
    Vocabulary vocabulary;
    double epochs;       // the schedule's length
    double stop_epochs;  // where to end
    bool judge;          // early stopping on the valid rows
  };

  Run(const Examples& data, const model::RankerConfig& config, const TrainOptions& options,
      Plan plan, const ProgressCallback& progress, const std::atomic<bool>* stop,
      const Checkpoint& checkpoint, const TrainingState& frame)
      : data_(data),
        config_(config),
        options_(options),
        plan_(std::move(plan)),
        progress_(progress),
        stop_(stop),
        checkpoint_(checkpoint),
        frame_(frame) {}

  // From the first step, or from where `from` had come.
  Result<TrainResult> Go(const TrainingState* from) {
    HEED_RETURN_IF_ERROR(from == nullptr ? Start() : Resume(*from));
    const size_t rows = plan_.samples.size();
    const uint64_t per_epoch = (rows + options_.batch_size - 1) / options_.batch_size;
    const uint64_t planned = Steps(plan_.epochs, per_epoch),
                   last = Steps(plan_.stop_epochs, per_epoch);
    const uint64_t judge_every =
        options_.evaluate_every_steps > 0 ? options_.evaluate_every_steps : per_epoch;
    std::vector<uint32_t> order;
    model::Batch batch;
    while (step_ < last && !(without_gain_ > 0 && without_gain_ >= options_.patience)) {
      if (stop_ != nullptr && stop_->load(std::memory_order_relaxed)) {
        result_.stopped = true;
        Keep();
        break;
      }
      if (Now() - kept_ >= checkpoint_.every_s) Keep();
      const uint64_t in_epoch = step_ % per_epoch;
      if (in_epoch == 0 || order.empty()) order = Shuffled(step_ / per_epoch);
      const size_t first = in_epoch * options_.batch_size;
      const size_t count = std::min<size_t>(options_.batch_size, rows - first);
      data_.FillBatch({Setting::kOnline, plan_.vocabulary}, std::span(order).subspan(first, count),
                      &batch);
      WeighClasses(&batch);
      ranker_->SetRateScale(static_cast<float>(
          plateau_scale_ * RateScale(options_.schedule, options_.warmup, step_, planned)));
      const Result<double> loss = ranker_->TrainStep(batch, options_.optimizer);
      if (!loss.ok()) {
        return loss.status().Within(plan_.phase + ", step " + std::to_string(step_ + 1));
      }
      ++step_;
      if (average_ != nullptr) {
        const auto step = static_cast<double>(step_);
        average_->MoveTowards(
            *ranker_, static_cast<float>(std::min(options_.average, (1 + step) / (10 + step))));
      }
      result_.rows_seen += count;
      losses_.push_back(loss.value());
      Report(last, kNan);
      if (!plan_.judge || !(step_ % judge_every == 0 || step_ == last)) continue;
      HEED_ASSIGN_OR_RETURN(const bool gained, Judge(per_epoch, last));
      without_gain_ = gained ? 0 : without_gain_ + 1;
      if (!gained && options_.schedule == TrainOptions::Schedule::kPlateau) {
        plateau_scale_ *= options_.plateau_factor;
      }
    }
    return Finish(per_epoch);
  }

 private:
  static uint64_t Steps(double epochs, uint64_t per_epoch) {
    return std::max<uint64_t>(
        1, static_cast<uint64_t>(std::llround(epochs * static_cast<double>(per_epoch))));
  }

  // Goes on between the same two steps: what is not in the file follows from it.
  Status Resume(const TrainingState& from) {
    kept_ = Now();
    start_ = kept_ - from.seconds;
    const auto parse = [&](const std::string& bytes, std::unique_ptr<model::Ranker>* to) -> Status {
      HEED_ASSIGN_OR_RETURN(*to, model::Ranker::Parse(bytes));
      if ((*to)->config() == config_) return {};
      return InvalidArgument(checkpoint_.path + ": of another ranker");
    };
    HEED_RETURN_IF_ERROR(parse(from.ranker, &ranker_));
    if (!from.average.empty()) HEED_RETURN_IF_ERROR(parse(from.average, &average_));
    if (!from.best.empty()) HEED_RETURN_IF_ERROR(parse(from.best, &best_));
    if ((average_ != nullptr) != (options_.average > 0)) return Corruption("checkpoint: average");
    ranker_->SetThreads(options_.threads);
    if (config_.admit_after > 1) ranker_->SetCounting(false);
    step_ = from.step, best_step_ = from.best_step, without_gain_ = from.without_gain;
    plateau_scale_ = from.plateau_scale;
    losses_ = from.losses;
    result_.rows_seen = from.rows_seen;
    result_.best_metric = from.best_metric;
    result_.valid = from.valid;
    if (best_ == nullptr) return {};
    HEED_ASSIGN_OR_RETURN(best_predictions_,
                          Predict(*best_, data_, {}, data_.samples_of(Split::kValid)));
    return {};
  }

  // Puts the state between two steps on disk.
  void Keep() {
    kept_ = Now();
    if (checkpoint_.path.empty()) return;
    TrainingState state = frame_;
    state.step = step_, state.best_step = best_step_, state.without_gain = without_gain_;
    state.plateau_scale = plateau_scale_;
    state.rows_seen = result_.rows_seen;
    state.best_metric = result_.best_metric;
    state.seconds = kept_ - start_;
    state.losses.assign(
        losses_.end() - static_cast<ptrdiff_t>(std::min(losses_.size(), kLossWindow)),
        losses_.end());
    state.valid = result_.valid;
    state.ranker = ranker_->Serialize();
    if (average_ != nullptr) state.average = average_->Serialize();
    if (best_ != nullptr) state.best = best_->Serialize();
    // A full disk must not end hours of training.
    if (const Status kept = ReplaceFile(checkpoint_.path, EncodeState(state)); !kept.ok()) {
      LogWarn("training goes on without this checkpoint: {}", kept.ToString());
    }
  }

  Status Start() {
    start_ = kept_ = Now();
    const View view{Setting::kOnline, plan_.vocabulary};
    HEED_ASSIGN_OR_RETURN(ranker_, model::Ranker::Create(config_, options_.seed));
    model::Net net = ranker_->net();
    net.numeric_bins = BinNumerics(data_, view, plan_.samples);
    ranker_ = model::Ranker::Of(net);
    CorrectLogits();
    ranker_->SetThreads(options_.threads);
    std::vector<float> mean, deviation;
    data_.NumericScaling(view, plan_.samples, &mean, &deviation);
    ranker_->SetNumericScaling(mean, deviation);
    ranker_->SetTaskBias(BaseLogOdds());
    if (options_.average > 0) average_ = ranker_->Copy();
    if (config_.admit_after > 1) {
      // Counting the whole set first, or a key's first sights would all train the "absent" row.
      model::Batch batch;
      for (size_t first = 0; first < plan_.samples.size(); first += options_.batch_size) {
        const size_t count = std::min<size_t>(options_.batch_size, plan_.samples.size() - first);
        data_.FillBatch(view, std::span(plan_.samples).subspan(first, count), &batch);
        HEED_RETURN_IF_ERROR(ranker_->CountKeys(batch));
      }
      ranker_->SetCounting(false);
    }
    return {};
  }

  // Weights and samples move log-odds by log w + log (1 / share) (King & Zeng 2001); this takes it out.
  void CorrectLogits() {
    const size_t T = data_.schema().tasks.size();
    std::vector<float> shift(T, static_cast<float>(std::log(options_.negative_share)));
    for (size_t t = 0; t < T; ++t) {
      if (!options_.positive_weights.empty()) shift[t] -= std::log(options_.positive_weights[t]);
      if (IsValue(t)) shift[t] = 0;  // an amount's rows are the positive ones
    }
    ranker_->SetCalibration(std::vector<float>(T, 1.0f), shift);
  }

  void WeighClasses(model::Batch* batch) const {
    const size_t N = batch->candidates, T = options_.positive_weights.size();
    if (T == 0) return;
    std::vector<float> weights(N * T);
    for (size_t n = 0; n < N; ++n) {
      const float own = batch->weights.empty() ? 1.0f : batch->weights[n];
      for (size_t t = 0; t < T; ++t) {
        const bool positive = batch->labels[n * T + t] > 0.5f;
        weights[n * T + t] = positive ? own * options_.positive_weights[t] : own;
      }
    }
    batch->weights = std::move(weights);
  }

  std::vector<float> BaseLogOdds() const {
    std::vector<float> out;
    for (size_t t = 0; t < data_.schema().tasks.size(); ++t) {
      if (IsValue(t)) {
        out.push_back(MeanValue(t));
        continue;
      }
      double ones = 1, known = 2;  // one imagined row of each class keeps it finite
      for (const uint32_t sample : plan_.samples) {
        const float label = data_.label(sample, t);
        if (!std::isnan(label)) ones += label, known += 1;
      }
      const double weight = options_.positive_weights.empty()
                                ? 1.0
                                : static_cast<double>(options_.positive_weights[t]);
      out.push_back(static_cast<float>(std::log(weight * ones / (known - ones))));
    }
    return out;
  }

  bool IsValue(size_t task) const {
    return data_.schema().tasks[task].kind == model::TaskKind::kValue;
  }

  // In the head's unit; 0 where no row has one.
  float MeanValue(size_t task) const {
    double sum = 0, known = 0;
    for (const uint32_t sample : plan_.samples) {
      const float label = data_.label(sample, task);
      if (!std::isnan(label)) sum += static_cast<double>(label), known += 1;
    }
    const auto unit = static_cast<double>(data_.schema().tasks[task].huber_delta);
    return known > 0 ? static_cast<float>(sum / known / unit) : 0.0f;
  }

  std::vector<uint32_t> Shuffled(uint64_t epoch) const {
    std::vector<uint32_t> order = plan_.samples;
    Random random(MixHash(options_.seed + MixHash(epoch + 1)));
    random.Shuffle(order);
    return order;
  }

  double RecentLoss() const {
    const size_t n = std::min(losses_.size(), kLossWindow);
    double sum = 0;
    for (size_t i = losses_.size() - n; i < losses_.size(); ++i) sum += losses_[i];
    return n > 0 ? sum / static_cast<double>(n) : kNan;
  }

  void Report(uint64_t last, double valid) {
    const double now = Now();
    const bool due = now - reported_ >= kProgressEveryS || !std::isnan(valid);
    if (!progress_ || !due) return;
    reported_ = now;
    const double elapsed = std::max(now - start_, 1e-9);
    progress_({.phase = plan_.phase,
               .step = step_,
               .steps = last,
               .rows_per_s = static_cast<double>(result_.rows_seen) / elapsed,
               .eta_s = elapsed / static_cast<double>(step_) * static_cast<double>(last - step_),
               .loss = RecentLoss(),
               .valid = valid});
  }

  const model::Ranker& Judged() const { return average_ != nullptr ? *average_ : *ranker_; }

  // Measures the valid rows; true when they are a new best.
  Result<bool> Judge(uint64_t per_epoch, uint64_t last) {
    HEED_ASSIGN_OR_RETURN(const std::vector<Predictions> predictions,
                          Predict(Judged(), data_, {}, data_.samples_of(Split::kValid)));
    double sum = 0, tasks = 0;
    for (size_t t = 0; t < predictions.size(); ++t) {
      if (!options_.stop_task.empty() && options_.stop_task != data_.schema().tasks[t].name)
        continue;
      if (IsValue(t)) {  // judged where it is asked for by name
        const double found = MeasureValue(predictions[t]).revenue_capture;
        if (!options_.stop_task.empty() && !std::isnan(found)) sum += found, tasks += 1;
        continue;
      }
      const MetricSet metrics = Measure(predictions[t]);
      const double metric = options_.stop_metric == TrainOptions::StopMetric::kAuc ? metrics.auc
                            : options_.stop_metric == TrainOptions::StopMetric::kGauc
                                ? metrics.gauc
                                : -metrics.log_loss;
      if (!std::isnan(metric)) sum += metric, tasks += 1;
    }
    const double metric = tasks > 0 ? sum / tasks : kNan;
    const double epochs = static_cast<double>(step_) / static_cast<double>(per_epoch);
    result_.valid.push_back({step_, epochs, metric});
    Report(last, metric);
    const bool gained = best_ == nullptr || metric > result_.best_metric;
    if (gained) {
      best_ = Judged().Copy();
      best_step_ = step_;
      result_.best_metric = metric;
      best_predictions_ = predictions;
    }
    return gained;
  }

  Result<TrainResult> Finish(uint64_t per_epoch) {
    if (best_ == nullptr) {  // nothing was judged: the last weights are the result
      result_.best_metric = kNan;
      best_ = Judged().Copy();
      best_step_ = step_;
    }
    if (options_.calibrate && !best_predictions_.empty()) {
      std::vector<float> scale, shift;
      for (size_t t = 0; t < best_predictions_.size(); ++t) {
        const Predictions& task = best_predictions_[t];
        const Calibration fit = IsValue(t) ? Calibration() : FitPlatt(task.scores, task.labels);
        scale.push_back(fit.scale), shift.push_back(fit.shift);
      }
      best_->SetCalibration(scale, shift);
      result_.calibration = {scale, shift};
    }
    result_.ranker = std::move(best_);
    result_.steps = best_step_;
    result_.best_epochs = static_cast<double>(best_step_) / static_cast<double>(per_epoch);
    result_.loss = RecentLoss();
    result_.seconds = Now() - start_;
    return std::move(result_);
  }

  const Examples& data_;
  const model::RankerConfig& config_;
  const TrainOptions& options_;
  Plan plan_;
  const ProgressCallback& progress_;
  const std::atomic<bool>* stop_;
  const Checkpoint& checkpoint_;
  const TrainingState& frame_;  // what a checkpoint says beside this phase

  std::unique_ptr<model::Ranker> ranker_, average_, best_;
  double plateau_scale_ = 1;
  std::vector<Predictions> best_predictions_;
  uint64_t step_ = 0, best_step_ = 0;
  uint64_t without_gain_ = 0;
  double start_ = 0, reported_ = 0, kept_ = 0;
  std::vector<double> losses_;
  TrainResult result_;
};

Status CheckOptions(const Examples& data, const model::RankerConfig& config,
                    const TrainOptions& options) {
  if (!(config.schema == data.schema())) {
    return InvalidArgument("the ranker's schema is not the data set's");
  }
  if (options.batch_size == 0) return InvalidArgument("'batch_size' must be above 0", "batch_size");
  if (!(options.epochs > 0)) return InvalidArgument("'epochs' must be above 0", "epochs");
  if (options.patience == 0) return InvalidArgument("'patience' must be above 0", "patience");
  std::vector<std::string> tasks;
  for (const model::TaskSpec& task : data.schema().tasks) tasks.push_back(task.name);
  const std::vector<float>& weights = options.positive_weights;
  if ((!weights.empty() && weights.size() != tasks.size()) ||
      std::any_of(weights.begin(), weights.end(),
                  [](float w) { return !(w > 0.0f) || !std::isfinite(w); })) {
    return InvalidArgument("'positive_weights' must be a number above 0 for each label",
                           "positive_weights");
  }
  if (!(options.negative_share > 0) || options.negative_share > 1 ||
      (options.negative_share < 1 && tasks.size() > 1)) {
    return InvalidArgument(
        "'negative_share' must be above 0 and at most 1, and with several labels 1",
        "negative_share");
  }
  if (!options.stop_task.empty() &&
      std::find(tasks.begin(), tasks.end(), options.stop_task) == tasks.end()) {
    return InvalidArgument("'stop_task' names no label: '" + options.stop_task + "'" +
                               Suggestion(options.stop_task, tasks),
                           "stop_task");
  }
  return {};
}

}  // namespace

double RateScale(TrainOptions::Schedule schedule, double warmup, uint64_t step, uint64_t planned) {
  const double done =
      static_cast<double>(step) / static_cast<double>(std::max<uint64_t>(planned, 1));
  double scale = 1;
  if (schedule == TrainOptions::Schedule::kLinear) scale = 1 - done;
  if (schedule == TrainOptions::Schedule::kCosine) {
    scale = 0.5 * (1 + std::cos(std::numbers::pi * done));
  }
  const double rise = warmup * static_cast<double>(planned);
  return rise > 0 ? scale * std::min(1.0, static_cast<double>(step + 1) / rise) : scale;
}

namespace {

// All but the negatives that are left out: which, depends on the seed and the row alone.
std::vector<uint32_t> Drawn(const Examples& data, const TrainOptions& options,
                            std::vector<uint32_t> samples) {
  if (options.negative_share >= 1) return samples;
  std::erase_if(samples, [&](uint32_t sample) {
    if (!(data.label(sample, 0) < 0.5f)) return false;  // an unknown one stays, too
    Random random(MixHash(options.seed + MixHash(uint64_t{sample} + 1)));
    return !random.Chance(options.negative_share);
  });
  return samples;
}

TrainingState::Fit FitOf(const TrainResult& result) {
  return {.steps = result.steps,
          .rows_seen = result.rows_seen,
          .best_metric = result.best_metric,
          .best_epochs = result.best_epochs,
          .loss = result.loss,
          .seconds = result.seconds,
          .valid = result.valid,
          .calibration_scale = result.calibration.first,
          .calibration_shift = result.calibration.second,
          .ranker = result.ranker->Serialize()};
}

Result<TrainResult> ResultOf(const TrainingState::Fit& fit) {
  TrainResult result;
  HEED_ASSIGN_OR_RETURN(result.ranker, model::Ranker::Parse(fit.ranker));
  result.valid = fit.valid;
  result.best_metric = fit.best_metric;
  result.best_epochs = fit.best_epochs;
  result.steps = fit.steps;
  result.loss = fit.loss;
  result.rows_seen = fit.rows_seen;
  result.seconds = fit.seconds;
  result.calibration = {fit.calibration_scale, fit.calibration_shift};
  return result;
}

// What training was told to go on from; nothing when it begins.
Result<std::optional<TrainingState>> StateToResume(const Checkpoint& checkpoint,
                                                   uint64_t fingerprint) {
  if (!checkpoint.resume) return std::optional<TrainingState>();
  HEED_ASSIGN_OR_RETURN(const std::string bytes, ReadWholeFile(checkpoint.path));
  Result<TrainingState> state = DecodeState(bytes);
  if (!state.ok()) return state.status().Within(checkpoint.path);
  if (state.value().fingerprint != fingerprint) {
    return InvalidArgument(checkpoint.path + ": of a training with other data or settings");
  }
  return std::optional(std::move(state).value());
}

}  // namespace

Result<TrainResult> Train(const Examples& data, const model::RankerConfig& config,
                          const TrainOptions& options, const ProgressCallback& progress,
                          const std::atomic<bool>* stop, const Checkpoint& checkpoint) {
  HEED_RETURN_IF_ERROR(CheckOptions(data, config, options));
  const std::vector<uint32_t>& train = data.samples_of(Split::kTrain);
  const std::vector<uint32_t>& valid = data.samples_of(Split::kValid);
  TrainingState frame;
  if (!checkpoint.path.empty()) frame.fingerprint = FingerprintOf(data, options);
  HEED_ASSIGN_OR_RETURN(const std::optional<TrainingState> from,
                        StateToResume(checkpoint, frame.fingerprint));
  const auto done = [&](TrainResult result) {
    if (!checkpoint.path.empty() && !result.stopped) (void)std::remove(checkpoint.path.c_str());
    return result;
  };
  TrainResult first;
  if (from.has_value() && from->fit.has_value()) {
    HEED_ASSIGN_OR_RETURN(first, ResultOf(*from->fit));
  } else {
    Run fit(data, config, options,
            {"fit", Drawn(data, options, train), Vocabulary::kTrain, options.epochs, options.epochs,
             !valid.empty()},
            progress, stop, checkpoint, frame);
    HEED_ASSIGN_OR_RETURN(first, fit.Go(from.has_value() ? &*from : nullptr));
  }
  if (!options.refit || valid.empty() || first.stopped) return done(std::move(first));

  std::vector<uint32_t> all = train;
  all.insert(all.end(), valid.begin(), valid.end());
  if (!checkpoint.path.empty()) frame.fit = FitOf(first);
  Run refit(data, config, options,
            {"refit", Drawn(data, options, std::move(all)), Vocabulary::kTrainAndValid,
             options.epochs, first.best_epochs, false},
            progress, stop, checkpoint, frame);
  HEED_ASSIGN_OR_RETURN(TrainResult second,
                        refit.Go(from.has_value() && from->fit.has_value() ? &*from : nullptr));
  second.rows_seen += first.rows_seen;
  second.seconds += first.seconds;
  if (second.stopped) {  // half a refit is worse than the whole fit before it
    first.stopped = true;
    return done(std::move(first));
  }
  second.valid = std::move(first.valid);
  second.best_metric = first.best_metric;
  if (first.calibration.first.empty()) return done(std::move(second));
  // No row is held out any more. The scale comes from the first model, which has not seen the valid
  // rows. The shift must fit this model: constant-rate training ends with a bias of its own (measured
  // on KuaiRand: mean predictions 35 % off), and a mean, unlike a scale, is not flattered by having
  // been trained on the rows.
  second.calibration = std::move(first.calibration);
  HEED_ASSIGN_OR_RETURN(const std::vector<Predictions> predictions,
                        Predict(*second.ranker, data, {}, valid));
  for (size_t t = 0; t < predictions.size(); ++t) {
    if (data.schema().tasks[t].kind == model::TaskKind::kValue) continue;
    second.calibration.second[t] =
        FitShift(predictions[t].scores, predictions[t].labels, second.calibration.first[t]);
  }
  second.ranker->SetCalibration(second.calibration.first, second.calibration.second);
  return done(std::move(second));
}

}  // namespace heed::train
