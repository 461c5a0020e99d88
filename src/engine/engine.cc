#include "heed/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "decide/catalog.h"
#include "decide/decider.h"
#include "engine/decision_log.h"
#include "engine/log_training.h"
#include "engine/models.h"
#include "engine/moment_desk.h"
#include "engine/room_desk.h"
#include "event/event.h"
#include "state/state.h"
#include "store/database.h"
#include "store/event_log.h"
#include "store/snapshots.h"
#include "train/log_examples.h"

namespace heed {
namespace {

constexpr size_t kMaxExamples = 200'000;  // of each kind, the newest
constexpr const char* kHostModel = "hosts";
constexpr const char* kProductModel = "products";

bool IsOrder(const event::Event& event) {
  return std::holds_alternative<event::OrderCreate>(event.data) ||
         std::holds_alternative<event::OrderPay>(event.data) ||
         std::holds_alternative<event::OrderCancel>(event.data) ||
         std::holds_alternative<event::OrderRefund>(event.data);
}

Status CheckRequest(Target target, const RecommendRequest& request, const EngineOptions& options) {
  if (target == Target::kProducts && request.room.empty()) {
    return InvalidArgument("is required", "/room");
  }
  if (request.tenant.empty()) return InvalidArgument("must not be empty", "/tenant");
  if (request.user.empty()) return InvalidArgument("is required", "/user");
  if (request.limit == 0) return InvalidArgument("must be at least 1", "/limit");
  if (request.candidates.size() > options.max_candidates) {
    return InvalidArgument(fmt::format("has {} candidates, at most {} are taken",
                                       request.candidates.size(), options.max_candidates),
                           "/candidates");
  }
  return {};
}

Result<kernels::Precision> PrecisionOf(const std::string& name) {
  using kernels::Precision;
  for (const Precision one : {Precision::kFp32, Precision::kBf16, Precision::kInt8}) {
    if (name == kernels::PrecisionName(one)) return one;
  }
  return InvalidArgument("'" + name + "' is not fp32, bf16 or int8", "ranking_precision");
}

Result<RecommendResponse> DecideAlone(const Engine& engine, Target target,
                                      const RecommendRequest& request) {
  Result<RecommendResponse> out = Status(Code::kInternal, "no decision was made");
  const RecommendRequest* waiting = &request;
  engine.RecommendTogether(
      target, [&] { return std::exchange(waiting, nullptr); },
      [&](const RecommendRequest&, Result<RecommendResponse> response) {
        out = std::move(response);
      });
  return out;
}

}  // namespace

// Members in the order of construction: what a later one uses stands before it.
struct Engine::Impl {
  Impl(const EngineOptions& engine_options, kernels::Precision ranking_precision)
      : options(engine_options), precision(ranking_precision), models(options, ranking_precision) {}

  ~Impl() {
    {
      const std::lock_guard lock(snapshot_mutex);
      stopping = true;
    }
    snapshot_wake.notify_all();
    if (snapshot_thread.joinable()) snapshot_thread.join();
    if (desk)
      desk->reader().Stop();  // it writes what it finds; what comes now is read at the next start
    log.reset();              // commits what is queued; only then is state complete
    if (snapshots && state.last_sequence() > snapshot_sequence) {
      const Result<uint64_t> written = WriteSnapshot();
      if (!written.ok()) LogError("last snapshot: {}", written.status().ToString());
    }
  }

  Result<uint64_t> WriteSnapshot() {
    uint64_t sequence = 0;
    const std::string bytes = state.Serialize(&sequence);
    const std::lock_guard lock(snapshot_write_mutex);
    HEED_RETURN_IF_ERROR(snapshots->Write(sequence, bytes));
    snapshot_sequence = sequence;
    return sequence;
  }

  void SnapshotLoop() {
    std::unique_lock lock(snapshot_mutex);
    for (;;) {
      snapshot_wake.wait(lock, [this] {
        return stopping ||
               state.last_sequence() - snapshot_sequence >= options.snapshot_every_events;
      });
      if (stopping) return;
      lock.unlock();
      const Result<uint64_t> written = WriteSnapshot();
      if (!written.ok()) {
        // The log still has everything; try again after as many events once more.
        LogError("snapshot: {}", written.status().ToString());
        snapshot_sequence = state.last_sequence();
      }
      lock.lock();
    }
  }

  void Apply(std::span<const store::LogRecord> records) {
    for (const store::LogRecord& record : records) {
      // What an impression's features are must be read before its event is part of state.
      if (models.learner() != nullptr) models.learner()->Before(record, state);
      state.Apply(record.sequence, record.event);
    }
    if (desk) desk->reader().Heard(records);
    if (state.last_sequence() - snapshot_sequence >= options.snapshot_every_events) {
      snapshot_wake.notify_one();
    }
  }

  // A stream of its own for every request, so that they need no lock.
  Random NextRandom() const { return Random(options.seed + MixedCounter()); }
  uint64_t MixedCounter() const {
    return request_counter.fetch_add(1, std::memory_order_relaxed) * 0x9E3779B97F4A7C15ull;
  }

  void Log(Target target, const RecommendRequest& request, const decide::Decider::Served& served,
           RecommendResponse* response) const {
    const int64_t started_us = clock.steady_us();
    response->decision_id = decisions->NewId(response->ts);
    decisions->Add(request.tenant, response->decision_id,
                   engine::DecisionJson(target == Target::kHosts ? kHostModel : kProductModel,
                                        request, *response));
    models.Decided(target, request, *response, served);
    response->stages.log_us = clock.steady_us() - started_us;
  }

  const EngineOptions options;
  const kernels::Precision precision;
  const Clock& clock = Clock::System();
  std::unique_ptr<store::Database> database;
  state::State state;
  std::unique_ptr<store::Snapshots> snapshots;
  std::unique_ptr<decide::Catalog> catalog;
  mutable engine::Models models;
  std::unique_ptr<decide::Decider> decider;
  std::unique_ptr<engine::DecisionLog> decisions;
  std::unique_ptr<engine::RoomDesk> desk;  // null: options.text.on is false
  std::unique_ptr<engine::MomentDesk> moments;
  std::unique_ptr<store::EventLog> log;  // its committer applies to `state`
  mutable std::atomic<uint64_t> request_counter{0};
  std::atomic<bool> training{false};

  std::atomic<uint64_t> snapshot_sequence{0};  // of the newest snapshot on disk
  std::mutex snapshot_write_mutex;
  std::mutex snapshot_mutex;
  std::condition_variable snapshot_wake;
  bool stopping = false;  // guarded by snapshot_mutex
  std::thread snapshot_thread;
};

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::Open(const EngineOptions& options) {
  HEED_ASSIGN_OR_RETURN(const kernels::Precision precision, PrecisionOf(options.ranking_precision));
  std::error_code made;
  std::filesystem::create_directories(options.directory, made);
  if (made) return IoError(options.directory + ": " + made.message());
  auto impl = std::make_unique<Impl>(options, precision);
  HEED_ASSIGN_OR_RETURN(impl->database,
                        store::Database::Open({.directory = options.directory + "/store"}));
  auto snapshots = std::make_unique<store::Snapshots>(*impl->database, options.snapshots_kept);
  HEED_ASSIGN_OR_RETURN(const std::optional<store::Snapshot> snapshot, snapshots->ReadNewest());
  if (snapshot) {
    const Status restored = impl->state.Restore(snapshot->bytes);
    if (restored.ok()) {
      impl->snapshot_sequence = snapshot->sequence;
    } else {  // the log has it all: slower, but right
      LogError("snapshot {}: {}; replaying the whole log", snapshot->sequence, restored.ToString());
    }
  }
  Impl* raw = impl.get();
  store::EventLogOptions log_options;
  log_options.max_queued_events = options.max_queued_events;
  log_options.apply = [raw](std::span<const store::LogRecord> records) { raw->Apply(records); };
  HEED_ASSIGN_OR_RETURN(impl->log, store::EventLog::Open(*impl->database, log_options));
  if (impl->state.last_sequence() > impl->log->last_sequence()) {
    return Corruption(fmt::format("the snapshot knows event {} but the log ends at {}",
                                  impl->state.last_sequence(), impl->log->last_sequence()));
  }
  HEED_RETURN_IF_ERROR(impl->models.Open(impl->log->last_sequence()));
  engine::Learner* const learner = impl->models.learner();
  const uint64_t known = impl->state.last_sequence();
  const uint64_t from = learner != nullptr ? learner->replay_from() : ~uint64_t{0};
  HEED_ASSIGN_OR_RETURN(impl->catalog, decide::Catalog::Open(*impl->database));
  uint64_t comments_from = ~uint64_t{0};
  if (options.text.on) {
    HEED_ASSIGN_OR_RETURN(raw->desk,
                          engine::RoomDesk::Open(raw->options, raw->state, *raw->catalog));
    HEED_ASSIGN_OR_RETURN(comments_from, engine::CommentReader::ReplayFrom(*impl->log));
  }
  HEED_ASSIGN_OR_RETURN(impl->moments,
                        engine::MomentDesk::Open(raw->options.broadcast, raw->state, *raw->catalog,
                                                 raw->desk ? &raw->desk->reader() : nullptr));
  HEED_RETURN_IF_ERROR(impl->log->Read(std::min({from, known + 1, comments_from}),
                                       [=](const store::LogRecord& record) -> Status {
                                         if (record.sequence >= from)
                                           learner->Before(record, raw->state);
                                         if (record.sequence > known)
                                           raw->state.Apply(record.sequence, record.event);
                                         if (record.sequence >= comments_from)
                                           raw->desk->reader().Heard({&record, 1});
                                         return {};
                                       }));
  impl->snapshots = std::move(snapshots);
  impl->decider = std::make_unique<decide::Decider>(
      impl->state, *impl->catalog, impl->models.handle(train::LiveRanker::kHosts),
      impl->models.handle(train::LiveRanker::kProducts), impl->options);
  impl->decisions = std::make_unique<engine::DecisionLog>(*impl->database);
  impl->snapshot_thread = std::thread([raw] { raw->SnapshotLoop(); });
  if (impl->desk) impl->desk->Start(impl->log.get());
  impl->moments->Start(impl->log.get());
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

Status Engine::RecordAsync(std::vector<event::Event> events,
                           std::function<void(Result<RecordResult>)> done) {
  auto result = std::make_shared<RecordResult>();
  result->events.resize(events.size());
  const int64_t latest_ts = impl_->clock.now_ms() + impl_->options.max_future_ms;
  std::vector<event::Event> accepted;
  std::vector<size_t> positions;
  accepted.reserve(events.size());
  positions.reserve(events.size());
  bool has_order = false;
  for (size_t i = 0; i < events.size(); ++i) {
    if (events[i].ts > latest_ts) {
      result->refused.push_back(
          {i, InvalidArgument(
                  fmt::format("is {} s ahead of this server's clock, at most {} s is "
                              "accepted",
                              (events[i].ts - latest_ts + impl_->options.max_future_ms) / 1000,
                              impl_->options.max_future_ms / 1000),
                  "/ts")});
      continue;
    }
    has_order = has_order || IsOrder(events[i]);
    accepted.push_back(std::move(events[i]));
    positions.push_back(i);
  }
  if (accepted.empty()) {
    done(std::move(*result));
    return {};
  }
  return impl_->log->TryAppend(std::move(accepted), /*never_shed=*/has_order,
                               [result, positions = std::move(positions), done = std::move(done)](
                                   Result<std::vector<store::Appended>> appended) {
                                 if (!appended.ok()) return done(appended.status());
                                 for (size_t i = 0; i < positions.size(); ++i) {
                                   result->events[positions[i]] = {appended.value()[i].sequence,
                                                                   appended.value()[i].duplicate};
                                 }
                                 done(std::move(*result));
                               });
}

Result<RecordResult> Engine::Record(std::vector<event::Event> events) {
  std::promise<Result<RecordResult>> promise;
  std::future<Result<RecordResult>> future = promise.get_future();
  HEED_RETURN_IF_ERROR(RecordAsync(std::move(events), [&](Result<RecordResult> result) {
    promise.set_value(std::move(result));
  }));
  return future.get();
}

Result<RecommendResponse> Engine::RecommendHosts(const RecommendRequest& request) const {
  return DecideAlone(*this, Target::kHosts, request);
}

Result<RecommendResponse> Engine::RecommendProducts(const RecommendRequest& request) const {
  return DecideAlone(*this, Target::kProducts, request);
}

void Engine::RecommendTogether(
    Target target, const std::function<const RecommendRequest*()>& next,
    const std::function<void(const RecommendRequest&, Result<RecommendResponse>)>& done) const {
  Random random = impl_->NextRandom();
  const auto next_good = [&]() -> const RecommendRequest* {
    while (const RecommendRequest* request = next()) {
      Status status = CheckRequest(target, *request, impl_->options);
      if (status.ok()) return request;
      done(*request, std::move(status));
    }
    return nullptr;
  };
  impl_->decider->Together(target, impl_->clock.now_ms(), &random, next_good,
                           [&](const RecommendRequest& request, Result<RecommendResponse> made,
                               const decide::Decider::Served& served) {
                             if (made.ok()) impl_->Log(target, request, served, &made.value());
                             done(request, std::move(made));
                           });
}

Result<std::string> Engine::GetDecision(std::string_view tenant,
                                        std::string_view decision_id) const {
  return impl_->decisions->Get(tenant, decision_id);
}

Result<CatalogResult> Engine::PutCatalog(CatalogKind kind, std::string_view tenant,
                                         std::span<const std::string> documents) {
  Result<CatalogResult> result = impl_->catalog->Put(kind, tenant, documents);
  if (kind == CatalogKind::kRooms) impl_->moments->RoomsChanged();
  return result;
}

Result<std::string> Engine::GetCatalog(CatalogKind kind, std::string_view tenant,
                                       std::string_view id) const {
  return impl_->catalog->Get(kind, tenant, id);
}

Status Engine::DeleteCatalog(CatalogKind kind, std::string_view tenant, std::string_view id) {
  Status status = impl_->catalog->Delete(kind, tenant, id);
  if (kind == CatalogKind::kRooms) impl_->moments->RoomsChanged();
  return status;
}

Result<CatalogPage> Engine::ListCatalog(CatalogKind kind, std::string_view tenant,
                                        std::string_view after, size_t limit) const {
  return impl_->catalog->List(kind, tenant, after, limit);
}

Result<TrainReport> Engine::Train(const std::function<bool(const TrainProgress&)>& progress) {
  if (impl_->training.exchange(true)) {
    return Status(Code::kConflict, "a training run is under way");
  }
  struct Release {
    std::atomic<bool>& flag;
    ~Release() { flag = false; }
  } const release{impl_->training};

  const int64_t started_us = impl_->clock.steady_us();
  const auto report = [&](const TrainProgress& now) { return !progress || progress(now); };
  const auto seconds = [&] {
    return static_cast<double>(impl_->clock.steady_us() - started_us) * 1e-6;
  };
  train::LogExamples examples(kMaxExamples);
  const uint64_t total = impl_->log->last_sequence();
  HEED_RETURN_IF_ERROR(impl_->log->Read(1, [&](const store::LogRecord& record) -> Status {
    examples.Apply(record);
    if (record.sequence % 4096 == 0) {
      const double left = seconds() / static_cast<double>(record.sequence) *
                          static_cast<double>(total - std::min(total, record.sequence));
      if (!report({"examples", record.sequence, total, 0, left})) {
        return {Code::kDeadlineExceeded, "training was stopped"};
      }
    }
    return {};
  }));
  examples.Finish();

  TrainReport result;
  struct Job {
    const char* name;
    const train::ExamplePool& pool;
    train::LiveRanker which;
  };
  for (const Job& job : {Job{kHostModel, examples.hosts(), train::LiveRanker::kHosts},
                         Job{kProductModel, examples.products(), train::LiveRanker::kProducts}}) {
    HEED_ASSIGN_OR_RETURN(engine::TrainedRanker trained,
                          engine::TrainRanker(job.pool, job.name, impl_->options.seed, report));
    HEED_ASSIGN_OR_RETURN(const std::string version, impl_->models.Add(job.which, trained.ranker));
    result.models.push_back({job.name, version, trained.samples, std::move(trained.quality)});
  }
  result.seconds = seconds();
  return result;
}

std::vector<ModelInfo> Engine::Models() const { return impl_->models.Infos(); }

Status Engine::ActivateModel(const std::string& version) { return impl_->models.Activate(version); }

Status Engine::SetShadowModel(const std::string& version) {
  return impl_->models.SetShadow(version);
}

Status Engine::RollBackModel(const std::string& name) { return impl_->models.RollBack(name); }

Status Engine::SetLearning(const std::string& name, bool on) {
  return impl_->models.SetLearning(name, on);
}

std::vector<LearningStats> Engine::Learning() const { return impl_->models.Learning(); }

engine::RoomDesk* Engine::desk() const { return impl_->desk.get(); }

engine::MomentDesk* Engine::moments() const { return impl_->moments.get(); }

Result<uint64_t> Engine::Snapshot() { return impl_->WriteSnapshot(); }

EngineStats Engine::Stats() const {
  EngineStats stats;
  stats.last_sequence = impl_->log->last_sequence();
  stats.state_sequence = impl_->state.last_sequence();
  stats.queued_events = impl_->log->queued_events();
  stats.users = impl_->state.Count(state::Kind::kUser);
  stats.hosts = impl_->state.Count(state::Kind::kHost);
  stats.rooms = impl_->state.Count(state::Kind::kRoom);
  stats.products = impl_->state.Count(state::Kind::kProduct);
  stats.live_rooms =
      impl_->state.CountLiveRooms(impl_->clock.now_ms(), impl_->options.room_silent_ms);
  const auto caches = [&stats](const char* name, const infer::ModelHandle& handle) {
    const auto model = handle.Get();
    if (model == nullptr) return;
    const auto add = [&](const char* rows, const infer::CompiledRanker::CacheUse& use) {
      stats.row_caches.push_back({name, rows, use.hits, use.misses, use.entries, use.bytes});
    };
    add("items", model->compiled->items());
    add("tokens", model->compiled->tokens());
  };
  caches(kHostModel, impl_->models.handle(train::LiveRanker::kHosts));
  caches(kProductModel, impl_->models.handle(train::LiveRanker::kProducts));
  return stats;
}

Status Engine::Health() const { return impl_->log->health(); }

Status Engine::ReadEvents(
    uint64_t from_sequence,
    const std::function<Status(uint64_t sequence, const event::Event& event)>& visit) const {
  return impl_->log->Read(from_sequence, [&](const store::LogRecord& record) {
    return visit(record.sequence, record.event);
  });
}

std::string Engine::SerializeState() const { return impl_->state.Serialize(nullptr); }

}  // namespace heed
