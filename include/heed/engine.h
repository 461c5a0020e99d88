// Heed as a library: what the server calls, and what a program that embeds Heed calls.
//
//   heed::EngineOptions options;
//   options.directory = "data";
//   auto engine = heed::Engine::Open(options);
//
// Thread-safe throughout. Every text is UTF-8; every time is milliseconds since the epoch, UTC.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "heed/status.h"

namespace heed {

namespace event {
struct Event;
}
namespace engine {
class MomentDesk;
class RoomDesk;
}  // namespace engine

// Learning from what comes of impressions while they are served (docs/learning.md). It begins with
// the first trained model.
struct LearningOptions {
  bool on = false;                 // heed serve: true
  int64_t examples_per_s = 2'000;  // impressions followed, at most; the rest is counted and left
  int64_t publish_ms = 20;         // changed rows reach rankings at most so often
  int64_t publish_dense_ms =
      1'000;  // and all other weights: each time cached rows are computed anew
  int64_t checkpoint_ms = 300'000;  // what was learned is written so often, and at the end
  int64_t expire_h = 720;  // rows of keys that no impression had for so long go; 0: none does
  uint64_t served_rows = 20'000;  // decided candidates whose features are kept for their impression
};

// Reading comments (docs/text.md). A name that is empty stands for what is part of the program.
struct TextOptions {
  bool on = false;         // heed serve: true
  std::string word_lists;  // files of docs/text.md
  std::string intent_model, sentiment_model, offence_model, lint_model;
  std::string packs;           // folder of compliance packs, read again when they change
  std::string dictionary;      // lines of "word frequency"; empty: words are pairs of characters
  uint64_t max_rooms = 1'000;  // read at the same time; then the one silent longest goes
  int64_t room_idle_ms = 30 * 60'000;   // one silent for so long is forgotten
  uint64_t questions_per_room = 5'000;  // kept of the last ten minutes, about 1 kB each
};

// What the outcomes of an impression count in a ranking: an item's score is the sum of weight times predicted
// probability, for order_value times the cents expected.
struct ScoreWeights {
  struct Hosts {
    double enter = 1, stay = 2, engage = 1, order = 10;
  } hosts;
  struct Products {
    double click = 1, cart = 3, order = 10, order_value = 0;
  } products;
};

// What `heed watch` measures of rooms' broadcasts, and embeddings of them (docs/broadcast.md). Nothing of it is
// written to disk but what a model reads of it.
struct BroadcastOptions {
  // What may be taken of rooms whose catalog document does not say: "off", "measures" or "proxies".
  std::string rooms = "measures";
  std::string model;                     // of moment attention (docs/moments.md); empty: none
  bool record_attention = true;          // what it reads goes into the log and so into rankings
  int64_t look_back_ms = 600'000;        // how long a second is kept
  uint64_t max_rooms = 200;              // kept at the same time; then the one silent longest goes
  uint64_t embedding_bytes = 4'194'304;  // of one room's vectors; then the oldest go
};

struct EngineOptions {
  std::string directory;                    // everything durable lives below it; made when absent
  int64_t max_future_ms = 5 * 60 * 1000;    // an event further ahead of the clock is refused
  int64_t room_silent_ms = 10 * 60 * 1000;  // a room silent for so long is not live
  size_t max_candidates = 2'000;            // given in one request
  size_t found_candidates = 500;            // found when none are given
  // Requests that wait together are scored together up to so many candidates; one request alone
  // may have more. 0: each alone.
  size_t batch_candidates = 128;
  size_t max_queued_events = 200'000;
  uint64_t snapshot_every_events = 1'000'000;
  size_t snapshots_kept = 3;
  // "fp32", "bf16" or "int8": what live models compute in. int8 needs a model trained by this version.
  std::string ranking_precision = "fp32";
  double exploration = 0.05;  // share of slates whose last slot is given to chance
  uint64_t seed = 1;          // of exploration
  ScoreWeights score;
  LearningOptions learning;
  TextOptions text;
  BroadcastOptions broadcast;
};

// ---- events ----------------------------------------------------------------------------------

struct RecordedEvent {
  uint64_t sequence = 0;
  bool duplicate = false;  // known by (tenant, id): nothing was written again
};

struct RefusedEvent {
  size_t index = 0;  // in the span given
  Status status;     // field() is a JSON pointer inside the event
};

struct RecordResult {
  std::vector<std::optional<RecordedEvent>> events;  // by position; empty where refused
  std::vector<RefusedEvent> refused;
};

// ---- recommendations -------------------------------------------------------------------------

enum class Target : uint8_t { kHosts, kProducts };

struct RecommendRequest {
  std::string tenant = "default";
  std::string user;
  std::string room;                     // products: the room the viewer is in (required there)
  std::vector<std::string> candidates;  // host ids, or product ids; empty: found by the engine
  size_t limit = 10;
  bool explain = false;
  // Of std::chrono::steady_clock, in microseconds; 0: none. Looked at before features are read,
  // before they are scored and before an explanation is made: kDeadlineExceeded when it has passed.
  int64_t deadline_us = 0;
};

struct HistoryEvidence {  // one event of the viewer's history and what it did to one candidate
  std::string sequence;   // "visits", "touches", "skips"
  std::string id;         // the host or product of that event
  int64_t ts = 0;
  float weight = 0;         // attention, mean over heads; with null_weight sums to 1 per sequence
  float leave_one_out = 0;  // score with it minus score without it
};

struct SequenceEvidence {
  std::string sequence;
  float null_weight = 1;                // attention that said "nothing here"
  std::vector<HistoryEvidence> events;  // newest first
};

struct TaskProbability {
  std::string task;
  float probability = 0;
};

struct RankedItem {
  std::string id;                      // host id or product id
  std::string room;                    // hosts: the live room to enter
  float score = 0;                     // sum over tasks of value * probability
  float propensity = 1;                // probability with which this slate shows the item at all
  std::string source;                  // "given", "live", "followed", "room"
  std::vector<TaskProbability> tasks;  // with explain
  std::vector<SequenceEvidence> attention;  // with explain
};

struct FilteredItem {
  std::string id;
  std::string reason;  // "not_live", "out_of_stock", "unknown", "off", "duplicate"
};

struct StageTimes {       // where the time of one decision went, in microseconds
  int64_t state_us = 0;   // the viewer, the candidates and their features, read from state
  int64_t score_us = 0;   // the model; of requests scored together, the whole
  int64_t choose_us = 0;  // the slate, and its explanation
  int64_t log_us = 0;     // handing the decision to its log
};

struct RecommendResponse {
  std::string decision_id;
  std::string model_version;    // "popularity-0" before the first trained model
  uint64_t state_sequence = 0;  // every event up to here was taken into account
  int64_t ts = 0;
  std::vector<RankedItem> items;
  std::vector<FilteredItem> filtered;
  StageTimes stages;
};

// ---- catalog ---------------------------------------------------------------------------------

enum class CatalogKind : uint8_t { kHosts, kRooms, kProducts };

struct CatalogRefusal {
  size_t index = 0;
  std::string id;
  Status status;
};

struct CatalogResult {
  size_t stored = 0;
  std::vector<CatalogRefusal> refused;
};

struct CatalogPage {
  std::vector<std::string> documents;  // JSON objects
  std::string next;                    // cursor; empty at the end
};

// ---- training --------------------------------------------------------------------------------

struct TrainProgress {
  std::string phase;  // "examples", "hosts", "products"
  uint64_t done = 0, total = 0;
  double loss = 0;
  double seconds_left = 0;
};

// Of a value (order_value) AUC and log loss are NaN; of any other task the revenue capture is.
struct TaskQuality {
  std::string task;
  double auc = 0, log_loss = 0, pcoc = 0;
  uint64_t rows = 0, positives = 0;
  double revenue_capture = std::numeric_limits<double>::quiet_NaN();  // at 1 %
};

struct TrainedModel {
  std::string name;     // "hosts", "products"
  std::string version;  // "hosts-000001"
  uint64_t samples = 0;
  std::vector<TaskQuality> quality;  // on the last tenth by time, which was held out
};

struct TrainReport {
  std::vector<TrainedModel> models;
  double seconds = 0;
};

struct ModelInfo {
  std::string name, version;
  bool active = false;  // serves, or is what the learning weights began from
  bool shadow = false;  // the learning weights are judged by it, and go back to it
  uint64_t parameters = 0;
};

struct TaskLearning {
  std::string task;
  // Labels by state: open now; the others since learning began. Corrected: told as negative, then the
  // positive came.
  uint64_t open = 0, positive = 0, negative = 0, corrected = 0;
  // Over the last labels, each predicted before it was learned from.
  uint64_t judged = 0;
  double auc = 0, log_loss = 0, pcoc = 0, ece = 0;
  // Of a value, which has no AUC, log loss and ECE; its pcoc is what was expected over what came.
  struct Value {
    uint64_t paid = 0;  // of those judged, with an amount
    double revenue_capture =
        0;  // share of the amounts that was in the 1 % with the largest expectations
    // Of the last amounts, each beside what was predicted of it given that one comes: in its units;
    // and the loss that is trained.
    double mean_absolute_error = 0, huber_loss = 0;
  };
  std::optional<Value> value;
};

struct InputLearning {  // a number that the model reads, of late beside the training rows
  std::string name;
  double mean = 0,
         deviation = 1;   // in deviations of the training rows: 0 and 1 where nothing changed
  double absent = 0;      // share without a value
  double divergence = 0;  // train/input_drift.h: 0.1 is worth a look, 0.25 much
  // Population stability index, by the same rules; NaN: not available.
  double psi = std::numeric_limits<double>::quiet_NaN();
};

struct LearningStats {
  std::string model;    // "hosts", "products"
  std::string version;  // what serves: "hosts-000003+1234", 1234 steps from hosts-000003
  bool learning = false;
  std::string stopped;       // why it does not, when it was told to
  uint64_t shown = 0;        // impressions followed
  uint64_t skipped = 0;      // left: over examples_per_s, or the learner was behind
  uint64_t by_decision = 0;  // of those followed, with the features of their decision
  uint64_t queued = 0;       // impressions, outcomes and labels that wait to be learned
  uint64_t steps = 0, refused_steps = 0;  // refused: not finite
  uint64_t capped = 0;                    // labels that weighed less, by viewer or source
  // Mean loss of what is served less that of the shadow, over the same examples.
  double loss_difference = 0, loss_difference_error = 0;
  uint64_t promotions = 0, rollbacks = 0;
  uint64_t sudden_rollbacks = 0;  // of those, found by the test for sudden harm
  uint64_t expired_rows = 0;      // of keys that no impression had for expire_h
  // From an event's durable acknowledgement to rankings that read what it taught, of late.
  double event_to_weights_p50_s = 0, event_to_weights_p99_s = 0;
  double unseen_keys = 0;         // share of keys that the model has no row for
  std::string drifted;            // the number whose mean moved most since training,
  double drifted_deviations = 0;  // and by how many of its deviations
  std::vector<InputLearning> inputs;
  std::vector<TaskLearning> tasks;
};

// Rows that a compiled model has computed and kept (docs/model.md).
struct RowCacheStats {
  std::string model, rows;        // "hosts", "products"; "items", "tokens"
  uint64_t hits = 0, misses = 0;  // since the model was loaded
  uint64_t entries = 0, bytes = 0;
};

struct EngineStats {
  uint64_t last_sequence = 0;
  uint64_t state_sequence = 0;
  size_t queued_events = 0;
  uint64_t users = 0, hosts = 0, rooms = 0, products = 0, live_rooms = 0;
  std::vector<RowCacheStats> row_caches;  // of the models that serve compiled
};

class Engine {
 public:
  // Opens the directory, restores the newest snapshot, replays the rest of the log.
  static Result<std::unique_ptr<Engine>> Open(const EngineOptions& options);
  // Commits what is queued, writes a snapshot.
  ~Engine();

