#include "train/online_trainer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "model/ranker_net.h"
#include "nn/tensor_file.h"
#include "train/lesson.h"

namespace heed::train {
namespace {

Status Check(const OnlineOptions& options, const model::Schema& schema) {
  const auto refuse = [](const char* field, const char* what) {
    return InvalidArgument(std::string(field) + ": " + what, field);
  };
  if (options.ledger.windows.size() != schema.tasks.size()) {
    return refuse("ledger.windows", "not one a task");
  }
  for (const LabelWindow& window : options.ledger.windows) {
    if (window.window_ms <= 0) return refuse("ledger.windows", "not positive");
  }
  if (schema.tasks.size() > 64) return refuse("tasks", "more than 64");
  if (options.ledger.max_examples == 0) return refuse("ledger.max_examples", "none");
  if (options.batch_size == 0) return refuse("batch_size", "no examples in a step");
  if (!(options.max_logit_step > 0)) return refuse("max_logit_step", "not positive");
  if (!(options.viewer_share > 0)) return refuse("viewer_share", "not positive");
  if (!(options.source_share > 0)) return refuse("source_share", "not positive");
  if (options.influence_window == 0) return refuse("influence_window", "no examples");
  if (options.label_rate.window == 0) return refuse("label_rate.window", "no examples");
  if (options.health.window == 0 || options.health.check_every == 0) {
    return refuse("health", "a window or a distance of looks of 0 examples");
  }
  if (options.health.sudden_false_alarms > 0 && !(options.health.sudden_min_worse > 0)) {
    return refuse("health.sudden_min_worse", "not positive");
  }
  if (options.optimizer.all_rows) return refuse("all_rows", "online steps move touched rows only");
  return {};
}

LedgerOptions LedgerOf(const OnlineOptions& options, const model::Schema& schema) {
  LedgerOptions ledger = options.ledger;
  for (size_t t = 0; t < schema.tasks.size(); ++t) {
    if (schema.tasks[t].kind == model::TaskKind::kValue) ledger.value_tasks |= uint64_t{1} << t;
  }
  return ledger;
}

}  // namespace

std::string_view AlarmName(Alarm alarm) {
  switch (alarm) {
    case Alarm::kNone: return "none";
    case Alarm::kNotFinite: return "not_finite";
    case Alarm::kLabelRate: return "label_rate";
    case Alarm::kRollbacks: return "rollbacks";
    case Alarm::kByHand: return "by_hand";
  }
  return "";
}

struct OnlineTrainer::Impl {
  Impl(std::unique_ptr<model::Ranker> ranker, const OnlineOptions& wanted)
      : options(wanted),
        live(std::move(ranker)),
        ledger(LedgerOf(wanted, live->config().schema)),
        viewers(wanted.viewer_share, wanted.influence_window),
        sources(wanted.source_share, wanted.influence_window),
        rates(wanted.label_rate, wanted.ledger.windows.size()),
        health(wanted.health),
        progressive(wanted.ledger.windows.size(), wanted.progressive_window),
        values(live->config().schema.tasks, wanted.progressive_window),
        drift(live->config().schema, wanted.drift_horizon),
        touched(live->net().tables.size()) {
    live->SetCounting(false);  // once an example, not once a label
    live->TrackKeys();
    live->TrackChanges();
  }

  const model::Schema& schema() const { return live->config().schema; }
  double Calibrated(size_t task, double logit) const {
    const model::Net& net = live->net();
    return static_cast<double>(net.calibration_scale[task]) * logit +
           static_cast<double>(net.calibration_shift[task]);
  }

  Status Show(const Feedback& feedback);
  void Advance(int64_t now_ts);
  void Suspect(bool wrong);
  void Came(const LabelLedger::Due& due);
  void Learn(const Lesson& lesson, LearnReport* report);
  bool Fit(const Lesson& lesson);
  void Judge(const Lesson& lesson);
  void RollBack();
  void Expire();
  std::string Rest() const;
  Status RestoreRest(std::string_view bytes);
  // The largest movement of the logit of a label of the lesson; infinite when one is not finite.
  double Movement(const Lesson& lesson) const;

  OnlineOptions options;
  std::unique_ptr<model::Ranker> live, shadow;
  LabelLedger ledger;
  InfluenceCap viewers, sources;
  LabelRateGuard rates;
  LearningHealth health;
  Progressive progressive;
  ProgressiveValues values;
  InputDrift drift;
  std::vector<TouchedRows> touched;
  Alarm alarm = Alarm::kNone;
  uint32_t refused_in_a_row = 0, rollbacks_in_a_row = 0, halvings = 0;
  uint64_t examples = 0, steps = 0, labels = 0, corrections = 0, bounded = 0, refused = 0;
  uint64_t unlearned = 0, rollbacks = 0, expired_rows = 0;
  uint32_t clock = 0, expired_at = 0;  // minutes of event time: the tables', of the last look
  // The next checkpoint is whole: live or shadow is not what changes of it would make of the last.
  bool replaced = true;

  // Scratch.
  model::StepRecord before;
  std::vector<float> at_start;  // [N, T] logits of a lesson, before its step
  model::Scores scores, at_end, reference;
  std::vector<LabelLedger::Matured> matured;
};

Status OnlineTrainer::Impl::Show(const Feedback& feedback) {
  if (feedback.features == nullptr || feedback.features->candidates != 1) {
    return InvalidArgument("an example is one candidate", "features");
  }
  if (!feedback.features->labels.empty() || !feedback.features->weights.empty()) {
    return InvalidArgument("an example brings no labels of its own", "features");
  }
  if (ledger.Knows(feedback.example)) return {};
  HEED_RETURN_IF_ERROR(live->Forward(*feedback.features, false, &scores));
  ++examples;
  drift.Add(*live, *feedback.features);
  // Both are asked: what one refuses has been seen by the other all the same.
  const bool of_viewer = viewers.Admit(feedback.viewer), of_source = sources.Admit(feedback.source);
  const bool learns = of_viewer && of_source;
  if (learns) HEED_RETURN_IF_ERROR(live->CountKeys(*feedback.features));
  ledger.Shown(feedback.example, feedback.ts, feedback.features, scores.probabilities, learns);
  rates.Shown(feedback.example);
  return {};
}

void OnlineTrainer::Impl::Advance(int64_t now_ts) {
  matured.clear();
  ledger.Advance(now_ts, &matured);
  for (const LabelLedger::Matured& outcome : matured) {
    if (schema().tasks[outcome.task].kind == model::TaskKind::kValue) {
      values.Ended(outcome.task, outcome.id, outcome.predicted, outcome.worth);
    }
    Suspect(rates.Matured(outcome.task, outcome.positive));
  }
  Expire();
}

// Of an amount: by what was said of it when its example was shown.
void OnlineTrainer::Impl::Came(const LabelLedger::Due& due) {
  const std::vector<float>& predicted = due.example->predicted;
  // What is served is times the probability of what it is given.
  const size_t given = live->net().layout.given[due.task];
  const float chance = given < predicted.size() ? predicted[given] : 1.0f;
  if (chance > 0) values.Came(due.task, predicted[due.task] / chance, due.example->worth);
  if (due.known == LabelState::kCorrected) values.Correct(due.task, due.id, due.example->worth);
}

void OnlineTrainer::Impl::Expire() {
  constexpr int64_t kMinuteMs = 60'000;
  const auto now = static_cast<uint32_t>(std::max<int64_t>(ledger.now_ts(), 0) / kMinuteMs);
  if (now <= clock) return;
  // Also where nothing expires: who turns it on later must not find ages that stood still.
  clock = now;
  live->SetClock(now);
  shadow->SetClock(now);  // its rows keep their ages, for the day that they go live
  if (options.expire_after_ms <= 0) return;
  const int64_t age = std::max<int64_t>(options.expire_after_ms / kMinuteMs, 1);
  if (now < expired_at + std::max<int64_t>(age / 16, 1) || now <= age) return;
  expired_at = now;
  const model::TableRows gone = live->ExpireRows(now - static_cast<uint32_t>(age));
  for (size_t i = 0; i < gone.size(); ++i) {
    touched[i].Add(gone[i]);
    expired_rows += gone[i].size();
  }
}

// Labels that cannot be right end learning, and what was learned of them goes.
void OnlineTrainer::Impl::Suspect(bool wrong) {
  if (!wrong || alarm != Alarm::kNone) return;
  alarm = Alarm::kLabelRate;
  rates.Restart();
  RollBack();
}

void OnlineTrainer::Impl::RollBack() {
  live = shadow->Copy();
  live->TrackKeys();
  replaced = true;
  ++rollbacks;
  ledger.ForgetTold();
  health.Restart();
  for (size_t i = 0; i < touched.size(); ++i) {
    std::vector<uint32_t> all(live->net().tables[i].rows());
    for (uint32_t row = 0; row < all.size(); ++row) all[row] = row;
    touched[i] = {.rows = std::move(all), .sorted = live->net().tables[i].rows()};
  }
}

double OnlineTrainer::Impl::Movement(const Lesson& lesson) const {
  const size_t T = schema().tasks.size();
  double most = 0;
  for (const Lesson::Label& label : lesson.labels) {
    const size_t i = label.row * T + label.task;
    const double moved = std::abs(Calibrated(label.task, static_cast<double>(at_end.logits[i])) -
                                  Calibrated(label.task, static_cast<double>(at_start[i])));
    if (!std::isfinite(moved)) return std::numeric_limits<double>::infinity();
    most = std::max(most, moved);
  }
  return most;
}

// Live and shadow on the same labels, before they are learned. Corrections count: without them the early
// negatives that they take back would favour whoever predicts too little.
void OnlineTrainer::Impl::Judge(const Lesson& lesson) {
  if (!shadow->Forward(lesson.batch, false, &reference).ok()) return;
  const size_t T = schema().tasks.size();
  std::vector<double> ours(lesson.ids.size(), 0.0), theirs(ours);
  for (const Lesson::Label& label : lesson.labels) {
    if (label.units) continue;  // amounts: a single large one would be the verdict
    const size_t i = label.row * T + label.task;
    const auto weight = static_cast<double>(schema().tasks[label.task].loss_weight);
    ours[label.row] +=
        weight * LossOf(label, Calibrated(label.task, static_cast<double>(at_start[i])));
    theirs[label.row] +=
        weight * LossOf(label, Calibrated(label.task, static_cast<double>(reference.logits[i])));
  }
  for (size_t row = 0; row < ours.size(); ++row) {
    switch (health.Add(ours[row], theirs[row])) {
      case LearningHealth::Verdict::kNone: break;
      case LearningHealth::Verdict::kPromote:
        shadow = live->CopyInPlaceOf(*shadow);
        rollbacks_in_a_row = 0;
        halvings -= halvings > 0 ? 1 : 0;
        return;  // the rest of the batch was judged by the old one
      case LearningHealth::Verdict::kRollback:
        RollBack();
        ++halvings;  // perhaps the rates were the harm
        if (++rollbacks_in_a_row >= options.rollbacks_to_stop) alarm = Alarm::kRollbacks;
        return;
    }
  }
}

void OnlineTrainer::Impl::Learn(const Lesson& lesson, LearnReport* report) {
  const size_t T = schema().tasks.size();
  if (alarm != Alarm::kNone) {
    unlearned += lesson.labels.size();
    return;
  }
  const auto loss_of = [&](std::span<const float> logits, std::span<float> d_logits) {
    at_start.assign(logits.begin(), logits.end());
    std::fill(d_logits.begin(), d_logits.end(), 0.0f);
    double loss = 0;
    for (const Lesson::Label& label : lesson.labels) {
      const size_t i = label.row * T + label.task;
      const auto weight = static_cast<double>(schema().tasks[label.task].loss_weight);
      const double logit = Calibrated(label.task, static_cast<double>(logits[i]));
      const auto scale = static_cast<double>(live->net().calibration_scale[label.task]);
      loss += weight * LossOf(label, logit);
      d_logits[i] += static_cast<float>(weight * scale * SlopeOf(label, logit));
    }
    return loss;
  };
  live->SetRateScale(static_cast<float>(std::pow(0.5, halvings)));
  if (!live->TrainStep(lesson.batch, options.optimizer, loss_of, &before).ok() || !Fit(lesson)) {
    ++refused;
    if (++refused_in_a_row >= options.refused_to_stop) alarm = Alarm::kNotFinite;
    return;
  }
  refused_in_a_row = 0;
  for (size_t i = 0; i < touched.size(); ++i) touched[i].Add(before.tables[i].rows);
  ++steps, ++report->steps;
  labels += lesson.labels.size();
  report->labels += static_cast<uint32_t>(lesson.labels.size());
  for (const Lesson::Label& label : lesson.labels) {
    ledger.Tell(lesson.ids[label.row], label.task, label.known);
    corrections += label.step == LabelLedger::Step::kCorrection ? 1 : 0;
  }
  Judge(lesson);
}

// Keeps what share of the step just taken moves no logit too far. False, and nothing is kept, when the
// step left a logit that is not finite.
bool OnlineTrainer::Impl::Fit(const Lesson& lesson) {
  // A smaller share moves less, down to nothing, but not in proportion: a few tries find one that fits, and
  // where they do not the step is dropped, which is exact.
  constexpr int kTries = 8;
  for (int tries = 0;; ++tries) {
    const bool scored = live->Forward(lesson.batch, false, &at_end).ok();
    const double moved = Movement(lesson);
    if (!scored || !std::isfinite(moved)) {
      live->KeepOfStep(before, 0.0f);
      return false;
    }
    if (moved <= options.max_logit_step) return true;
    if (tries == 0) ++bounded;
    const double share = tries < kTries ? std::min(0.9, 0.9 * options.max_logit_step / moved) : 0.0;
    live->KeepOfStep(before, static_cast<float>(share));
    if (tries == kTries) return true;
  }
}

OnlineTrainer::OnlineTrainer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OnlineTrainer::~OnlineTrainer() = default;

Result<std::unique_ptr<OnlineTrainer>> OnlineTrainer::Create(std::unique_ptr<model::Ranker> live,
                                                             const OnlineOptions& options) {
  HEED_RETURN_IF_ERROR(Check(options, live->config().schema));
  auto impl = std::make_unique<Impl>(std::move(live), options);
  impl->shadow = impl->live->Copy();
  return std::unique_ptr<OnlineTrainer>(new OnlineTrainer(std::move(impl)));
}

Status OnlineTrainer::Add(const Feedback& feedback) {
  Impl& in = *impl_;
  // Negatives that ended before take their place before: however seldom Learn is called, labels are learned
  // in the order of their times, and a step has positives and negatives as they came.
  in.Advance(feedback.ts);
  switch (feedback.kind) {
    case Feedback::Kind::kShown: return in.Show(feedback);
    case Feedback::Kind::kPositive:
      in.ledger.Positive(feedback.example, feedback.tasks, feedback.ts, feedback.worth);
      for (size_t task = 0; task < in.schema().tasks.size(); ++task) {
        if ((feedback.tasks >> task & 1) != 0)
          in.Suspect(in.rates.Positive(feedback.example, task));
      }
      return {};
    case Feedback::Kind::kClosed: in.ledger.Close(feedback.example, feedback.tasks); return {};
  }
  return {};
}

LearnReport OnlineTrainer::Learn(int64_t now_ts, uint32_t max_steps) {
  Impl& in = *impl_;
  LearnReport report;
  const uint64_t rollbacks = in.rollbacks;
  in.Advance(now_ts);
  Lesson lesson;
  for (uint32_t step = 0; step < max_steps && in.ledger.due() > 0; ++step) {
    lesson.batch.Clear(in.schema());
    lesson.ids.clear();
    lesson.labels.clear();
    LabelLedger::Due due;
    while (lesson.ids.size() < in.options.batch_size && in.ledger.Take(&due)) {
      const model::TaskSpec& task = in.schema().tasks[due.task];
      const bool value = task.kind == model::TaskKind::kValue;
      const bool positive = due.known != LabelState::kNegative;
      if (value) {
        in.Came(due);
      } else if (due.known != LabelState::kCorrected || !in.progressive.Correct(due.task, due.id)) {
        in.progressive.Add(due.task, due.id, due.example->predicted[due.task], positive);
      }
      if (!due.example->learns) continue;
      const auto found = std::find(lesson.ids.begin(), lesson.ids.end(), due.id);
      const auto row = static_cast<size_t>(found - lesson.ids.begin());
      if (found == lesson.ids.end()) {
        lesson.ids.push_back(due.id);
        model::AppendRow(in.schema(), *due.example->features, 0, &lesson.batch);
      }
      lesson.labels.push_back({row, due.task, due.known, due.step, {}});
      if (value) {
        lesson.labels.back().units =
            static_cast<double>(due.example->worth) / static_cast<double>(task.huber_delta);
      }
    }
    if (!lesson.ids.empty()) in.Learn(lesson, &report);
  }
  report.rolled_back = in.rollbacks > rollbacks;
  return report;
}

bool OnlineTrainer::due() const { return impl_->ledger.due() > 0; }

const model::Ranker& OnlineTrainer::live() const { return *impl_->live; }
const model::Ranker& OnlineTrainer::shadow() const { return *impl_->shadow; }
const Progressive& OnlineTrainer::progressive() const { return impl_->progressive; }
const ProgressiveValues& OnlineTrainer::values() const { return impl_->values; }
const InputDrift& OnlineTrainer::drift() const { return impl_->drift; }
Alarm OnlineTrainer::alarm() const { return impl_->alarm; }

std::vector<std::vector<uint32_t>> OnlineTrainer::TakeTouchedRows() {
  std::vector<std::vector<uint32_t>> out;
  for (TouchedRows& touched : impl_->touched) {
    touched.Sort();
    out.push_back(std::move(touched.rows));
    touched = {};
  }
  return out;
}

void OnlineTrainer::Rollback() { impl_->RollBack(); }

Status OnlineTrainer::SetShadow(std::unique_ptr<model::Ranker> shadow) {
  if (!(shadow->config() == impl_->live->config())) {
    return InvalidArgument("the shadow is a model of another shape");
  }
  impl_->shadow = std::move(shadow);
  impl_->shadow->SetCounting(false);
  impl_->shadow->TrackChanges();
  if (impl_->clock > 0) impl_->shadow->SetClock(impl_->clock);
  impl_->live->ForgetCopies();
  impl_->replaced = true;
  impl_->health.Restart();
  return {};
}

void OnlineTrainer::SetAlarm(Alarm alarm) {
  impl_->alarm = alarm;
  if (alarm != Alarm::kNone) return;
  impl_->refused_in_a_row = impl_->rollbacks_in_a_row = 0;
}

OnlineStats OnlineTrainer::stats() const {
  const Impl& in = *impl_;
  return {.examples = in.examples,
          .steps = in.steps,
          .labels = in.labels,
          .corrections = in.corrections,
          .bounded = in.bounded,
          .refused = in.refused,
          .unlearned = in.unlearned,
          .over_viewer = in.viewers.refused(),
          .over_source = in.sources.refused(),
          .rollbacks = in.rollbacks,
          .expired_rows = in.expired_rows,
          .rate_scale = std::pow(0.5, in.halvings),
          .queued_labels = in.ledger.due(),
          .followed_examples = in.ledger.size(),
          .evicted_examples = in.ledger.evicted(),
          .alarm = in.alarm,
          .health = in.health.summary(),
          .labels_of = in.ledger.counts()};
}

// ---- as bytes ---------------------------------------------------------------------------------

// All but the rankers and the ledger: of a size that depends on the options only.
std::string OnlineTrainer::Impl::Rest() const {
  std::string rest;
  ByteWriter out(rest);
  out.Fixed(static_cast<uint8_t>(alarm));
  for (const uint64_t count :
       {uint64_t{refused_in_a_row}, uint64_t{rollbacks_in_a_row}, uint64_t{halvings}, examples,
        steps, labels, corrections, bounded, refused, unlearned, rollbacks, expired_rows,
        uint64_t{clock}, uint64_t{expired_at}}) {
    out.Varint(count);
  }
  viewers.Write(&out);
  sources.Write(&out);
  rates.Write(&out);
  health.Write(&out);
  progressive.Write(&out);
  drift.Write(&out);
  drift.WriteBins(&out);
  health.WriteSudden(&out);
  values.Write(&out);
  return rest;
}

Status OnlineTrainer::Impl::RestoreRest(std::string_view bytes) {
  ByteReader reader(bytes);
  const auto stored_alarm = reader.Fixed<uint8_t>();
  if (stored_alarm > static_cast<uint8_t>(Alarm::kByHand)) reader.Fail();
  alarm = static_cast<Alarm>(stored_alarm);
  refused_in_a_row = static_cast<uint32_t>(reader.Varint());
  rollbacks_in_a_row = static_cast<uint32_t>(reader.Varint());
  halvings = static_cast<uint32_t>(reader.Varint());
  for (uint64_t* count : {&examples, &steps, &labels, &corrections, &bounded, &refused, &unlearned,
                          &rollbacks, &expired_rows}) {
    *count = reader.Varint();
  }
  clock = static_cast<uint32_t>(reader.Varint());
  expired_at = static_cast<uint32_t>(reader.Varint());
  viewers.Read(&reader);
  sources.Read(&reader);
  rates.Read(&reader);
  health.Read(&reader);
  progressive.Read(&reader);
  drift.Read(&reader);
  // What earlier builds did not keep stands at the end: without it they are counted anew.
  if (reader.remaining() > 0) {
    drift.ReadBins(&reader);
    health.ReadSudden(&reader);
    values.Read(&reader);
  }
  if (!reader.ok() || reader.remaining() != 0) {
    return Corruption("learner: made with other options, or damaged");
  }
  if (clock > 0) live->SetClock(clock), shadow->SetClock(clock);
  return {};
}

std::string OnlineTrainer::Serialize() const {
  const Impl& in = *impl_;
  nn::TensorWriter file;
  file.Bytes("live", in.live->Serialize());
  file.Bytes("shadow", in.shadow->Serialize());
  file.Bytes("ledger", in.ledger.Serialize(in.schema()));
  file.Bytes("rest", in.Rest());
  return file.Finish();
}

Result<std::unique_ptr<OnlineTrainer>> OnlineTrainer::Of(std::unique_ptr<model::Ranker> live,
                                                         std::unique_ptr<model::Ranker> shadow,
                                                         const OnlineOptions& options) {
  HEED_RETURN_IF_ERROR(Check(options, live->config().schema));
  if (!(shadow->config() == live->config())) {
    return Corruption("learner: the shadow is another model");
  }
  auto impl = std::make_unique<Impl>(std::move(live), options);
  impl->shadow = std::move(shadow);
  impl->shadow->SetCounting(false);
  impl->shadow->TrackChanges();
  impl->live->ForgetCopies();
  return std::unique_ptr<OnlineTrainer>(new OnlineTrainer(std::move(impl)));
}

Result<std::unique_ptr<OnlineTrainer>> OnlineTrainer::Restore(std::string_view bytes,
                                                              const OnlineOptions& options) {
  HEED_ASSIGN_OR_RETURN(const nn::TensorReader file, nn::TensorReader::Open(bytes));
  HEED_ASSIGN_OR_RETURN(const std::string_view live_bytes, file.Bytes("live"));
  HEED_ASSIGN_OR_RETURN(const std::string_view shadow_bytes, file.Bytes("shadow"));
  HEED_ASSIGN_OR_RETURN(const std::string_view ledger, file.Bytes("ledger"));
  HEED_ASSIGN_OR_RETURN(const std::string_view rest, file.Bytes("rest"));
  HEED_ASSIGN_OR_RETURN(std::unique_ptr<model::Ranker> live, model::Ranker::Parse(live_bytes));
  HEED_ASSIGN_OR_RETURN(std::unique_ptr<model::Ranker> shadow, model::Ranker::Parse(shadow_bytes));
  HEED_ASSIGN_OR_RETURN(std::unique_ptr<OnlineTrainer> trainer,
                        Of(std::move(live), std::move(shadow), options));
  Impl& in = *trainer->impl_;
  HEED_RETURN_IF_ERROR(in.ledger.Restore(in.schema(), ledger));
  HEED_RETURN_IF_ERROR(in.RestoreRest(rest));
  return trainer;
}

Status OnlineTrainer::WriteTo(model::CheckpointChain* chain, std::string_view note) {
  Impl& in = *impl_;
  const bool whole = in.replaced || chain->WholeIsDue();
  std::string beside;
  ByteWriter out(beside);
  out.String(note);
  out.String(in.ledger.SerializeChange(in.schema(), whole));
  out.String(in.Rest());
  const std::array rankers = {in.live.get(), in.shadow.get()};
  in.replaced = true;  // should it fail, parts of it are taken
  HEED_RETURN_IF_ERROR(whole ? chain->WriteWhole(rankers, beside)
                             : chain->WriteIncrement(rankers, beside));
  in.replaced = false;
  return {};
}

Result<OnlineTrainer::Restored> OnlineTrainer::Restore(model::CheckpointChain::Restored chain,
                                                       const OnlineOptions& options) {
  if (chain.rankers.size() != 2) return Corruption("learner: not a model and its shadow");
  HEED_ASSIGN_OR_RETURN(std::unique_ptr<OnlineTrainer> trainer,
                        Of(std::move(chain.rankers[0]), std::move(chain.rankers[1]), options));
  Impl& in = *trainer->impl_;
  Restored restored;
  LabelLedger before(LedgerOf(options, in.schema()));
  for (size_t i = 0; i < chain.beside.size(); ++i) {
    ByteReader reader(chain.beside[i]);
    restored.note = reader.String();
    const std::string_view ledger = reader.String(), rest = reader.String();
    if (!reader.ok() || reader.remaining() != 0) return Corruption("learner: ends early");
    in.ledger = LabelLedger(LedgerOf(options, in.schema()));
    HEED_RETURN_IF_ERROR(in.ledger.Restore(in.schema(), ledger, i == 0 ? nullptr : &before));
    if (i + 1 < chain.beside.size()) {
      before = std::move(in.ledger);
    } else {
      HEED_RETURN_IF_ERROR(in.RestoreRest(rest));
    }
  }
  in.replaced = false;
  restored.trainer = std::move(trainer);
  return restored;
}

}  // namespace heed::train
