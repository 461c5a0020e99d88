#include "engine/learner.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "event/event.h"
#include "event/json.h"

namespace heed::engine {
namespace {

using train::Alarm;
using train::Feedback;
using train::LiveRanker;
using train::OnlineTrainer;

constexpr uint32_t kFormat = 1;
constexpr int kNice = 5;  // rankings first; a step is milliseconds
constexpr int64_t kMinuteMs = 60'000, kHourMs = 60 * kMinuteMs;

int64_t NowUs() { return Clock::System().steady_us(); }

const model::Schema& SchemaOf(LiveRanker which) {
  return which == LiveRanker::kHosts ? model::HostSchema() : model::ProductSchema();
}

train::OnlineOptions OptionsFor(LiveRanker which, const LearningOptions& wanted) {
  train::OnlineOptions options;
  options.expire_after_ms = wanted.expire_h * kHourMs;
  const auto windows = [&](const auto& windows_ms) {
    for (const int64_t window_ms : windows_ms) {
      options.ledger.windows.push_back({window_ms, train::Attribution::kForgetMs});
    }
  };
  if (which == LiveRanker::kHosts) {
    windows(train::Attribution::kHostWindowsMs);
  } else {
    windows(train::Attribution::kProductWindowsMs);
  }
  return options;
}

double Percentile(std::deque<double> values, double share) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto at = static_cast<ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<size_t>(at)];
}

}  // namespace

Learner::Learner(const LearningOptions& options, kernels::Precision precision,
                 std::string directory, ServedFeatures* served, infer::ModelHandle* hosts,
                 infer::ModelHandle* products)
    : options_(options), precision_(precision), directory_(std::move(directory)), served_(served) {
  live_[0] = {.which = LiveRanker::kHosts, .name = "hosts", .handle = hosts};
  live_[1] = {.which = LiveRanker::kProducts, .name = "products", .handle = products};
  thread_ = std::thread([this] { Loop(); });
}

Learner::~Learner() {
  {
    const std::lock_guard lock(queue_mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  for (Live& live : live_) {
    if (live.trainer == nullptr) continue;
    live.learned_to = std::max<uint64_t>(live.learned_to, last_sequence_);  // the queue is empty
    if (const Status written = Write(&live); !written.ok()) {
      LogError("what {} learned is not kept: {}", live.name, written.ToString());
    }
  }
}

// ---- the committer's side ---------------------------------------------------------------------

void Learner::StartAt(uint64_t last_sequence) {
  log_end_ = last_sequence;
  reach_back_ = last_sequence + 1;
}

void Learner::Before(const store::LogRecord& record, const state::State& before) {
  sequence_ = record.sequence;
  known_to_state_ = before.last_sequence() >= record.sequence;
  const int64_t now_ms = Clock::System().now_ms();
  // A clock that runs ahead must not end windows early.
  const int64_t ts = std::min(record.event.ts, now_ms);
  if (ts > newest_ts_) {
    newest_ts_ = ts;
    behind_ms_.store(now_ms - ts, std::memory_order_relaxed);
    if (minutes_.empty() || ts >= minutes_.back().first + kMinuteMs) {
      minutes_.emplace_back(ts, record.sequence);
    }
    while (minutes_.size() > 1 && minutes_[1].first <= ts - train::Attribution::kForgetMs) {
      minutes_.pop_front();
    }
    reach_back_.store(minutes_.front().second, std::memory_order_relaxed);
  }
  if (follows_[0].load(std::memory_order_relaxed) || follows_[1].load(std::memory_order_relaxed)) {
    attribution_.Apply(record, before, this);
  }
  last_sequence_.store(record.sequence, std::memory_order_release);  // all it says is queued
}

bool Learner::Accepts(LiveRanker which) {
  const auto w = static_cast<size_t>(which);
  if (!follows_[w].load(std::memory_order_relaxed)) return false;
  if (sequence_ <= known_to_[w]) return true;  // Add drops it, so that only its outcomes are heard
  if (known_to_state_) {
    skipped_[w].fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  const int64_t now_us = NowUs();
  const auto rate = static_cast<double>(options_.examples_per_s);
  allowance_ = std::min(rate, allowance_ + rate * static_cast<double>(now_us - allowed_us_) * 1e-6);
  allowed_us_ = now_us;
  if (allowance_ < 1 || queued_[w].load(std::memory_order_relaxed) >= kMaxQueued) {
    skipped_[w].fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  allowance_ -= 1;
  return true;
}

std::shared_ptr<const model::Batch> Learner::Served(LiveRanker which, const event::Event& shown) {
  if (sequence_ <= known_to_[static_cast<size_t>(which)]) {
    return std::make_shared<const model::Batch>();  // nobody reads it
  }
  std::shared_ptr<const model::Batch> features;
  if (const auto* room = std::get_if<event::RoomImpression>(&shown.data)) {
    features = served_->Take(shown.tenant, room->request_id.value_or(""), shown.room);
  } else if (const auto* product = std::get_if<event::ProductImpression>(&shown.data)) {
    features = served_->Take(shown.tenant, event::TextOf(product->extra, "request_id"),
                             product->product_id);
  }
  if (features != nullptr) {
    by_decision_[static_cast<size_t>(which)].fetch_add(1, std::memory_order_relaxed);
  }
  return features;
}

void Learner::Add(Feedback feedback) {
  const auto w = static_cast<size_t>(feedback.ranker);
  if (sequence_ <= known_to_[w]) return;
  if (feedback.kind == Feedback::Kind::kShown) shown_[w].fetch_add(1, std::memory_order_relaxed);
  queued_[w].fetch_add(1, std::memory_order_relaxed);
  bool first = false;
  {
    const std::lock_guard lock(queue_mutex_);
    first = queue_.empty();
    queue_.push_back({std::move(feedback), NowUs()});
  }
  if (first) wake_.notify_one();
}

// ---- the learner's side -----------------------------------------------------------------------

// Event time now: what the newest event says, and the time since it came.
int64_t Learner::NowTs() const {
  const int64_t behind_ms = behind_ms_.load(std::memory_order_relaxed);
  return behind_ms < 0 ? 0 : Clock::System().now_ms() - behind_ms;
}

void Learner::Loop() {
  static_cast<void>(::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice));
  std::vector<Item> items;
  int64_t now_ts = 0;
  uint64_t said_to = 0;
  bool more = false;
  for (;;) {
    {
      std::unique_lock lock(queue_mutex_);
      const auto patience =
          std::chrono::milliseconds(more ? 0 : std::max<int64_t>(options_.publish_ms, 1));
      wake_.wait_for(lock, patience, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_ && queue_.empty()) return;
      said_to = last_sequence_.load(std::memory_order_acquire);
      items.swap(queue_);
      // Before the lock is given up: event time must not run ahead of the outcomes that are taken, or
      // windows would end before what waits in the queue behind a burst is heard.
      now_ts = NowTs();
    }
    const std::lock_guard lock(models_mutex_);
    for (Item& item : items) {
      Live& live = Of(item.feedback.ranker);
      queued_[static_cast<size_t>(item.feedback.ranker)].fetch_sub(1, std::memory_order_relaxed);
      if (live.trainer == nullptr) continue;
      if (const Status added = live.trainer->Add(item.feedback); !added.ok()) {
        LogError("{} cannot learn from an example: {}", live.name, added.ToString());
        continue;
      }
      if (item.feedback.kind == Feedback::Kind::kPositive) {
        live.unpublished_us.push_back(item.arrived_us);
      }
    }
    items.clear();
    more = false;
    for (Live& live : live_) {
      live.learned_to = std::max(live.learned_to, said_to);
      if (live.trainer != nullptr) more = Learn(&live, now_ts) || more;
    }
  }
}

bool Learner::Learn(Live* live, int64_t now_ts) {
  const train::LearnReport report = live->trainer->Learn(now_ts, kStepsAtOnce);
  if (report.steps > 0) live->changed = live->dense_changed = true;
  if (report.rolled_back) {
    LogWarn("{} did worse than its shadow and went back to it", live->name);
    Restart(live);
  }
  if (const Alarm alarm = live->trainer->alarm(); alarm != live->told) {
    live->told = alarm;
    if (alarm == Alarm::kLabelRate) Restart(live);  // the trainer has gone back to the shadow
    if (alarm != Alarm::kNone) {
      LogError("{} has stopped learning: {}; what serves stays", live->name,
               train::AlarmName(alarm));
    }
  }
  const int64_t now_us = NowUs();
  const bool due = live->trainer->due();
  const bool dense =
      live->dense_changed && now_us - live->dense_us >= options_.publish_dense_ms * 1000;
  if (dense || (live->changed && now_us - live->published_us >= options_.publish_ms * 1000)) {
    Publish(live, dense);
  }
  if (!due && !live->changed) live->unpublished_us.clear();  // nothing was to be learned of it
  if (now_us - live->written_us >= options_.checkpoint_ms * 1000) {
    live->written_us = now_us;
    if (const Status written = Write(live); !written.ok()) {
      LogError("what {} learned is not written: {}", live->name, written.ToString());
    }
  }
  return due;
}

std::string Learner::VersionOf(const Live& live) const {
  return live.version + "+" + std::to_string(live.trainer->stats().steps);
}

void Learner::Publish(Live* live, bool dense) {
  live->serving->Publish(live->trainer->live(), live->trainer->TakeTouchedRows(), dense,
                         VersionOf(*live));
  const int64_t now_us = NowUs();
  live->published_us = now_us;
  if (dense) live->dense_us = now_us;
  if (dense) live->dense_changed = false;
  live->changed = false;
  if (live->trainer->due()) return;  // not all of it is in these weights
  for (const int64_t arrived_us : live->unpublished_us) {
    live->delays_s.push_back(static_cast<double>(now_us - arrived_us) * 1e-6);
    if (live->delays_s.size() > kDelaysKept) live->delays_s.pop_front();
  }
  live->unpublished_us.clear();
}

void Learner::Restart(Live* live) {
  static_cast<void>(live->trainer->TakeTouchedRows());
  live->serving = std::make_unique<infer::LiveModel>(live->handle, live->trainer->live(),
                                                     precision_, VersionOf(*live));
  live->published_us = live->dense_us = NowUs();
  live->changed = live->dense_changed = false;
}

// ---- what is asked of it ----------------------------------------------------------------------

Status Learner::Serve(LiveRanker which, std::string version,
                      const std::shared_ptr<model::Ranker>& ranker,
                      const std::shared_ptr<model::Ranker>& shadow, bool resume) {
  const std::lock_guard lock(models_mutex_);
  Live& live = Of(which);
  live.version = std::move(version);
  bool resumed = false;
  if (resume) {
    const Status left = ReadCheckpoint(&live);
    resumed = left.ok();
    if (!left.ok() && left.code() != Code::kNotFound) {
      LogError("what {} had learned is refused, it begins again: {}", live.name, left.ToString());
    }
  }
  if (!resumed) {
    HEED_ASSIGN_OR_RETURN(std::unique_ptr<OnlineTrainer> trainer,
                          OnlineTrainer::Create(ranker->Copy(), OptionsFor(which, options_)));
    if (shadow != nullptr) HEED_RETURN_IF_ERROR(trainer->SetShadow(shadow->Copy()));
    live.trainer = std::move(trainer);
    live.chain = std::make_unique<model::CheckpointChain>(FolderOf(live));
    live.learned_to = std::max<uint64_t>(log_end_, last_sequence_);
  }
  live.told = live.trainer->alarm();
  live.unpublished_us.clear();
  live.written_us = NowUs();
  Restart(&live);
  follows_[static_cast<size_t>(which)] = true;
  return {};
}

Status Learner::SetShadow(LiveRanker which, const std::shared_ptr<model::Ranker>& shadow) {
  const std::lock_guard lock(models_mutex_);
  Live& live = Of(which);
  if (live.trainer == nullptr) return NotFound(std::string("no model '") + live.name + "'");
  return live.trainer->SetShadow(shadow->Copy());
}

Status Learner::RollBack(LiveRanker which) {
  const std::lock_guard lock(models_mutex_);
  Live& live = Of(which);
  if (live.trainer == nullptr) return NotFound(std::string("no model '") + live.name + "'");
  live.trainer->Rollback();
  Restart(&live);
  return {};
}

Status Learner::SetLearning(LiveRanker which, bool on) {
  const std::lock_guard lock(models_mutex_);
  Live& live = Of(which);
  if (live.trainer == nullptr) return NotFound(std::string("no model '") + live.name + "'");
  live.trainer->SetAlarm(on ? Alarm::kNone : Alarm::kByHand);
  live.told = live.trainer->alarm();
  return {};
}

std::vector<LearningStats> Learner::Stats() const {
  std::vector<LearningStats> all;
  const std::lock_guard lock(models_mutex_);
  for (const Live& live : live_) {
    if (live.trainer != nullptr) all.push_back(StatsOf(live));
  }
  return all;
}

LearningStats Learner::StatsOf(const Live& live) const {
  const auto w = static_cast<size_t>(live.which);
  const train::OnlineStats now = live.trainer->stats();
  LearningStats out;
  out.model = live.name;
  out.version = live.handle->Get()->version;
  out.learning = now.alarm == Alarm::kNone;
  if (!out.learning) out.stopped = train::AlarmName(now.alarm);
  out.shown = shown_[w];
  out.skipped = skipped_[w];
  out.by_decision = by_decision_[w];
  out.queued = queued_[w] + now.queued_labels;
  out.steps = now.steps;
  out.refused_steps = now.refused;
  out.capped = now.over_viewer + now.over_source;
  out.loss_difference = now.health.difference;
  out.loss_difference_error = now.health.standard_error;
  out.promotions = now.health.promotions;
  out.rollbacks = now.health.rollbacks;
  out.sudden_rollbacks = now.health.sudden;
  out.expired_rows = now.expired_rows;
  out.event_to_weights_p50_s = Percentile(live.delays_s, 0.5);
  out.event_to_weights_p99_s = Percentile(live.delays_s, 0.99);
  out.unseen_keys = live.trainer->drift().unseen_keys();
  const std::vector<train::InputDrift::Numeric> numerics =
      live.trainer->drift().numerics(live.trainer->live());
  const model::Schema& schema = SchemaOf(live.which);
  for (size_t i = 0; i < numerics.size(); ++i) {
    out.inputs.push_back({.name = schema.numerics[i].name,
                          .mean = numerics[i].mean,
                          .deviation = numerics[i].deviation,
                          .absent = numerics[i].absent,
                          .divergence = numerics[i].divergence(),
                          .psi = numerics[i].psi});
    if (std::abs(numerics[i].mean) <= std::abs(out.drifted_deviations)) continue;
    out.drifted = schema.numerics[i].name;
    out.drifted_deviations = numerics[i].mean;
  }
  for (size_t t = 0; t < schema.tasks.size(); ++t) {
    const train::MetricSet judged = live.trainer->progressive().Measured(t);
    const train::LabelLedger::Counts& labels = now.labels_of[t];
    out.tasks.push_back({.task = schema.tasks[t].name,
                         .open = labels.open,
                         .positive = labels.positive,
                         .negative = labels.negative,
                         .corrected = labels.corrected,
                         .judged = static_cast<uint64_t>(judged.rows),
                         .auc = judged.auc,
                         .log_loss = judged.log_loss,
                         .pcoc = judged.pcoc,
                         .ece = judged.ece});
    if (schema.tasks[t].kind != model::TaskKind::kValue) continue;
    const train::ProgressiveValues::Metrics value = live.trainer->values().Measured(t);
    out.tasks.back().judged = static_cast<uint64_t>(value.shown.rows);
    out.tasks.back().pcoc = value.shown.pcoc;
    out.tasks.back().value = {.paid = static_cast<uint64_t>(value.shown.paid),
                              .revenue_capture = value.shown.revenue_capture,
                              .mean_absolute_error = value.mean_absolute_error,
                              .huber_loss = value.huber};
  }
  return out;
}

// ---- checkpoints ------------------------------------------------------------------------------

// Format: docs/formats/checkpoints.md.
Status Learner::Write(Live* live) {
  std::string note;
  ByteWriter out(note);
  out.Fixed(kFormat);
  out.String(live->version);
  out.Fixed(reach_back_.load(std::memory_order_relaxed));
  out.Fixed(live->learned_to);
  return live->trainer->WriteTo(live->chain.get(), note);
}

Status Learner::ReadCheckpoint(Live* live) {
  const std::string folder = FolderOf(*live);
  auto chain = std::make_unique<model::CheckpointChain>(folder);
  HEED_ASSIGN_OR_RETURN(model::CheckpointChain::Restored stored, chain->Restore());
  const size_t increments = stored.increments();
  const Status refused = stored.refused;
  Result<OnlineTrainer::Restored> restored =
      OnlineTrainer::Restore(std::move(stored), OptionsFor(live->which, options_));
  if (!restored.ok()) return restored.status().Within(folder);
  ByteReader in(restored.value().note);
  const auto format = in.Fixed<uint32_t>();
  const std::string version(in.String());
  const auto reach_back = in.Fixed<uint64_t>();
  const auto learned_to = in.Fixed<uint64_t>();
  if (!in.ok() || format != kFormat) return Corruption(folder + ": of another version of heed");
  if (version != live->version) return NotFound(folder + ": learned from " + version);
  if (restored.value().trainer->live().config().schema != SchemaOf(live->which)) {
    return Corruption(folder + ": of other features");
  }
  if (!refused.ok()) {
    LogError("{} goes on from what it had learned by checkpoint {}, what came after is lost: {}",
             live->name, increments, refused.ToString());
  }
  live->learned_to = known_to_[static_cast<size_t>(live->which)] = learned_to;
  replay_from_ = std::min(replay_from_, reach_back);
  live->trainer = std::move(restored.value().trainer);
  live->chain = std::move(chain);
  return {};
}

}  // namespace heed::engine