  // Takes events that are valid by themselves (event/json.h) and refuses those the engine cannot
  // keep (a future time). `done` is called once, when all accepted ones are durable and part of
  // state; on another thread. kOverloaded at once when the queue is full.
  Status RecordAsync(std::vector<event::Event> events,
                     std::function<void(Result<RecordResult>)> done);
  Result<RecordResult> Record(std::vector<event::Event> events);

  Result<RecommendResponse> RecommendHosts(const RecommendRequest& request) const;
  Result<RecommendResponse> RecommendProducts(const RecommendRequest& request) const;
  // For requests that wait in a queue: takes one from `next` and, as long as batch_candidates allow,
  // further ones (null: none waits), and scores them in one pass. `done` is called once for each
  // request taken, on this thread; a request stays valid until then.
  void RecommendTogether(
      Target target, const std::function<const RecommendRequest*()>& next,
      const std::function<void(const RecommendRequest&, Result<RecommendResponse>)>& done) const;
  // The stored decision as JSON, with candidates, scores, propensities and model version.
  Result<std::string> GetDecision(std::string_view tenant, std::string_view decision_id) const;

  // `documents` are JSON objects with at least "id"; each is checked alone.
  Result<CatalogResult> PutCatalog(CatalogKind kind, std::string_view tenant,
                                   std::span<const std::string> documents);
  Result<std::string> GetCatalog(CatalogKind kind, std::string_view tenant,
                                 std::string_view id) const;
  Status DeleteCatalog(CatalogKind kind, std::string_view tenant, std::string_view id);
  Result<CatalogPage> ListCatalog(CatalogKind kind, std::string_view tenant, std::string_view after,
                                  size_t limit) const;

