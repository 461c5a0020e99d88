#include "engine/learner.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace heed::engine {
namespace {

using train::LiveRanker;

// Three live rooms, viewers who are shown them, and a learner with an untrained model: whoever is shown
// r1 enters, nobody enters another room.
class LearnerTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "/heed_learner_test";
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    for (int i = 1; i <= 3; ++i) {
      const std::string n = std::to_string(i);
      Happen("r" + n, "h" + n, event::ActorKind::kHost,
             event::StreamStart{.title = "t", .category = "c", .host_id = "h" + n});
    }
    model::RankerConfig config;
    config.schema = model::HostSchema();
    config.embedding_width = 8;
    config.attention_width = 8;
    config.hidden = {16};
    auto made = model::Ranker::Create(config, 1);
    ASSERT_TRUE(made.ok());
    ranker_ = std::move(made).value();
    options_.publish_ms = 5;
    options_.publish_dense_ms = 20;
    options_.examples_per_s = 1'000'000;
    Open(/*resume=*/false);
  }
  void Open(bool resume) {
    learner_.reset();
    learner_ = std::make_unique<Learner>(options_, kernels::Precision::kFp32, directory_, &served_,
                                         &hosts_, &products_);
    ASSERT_TRUE(learner_->Serve(LiveRanker::kHosts, "hosts-000001", ranker_, nullptr, resume).ok());
  }
  void Happen(const std::string& room, const std::string& actor, event::ActorKind kind,
              event::Data data) {
    store::LogRecord record;
    record.sequence = ++sequence_;
    event::Event& event = record.event;
    event.id = "e" + std::to_string(sequence_);
    event.ts = start_ts_ + static_cast<int64_t>(sequence_) * 1'000;
    event.tenant = "t";
    event.room = room;
    event.session = room + "-s";
    event.src = {.platform = "test", .adapter = "test", .raw_type = {}, .raw_id = {}, .extra = {}};
    event.actor = event::Actor{.id = actor, .kind = kind};
    event.data = std::move(data);
    if (learner_ != nullptr) learner_->Before(record, state_);
    state_.Apply(record.sequence, event);
  }
  void Evening(int viewers) {
    for (int i = 0; i < viewers; ++i) {
      const std::string user = "u" + std::to_string(next_viewer_++);
      for (const char* room : {"r1", "r2", "r3"}) {
        Happen(room, user, event::ActorKind::kViewer, event::RoomImpression{.channel = "feed"});
      }
      Happen("r1", user, event::ActorKind::kViewer, event::ViewerEnter{.channel = "feed"});
      Happen("r1", user, event::ActorKind::kViewer, event::ViewerLeave{.watch_ms = 5'000});
    }
  }
  LearningStats Stats() const { return learner_->Stats().at(0); }
  bool Await(const std::function<bool()>& done) const {
    for (int i = 0; i < 2'000 && !done(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return done();
  }
  // Until all it was told is learned and published.
  bool Settle() const {
    uint64_t steps = 0;
    return Await([&] {
      const LearningStats now = Stats();
      const bool still = now.queued == 0 && now.steps == steps && now.steps > 0 &&
                         now.version == "hosts-000001+" + std::to_string(now.steps);
      steps = now.steps;
      return still;
    });
  }
  // That a new viewer enters a room, by what serves now and by the model that learning began from.
  float Enter(const std::string& room) { return EnterBy(*hosts_.Get(), room); }
  float EnterBefore(const std::string& room) {
    return EnterBy(*infer::ServingModel::Make("reference", ranker_), room);
  }
  float EnterBy(const infer::ServingModel& model, const std::string& room) {
    const state::Index index = state_.Find(state::Kind::kRoom, "t", room);
    const state::RoomSummary summary = state_.Summarize(index);
    const model::Viewer viewer = model::ReadViewer(state_, state::kNone);
    const int64_t now = start_ts_ + 3'600'000;
    model::Batch batch;
    batch.Clear(model::HostSchema());
    model::AddHostRequest(state_, viewer, now, &batch);
    model::AddHostCandidate(state_, viewer, state_.ReadHost(summary.host), summary, now, &batch);
    std::vector<float> out(model::HostSchema().tasks.size());
    EXPECT_TRUE(model.Score(batch, out).ok());
    return out[0];
  }

  const int64_t start_ts_ = Clock::System().now_ms() - 2 * 3'600'000;
  std::string directory_;
  LearningOptions options_;
  state::State state_;
  uint64_t sequence_ = 0;
  int next_viewer_ = 0;
  std::shared_ptr<model::Ranker> ranker_;
  ServedFeatures served_{1'000};
  infer::ModelHandle hosts_, products_;
  std::unique_ptr<Learner> learner_;
};

TEST_F(LearnerTest, WhatHappensChangesWhatIsServed) {
  EXPECT_EQ(hosts_.Get()->version, "hosts-000001+0");
  Evening(1'000);
  ASSERT_TRUE(Settle());
  EXPECT_GT(Enter("r1") - Enter("r2"), EnterBefore("r1") - EnterBefore("r2") + 0.03f);
  const LearningStats stats = Stats();
  EXPECT_TRUE(stats.learning);
  EXPECT_EQ(stats.shown, 3'000u);
  EXPECT_EQ(stats.skipped, 0u);
  EXPECT_EQ(stats.tasks.at(0).task, "enter");
  EXPECT_EQ(stats.tasks[0].positive, 1'000u);
  EXPECT_GT(stats.event_to_weights_p50_s, 0);
  EXPECT_GE(stats.event_to_weights_p99_s, stats.event_to_weights_p50_s);
  EXPECT_EQ(Stats().refused_steps, 0u);
}

TEST_F(LearnerTest, ARestartGoesOnWhereItLeftOff) {
  Evening(50);
  ASSERT_TRUE(Settle());
  std::this_thread::sleep_for(std::chrono::milliseconds(5 * options_.publish_dense_ms));
  learner_.reset();
  const uint64_t steps = std::stoull(hosts_.Get()->version.substr(13));
  const float served = Enter("r1");
  Open(/*resume=*/true);
  EXPECT_EQ(Stats().steps, steps);
  EXPECT_EQ(Enter("r1"), served);
  EXPECT_EQ(Stats().tasks.at(0).positive, 50u);
}

TEST_F(LearnerTest, OutcomesAfterARestartFindTheirImpressions) {
  const uint64_t first = sequence_ + 1;
  Happen("r1", "late", event::ActorKind::kViewer, event::RoomImpression{.channel = "feed"});
  store::LogRecord impression;
  impression.sequence = sequence_;
  impression.event.id = "e" + std::to_string(sequence_);
  impression.event.ts = start_ts_ + static_cast<int64_t>(sequence_) * 1'000;
  impression.event.tenant = "t";
  impression.event.room = "r1";
  impression.event.session = "r1-s";
  impression.event.actor = event::Actor{.id = "late", .kind = event::ActorKind::kViewer};
  impression.event.data = event::RoomImpression{.channel = "feed"};
  ASSERT_TRUE(Await([&] { return Stats().queued == 0; }));
  Open(/*resume=*/true);
  EXPECT_LE(learner_->replay_from(), first);
  learner_->Before(impression, state_);
  Happen("r1", "late", event::ActorKind::kViewer, event::ViewerEnter{.channel = "feed"});
  EXPECT_TRUE(Await([&] { return Stats().tasks.at(0).positive == 1; }));
  EXPECT_EQ(Stats().shown, 0u) << "what is replayed is not followed anew";
}

TEST_F(LearnerTest, ADamagedCheckpointIsRefusedAndItBeginsAgain) {
  Evening(20);
  ASSERT_TRUE(Settle());
  learner_.reset();
  const std::string path = directory_ + "/hosts.learned/whole.checkpoint";
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(200);
  file.put('x');
  file.close();
  Open(/*resume=*/true);
  EXPECT_EQ(Stats().steps, 0u);
  EXPECT_EQ(hosts_.Get()->version, "hosts-000001+0");
}

TEST_F(LearnerTest, ADamagedIncrementGivesTheCheckpointBefore) {
  Evening(20);
  ASSERT_TRUE(Settle());
  Open(/*resume=*/true);  // each end writes one: the whole, then what followed
  const uint64_t steps = Stats().steps;
  Evening(20);
  ASSERT_TRUE(Settle());
  ASSERT_GT(Stats().steps, steps);
  learner_.reset();
  const std::string path = directory_ + "/hosts.learned/1.increment";
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(200);
  file.put('x');
  file.close();
  Open(/*resume=*/true);
  EXPECT_EQ(Stats().steps, steps);
  Evening(20);
  ASSERT_TRUE(Settle());
  const uint64_t then = Stats().steps;
  EXPECT_GT(then, steps);
  Open(/*resume=*/true);
  EXPECT_EQ(Stats().steps, then);
}

TEST_F(LearnerTest, RollingBackServesTheShadow) {
  Evening(60);
  ASSERT_TRUE(Settle());
  ASSERT_NE(Enter("r1"), EnterBefore("r1"));
  // A window that ends meanwhile would teach it again.
  ASSERT_TRUE(learner_->SetLearning(LiveRanker::kHosts, false).ok());
  ASSERT_TRUE(learner_->RollBack(LiveRanker::kHosts).ok());
  EXPECT_NEAR(Enter("r1"), EnterBefore("r1"), 1e-6f);
}

TEST_F(LearnerTest, StoppedItPredictsAndLearnsNothing) {
  ASSERT_TRUE(learner_->SetLearning(LiveRanker::kHosts, false).ok());
  EXPECT_FALSE(Stats().learning);
  EXPECT_EQ(Stats().stopped, "by_hand");
  Evening(20);
  ASSERT_TRUE(Await([&] { return Stats().queued == 0; }));
  EXPECT_EQ(Stats().steps, 0u);
  EXPECT_GT(Enter("r1"), 0);
  ASSERT_TRUE(learner_->SetLearning(LiveRanker::kHosts, true).ok());
  Evening(20);
  EXPECT_TRUE(Await([&] { return Stats().steps > 0; }));
  EXPECT_EQ(learner_->SetLearning(LiveRanker::kProducts, false).code(), Code::kNotFound);
}

TEST_F(LearnerTest, ADecisionsFeaturesAreWhatItsImpressionTeaches) {
  model::Batch batch;
  const state::RoomSummary room = state_.Summarize(state_.Find(state::Kind::kRoom, "t", "r1"));
  const model::Viewer viewer = model::ReadViewer(state_, state::kNone);
  batch.Clear(model::HostSchema());
  model::AddHostRequest(state_, viewer, Clock::System().now_ms(), &batch);
  model::AddHostCandidate(state_, viewer, state_.ReadHost(room.host), room,
                          Clock::System().now_ms(), &batch);
  served_.Add("t", "d1", "r1", std::make_shared<const model::Batch>(batch));
  Happen("r1", "u", event::ActorKind::kViewer,
         event::RoomImpression{.channel = "feed", .request_id = "d1"});
  Happen("r2", "u", event::ActorKind::kViewer,
         event::RoomImpression{.channel = "feed", .request_id = "d1"});
  EXPECT_EQ(Stats().shown, 2u);
  EXPECT_EQ(Stats().by_decision, 1u);
}

TEST_F(LearnerTest, OverItsAllowanceImpressionsAreCountedAndLeft) {
  options_.examples_per_s = 10;
  Open(/*resume=*/false);
  Evening(40);
  EXPECT_LE(Stats().shown, 20u);
  EXPECT_GE(Stats().skipped, 100u);
}

TEST_F(LearnerTest, AFullDiskCostsTheCheckpointAndNothingElse) {
  std::filesystem::remove_all(directory_);
  std::ofstream(directory_) << "a file where the folder was";
  options_.checkpoint_ms = 1'000;
  Open(/*resume=*/false);
  Evening(20);
  EXPECT_TRUE(Settle());
  std::this_thread::sleep_for(std::chrono::milliseconds(1'200));
  Evening(20);
  EXPECT_TRUE(Settle());
  EXPECT_TRUE(Stats().learning);
  learner_.reset();
  std::filesystem::remove(directory_);
}

}  // namespace
}  // namespace heed::engine
