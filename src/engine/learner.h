// Learning while serving: takes what comes of impressions from the log's committer, trains on a thread
// of its own, and publishes to the models that serve (docs/learning.md).
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "heed/engine.h"

#include "engine/served_features.h"
#include "infer/live_model.h"
#include "model/checkpoint_chain.h"
#include "state/state.h"
#include "store/event_log.h"
#include "train/attribution.h"
#include "train/online_trainer.h"

namespace heed::engine {

// Thread-safe, but for Before and what it calls back, which are the committer's.
class Learner final : public train::FeedbackSink {
 public:
  // Checkpoints are in <directory>/<name>.learned. `served` and the handles outlive the Learner.
  Learner(const LearningOptions& options, kernels::Precision precision, std::string directory,
          ServedFeatures* served, infer::ModelHandle* hosts, infer::ModelHandle* products);
  // Writes what was learned.
  ~Learner() override;

  // Before all else: the log ends here, and what it holds already was for others to learn from.
  void StartAt(uint64_t last_sequence);
  // Serves `ranker` from now on, in place of whatever did, and learns on from it, judged by `shadow`
  // (null: itself). With `resume`, from where a checkpoint of the same version left off, where there
  // is one. Returns when it serves.
  Status Serve(train::LiveRanker which, std::string version,
               const std::shared_ptr<model::Ranker>& ranker,
               const std::shared_ptr<model::Ranker>& shadow, bool resume);
  Status SetShadow(train::LiveRanker which, const std::shared_ptr<model::Ranker>& shadow);
  Status RollBack(train::LiveRanker which);
  Status SetLearning(train::LiveRanker which, bool on);
  std::vector<LearningStats> Stats() const;

  // At start the log is to be given again from here on, so that outcomes to come find the impressions
  // that were open; ~0: nothing was open.
  uint64_t replay_from() const { return replay_from_; }
  // In the order of the log, before `record` is applied to `before` (where it is in there already,
  // impressions are not followed: their features are lost). What a checkpoint has learned of is not
  // learned again. Never waits.
  void Before(const store::LogRecord& record, const state::State& before);

  bool Accepts(train::LiveRanker which) override;
  std::shared_ptr<const model::Batch> Served(train::LiveRanker which,
                                             const event::Event& shown) override;
  void Add(train::Feedback feedback) override;

 private:
  static constexpr size_t kMaxQueued = 20'000;
  static constexpr size_t kDelaysKept = 4'096;
  static constexpr uint32_t kStepsAtOnce = 8;

  struct Item {
    train::Feedback feedback;
    int64_t arrived_us = 0;
  };
  // One model that learns; null trainer: none is there, or it serves as it is.
  struct Live {
    train::LiveRanker which{};
    const char* name = "";
    infer::ModelHandle* handle = nullptr;
    std::string version;
    uint64_t learned_to = 0;  // what records to there said has reached the trainer
    std::unique_ptr<train::OnlineTrainer> trainer;
    std::unique_ptr<model::CheckpointChain> chain;
    std::unique_ptr<infer::LiveModel> serving;
    bool changed = false, dense_changed = false;  // since they were published
    train::Alarm told = train::Alarm::kNone;
    int64_t published_us = 0, dense_us = 0, written_us = 0;
    std::vector<int64_t> unpublished_us;  // arrivals of what is learned and not published
    std::deque<double> delays_s;
  };

  void Loop();
  int64_t NowTs() const;
  bool Learn(Live* live, int64_t now_ts);  // true: there is more to do
  void Publish(Live* live, bool all);
  void Restart(Live* live);  // publishes the trainer's weights whole
  Status Write(Live* live);
  Status ReadCheckpoint(Live* live);  // trainer and chain
  std::string VersionOf(const Live& live) const;
  std::string FolderOf(const Live& live) const { return directory_ + "/" + live.name + ".learned"; }
  LearningStats StatsOf(const Live& live) const;
  Live& Of(train::LiveRanker which) { return live_[static_cast<size_t>(which)]; }

  const LearningOptions options_;
  const kernels::Precision precision_;
  const std::string directory_;
  ServedFeatures* const served_;

  // The committer's.
  train::Attribution attribution_;
  uint64_t sequence_ = 0;          // of the record at hand
  bool known_to_state_ = false;    // which state holds already
  uint64_t known_to_[2] = {0, 0};  // sequences that checkpoints have learned of
  uint64_t replay_from_ = ~uint64_t{0};
  uint64_t log_end_ = 0;  // at start
  double allowance_ = 0;  // examples that may be followed now
  int64_t allowed_us_ = 0;
  int64_t newest_ts_ = 0;
  std::deque<std::pair<int64_t, uint64_t>> minutes_;  // event time, first sequence: the last 40

  mutable std::mutex queue_mutex_;
  std::condition_variable wake_;
  std::vector<Item> queue_;
  bool stopping_ = false;
  // Of the committer, read by the learner.
  std::atomic<uint64_t> last_sequence_{0}, reach_back_{1};
  std::atomic<int64_t> behind_ms_{-1};  // the newest event behind the clock when it came; -1: none
  std::atomic<uint64_t> shown_[2]{}, skipped_[2]{}, by_decision_[2]{}, queued_[2]{};
  std::atomic<bool> follows_[2]{};

  mutable std::mutex models_mutex_;  // one round of learning, or one of the calls above
  std::array<Live, 2> live_;
  std::thread thread_;
};

}  // namespace heed::engine