  // Builds examples from the whole log, trains both rankers, activates them. One at a time
  // (kConflict). `progress` may be empty; returning false from it stops training and changes nothing.
  Result<TrainReport> Train(const std::function<bool(const TrainProgress&)>& progress);
  std::vector<ModelInfo> Models() const;
  // kNotFound for a version or name that is not there. Kept over restarts.
  // Serves this version, and learns on from it; what was learned since the active one is dropped.
  Status ActivateModel(const std::string& version);
  // What was learned is judged by this version, and goes back to it when it does worse.
  Status SetShadowModel(const std::string& version);
  // The shadow's weights serve, and learning goes on from them.
  Status RollBackModel(const std::string& name);
  // Stops or goes on learning, also after an alarm stopped it; what serves stays.
  Status SetLearning(const std::string& name, bool on);
  std::vector<LearningStats> Learning() const;  // of models that are there

  // What is asked and said in rooms, and what texts mean (engine/room_desk.h). Null: options.text.on is
  // false.
  engine::RoomDesk* desk() const;
  // The last minutes of rooms' broadcasts, second by second (engine/moment_desk.h). Never null.
  engine::MomentDesk* moments() const;

  // Writes a snapshot now; returns its sequence.
  Result<uint64_t> Snapshot();
  EngineStats Stats() const;
  // Ok when events can be recorded and requests answered.
  Status Health() const;
  // Calls `visit` for each event from `from_sequence` to the end as of the call, in log order; stops
  // at the first error.
  Status ReadEvents(
      uint64_t from_sequence,
      const std::function<Status(uint64_t sequence, const event::Event& event)>& visit) const;
  // The whole of state, for comparison with a replay (heed inspect, crash tests).
  std::string SerializeState() const;

 private:
  struct Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed
