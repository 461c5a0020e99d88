// What learning does, at /metrics: one gauge a model, or one a model and task. Counts are gauges, too:
// they are read from the engine, which keeps them.
#include <cmath>

#include "server/api.h"

namespace heed::server {
namespace {

struct ModelGauge {
  const char* name;
  const char* help;
  double (*of)(const LearningStats&);
};

struct TaskGauge {
  const char* name;
  const char* help;
  double (*of)(const TaskLearning&);
};

struct InputGauge {
  const char* name;
  const char* help;
  double (*of)(const InputLearning&);
};

struct ValueGauge {
  const char* name;
  const char* help;
  double (*of)(const TaskLearning::Value&);
};

double Count(uint64_t n) { return static_cast<double>(n); }

constexpr ModelGauge kModelGauges[] = {
    {"heed_learning_on", "1: learns; 0: stopped, by hand or by an alarm",
     [](const LearningStats& s) { return s.learning ? 1.0 : 0.0; }},
    {"heed_learning_shown", "Impressions followed",
     [](const LearningStats& s) { return Count(s.shown); }},
    {"heed_learning_skipped",
     "Impressions left, over examples_per_s or because learning was behind",
     [](const LearningStats& s) { return Count(s.skipped); }},
    {"heed_learning_by_decision", "Impressions learned with the features of their decision",
     [](const LearningStats& s) { return Count(s.by_decision); }},
    {"heed_learning_queued", "Waiting for the learner now",
     [](const LearningStats& s) { return Count(s.queued); }},
    {"heed_learning_steps", "Steps of training",
     [](const LearningStats& s) { return Count(s.steps); }},
    {"heed_learning_refused_steps", "Steps that were not finite and changed nothing",
     [](const LearningStats& s) { return Count(s.refused_steps); }},
    {"heed_learning_capped", "Examples over the influence cap of their viewer or source",
     [](const LearningStats& s) { return Count(s.capped); }},
    {"heed_learning_loss_difference", "Mean loss of the learning model less its shadow's",
     [](const LearningStats& s) { return s.loss_difference; }},
    {"heed_learning_loss_difference_error", "Standard error of that",
     [](const LearningStats& s) { return s.loss_difference_error; }},
    {"heed_learning_promotions", "Times the learned weights became the shadow",
     [](const LearningStats& s) { return Count(s.promotions); }},
    {"heed_learning_rollbacks", "Times the learned weights went back to the shadow's",
     [](const LearningStats& s) { return Count(s.rollbacks); }},
    {"heed_learning_sudden_rollbacks", "Of those, found by the test for sudden harm",
     [](const LearningStats& s) { return Count(s.sudden_rollbacks); }},
    {"heed_learning_expired_rows", "Rows that went as no impression had their key for long",
     [](const LearningStats& s) { return Count(s.expired_rows); }},
    {"heed_learning_event_to_weights_p50_seconds",
     "From an acknowledged event to rankings by what it taught, median of late",
     [](const LearningStats& s) { return s.event_to_weights_p50_s; }},
    {"heed_learning_event_to_weights_p99_seconds", "The same, 99th percentile",
     [](const LearningStats& s) { return s.event_to_weights_p99_s; }},
    {"heed_learning_unseen_keys", "Share of keys without a row in the model",
     [](const LearningStats& s) { return s.unseen_keys; }},
    {"heed_learning_drift_deviations", "Of the number whose mean moved most since training",
     [](const LearningStats& s) { return std::abs(s.drifted_deviations); }},
};

constexpr InputGauge kInputGauges[] = {
    {"heed_input_mean_deviations", "Mean of an input less that of training, in its deviations",
     [](const InputLearning& i) { return i.mean; }},
    {"heed_input_absent", "Share of rows without the input",
     [](const InputLearning& i) { return i.absent; }},
    {"heed_input_divergence", "Of the input's distribution from that of training, in nats",
     [](const InputLearning& i) { return i.divergence; }},
    {"heed_input_psi", "Population stability index of the input against training, NaN: not known",
     [](const InputLearning& i) { return i.psi; }},
};

constexpr ValueGauge kValueGauges[] = {
    {"heed_progressive_value_paid", "Of the last examples judged, those with an amount",
     [](const TaskLearning::Value& v) { return Count(v.paid); }},
    {"heed_progressive_value_revenue_capture",
     "Share of the amounts in the 1 % of examples that were expected to bring most",
     [](const TaskLearning::Value& v) { return v.revenue_capture; }},
    {"heed_progressive_value_absolute_error",
     "Mean absolute error of amounts predicted before they were learned, in their units",
     [](const TaskLearning::Value& v) { return v.mean_absolute_error; }},
    {"heed_progressive_value_huber_loss", "Huber loss of the same, in units of its delta",
     [](const TaskLearning::Value& v) { return v.huber_loss; }},
};

constexpr TaskGauge kTaskGauges[] = {
    {"heed_labels_open", "Labels not known yet",
     [](const TaskLearning& t) { return Count(t.open); }},
    {"heed_labels_positive", "Positive labels",
     [](const TaskLearning& t) { return Count(t.positive); }},
    {"heed_labels_negative", "Labels closed as negative",
     [](const TaskLearning& t) { return Count(t.negative); }},
    {"heed_labels_corrected", "Of those, found positive later",
     [](const TaskLearning& t) { return Count(t.corrected); }},
    {"heed_progressive_auc", "AUC of predictions made before their label was learned",
     [](const TaskLearning& t) { return t.auc; }},
    {"heed_progressive_log_loss", "Log loss of the same",
     [](const TaskLearning& t) { return t.log_loss; }},
    {"heed_progressive_pcoc", "Predicted over observed, positives or amounts, of the same",
     [](const TaskLearning& t) { return t.pcoc; }},
    {"heed_progressive_ece", "Expected calibration error, of the same",
     [](const TaskLearning& t) { return t.ece; }},
};

}  // namespace

void AddLearningMetrics(Engine& engine, Metrics& metrics) {
  // Made at a scrape, as tasks are the models'; asked for again, a gauge is the same one.
  metrics.BeforeScrape([&engine, &metrics] {
    for (const LearningStats& stats : engine.Learning()) {
      for (const ModelGauge& gauge : kModelGauges) {
        metrics.AddGauge(gauge.name, gauge.help, {{"model", stats.model}}).Set(gauge.of(stats));
      }
      for (const InputLearning& input : stats.inputs) {
        for (const InputGauge& gauge : kInputGauges) {
          metrics.AddGauge(gauge.name, gauge.help, {{"model", stats.model}, {"input", input.name}})
              .Set(gauge.of(input));
        }
      }
      for (const TaskLearning& task : stats.tasks) {
        for (const TaskGauge& gauge : kTaskGauges) {
          metrics.AddGauge(gauge.name, gauge.help, {{"model", stats.model}, {"task", task.task}})
              .Set(gauge.of(task));
        }
        if (!task.value) continue;
        for (const ValueGauge& gauge : kValueGauges) {
          metrics.AddGauge(gauge.name, gauge.help, {{"model", stats.model}, {"task", task.task}})
              .Set(gauge.of(*task.value));
        }
      }
    }
  });
}

}  // namespace heed::server
