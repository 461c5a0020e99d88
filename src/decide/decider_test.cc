#include "decide/decider.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "model/live_features.h"
#include "store/database.h"

namespace heed::decide {
namespace {

constexpr int64_t kNow = 1'764'000'000'000;

// A small evening: three live hosts, one that ended, a viewer with a past.
class DeciderTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "/heed_decider_test";
    std::filesystem::remove_all(directory_);
    auto database = store::Database::Open({.directory = directory_});
    ASSERT_TRUE(database.ok()) << database.status().ToString();
    database_ = std::move(database).value();
    auto catalog = Catalog::Open(*database_);
    ASSERT_TRUE(catalog.ok());
    catalog_ = std::move(catalog).value();
    options_.exploration = 0;
    for (int i = 1; i <= 4; ++i) {
      const std::string n = std::to_string(i);
      Apply(kNow - 3'000'000, "r" + n, "h" + n, event::ActorKind::kHost,
            event::StreamStart{
                .title = "夜场", .category = i < 3 ? "服饰" : "美妆", .host_id = "h" + n});
    }
    Apply(kNow - 2'000'000, "r4", "h4", event::ActorKind::kHost, event::StreamEnd{});
    Apply(kNow - 900'000, "r2", "u1", event::ActorKind::kViewer,
          event::ViewerEnter{.channel = "feed"});
    Apply(kNow - 800'000, "r2", "u1", event::ActorKind::kViewer,
          event::ViewerLeave{.watch_ms = 100'000});
    Apply(kNow - 700'000, "r1", "u1", event::ActorKind::kViewer,
          event::ProductClick{.product_id = "p1", .surface = event::Surface::kCard});
    for (int i = 1; i <= 3; ++i) {
      Apply(kNow - 1000 * i, "r" + std::to_string(i), "u9", event::ActorKind::kViewer,
            event::Like{.count = 1});
    }
  }

  void Apply(int64_t ts, std::string room, std::string actor, event::ActorKind kind,
             event::Data data) {
    event::Event event;
    event.id = "e" + std::to_string(++sequence_);
    event.ts = ts;
    event.tenant = "t";
    event.session = room + "-s";
    event.room = std::move(room);
    event.src = {.platform = "test", .adapter = "test", .raw_type = {}, .raw_id = {}, .extra = {}};
    event.actor = event::Actor{.id = std::move(actor), .kind = kind};
    event.data = std::move(data);
    state_.Apply(sequence_, event);
  }

  static std::shared_ptr<const infer::ServingModel> RandomModel(const model::Schema& schema) {
    model::RankerConfig config;
    config.schema = schema;
    config.embedding_width = 8;
    config.hidden = {16};
    auto ranker = model::Ranker::Create(config, 5);
    EXPECT_TRUE(ranker.ok());
    return infer::ServingModel::Make("test-1", std::move(ranker).value());
  }

  Result<RecommendResponse> Decide(Target target, const RecommendRequest& request) {
    Random random(1);
    Result<RecommendResponse> out = Status(Code::kInternal, "no decision was made");
    const RecommendRequest* waiting = &request;
    Decider(state_, *catalog_, host_model_, product_model_, options_)
        .Together(
            target, kNow, &random, [&] { return std::exchange(waiting, nullptr); },
            [&](const RecommendRequest&, Result<RecommendResponse> response,
                const Decider::Served& served) {
              shown_ = served.shown;
              out = std::move(response);
            });
    return out;
  }
  Result<RecommendResponse> Hosts(RecommendRequest request) {
    request.tenant = "t";
    if (request.user.empty()) request.user = "u1";
    return Decide(Target::kHosts, request);
  }
  Result<RecommendResponse> Products(RecommendRequest request) {
    request.tenant = "t";
    request.user = "u1";
    if (request.room.empty()) request.room = "r1";
    return Decide(Target::kProducts, request);
  }
  std::vector<uint32_t> shown_;  // by the last Decide: the batch's row of each item
  static std::map<std::string, std::string> Reasons(const RecommendResponse& response) {
    std::map<std::string, std::string> reasons;
    for (const FilteredItem& item : response.filtered) reasons[item.id] = item.reason;
    return reasons;
  }

  std::string directory_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<Catalog> catalog_;
  state::State state_;
  infer::ModelHandle host_model_, product_model_;
  EngineOptions options_;
  uint64_t sequence_ = 0;
};

TEST_F(DeciderTest, FindsOnlyLiveHosts) {
  const Result<RecommendResponse> response = Hosts({});
  ASSERT_TRUE(response.ok()) << response.status().ToString();
  std::map<std::string, std::string> rooms;
  for (const RankedItem& item : response.value().items) rooms[item.id] = item.room;
  EXPECT_EQ(rooms, (std::map<std::string, std::string>{{"h1", "r1"}, {"h2", "r2"}, {"h3", "r3"}}));
  EXPECT_EQ(response.value().model_version, "popularity-0");
  EXPECT_EQ(response.value().state_sequence, sequence_);
}

TEST_F(DeciderTest, SaysWhyAGivenCandidateIsLeftOut) {
  const std::vector<std::string> off = {R"({"id":"h3","status":"off"})"};
  ASSERT_TRUE(catalog_->Put(CatalogKind::kHosts, "t", off).ok());
  RecommendRequest request;
  request.candidates = {"h1", "h4", "h1", "nobody", "h3"};
  const Result<RecommendResponse> response = Hosts(request);
  ASSERT_TRUE(response.ok());
  ASSERT_EQ(response.value().items.size(), 1u);
  EXPECT_EQ(response.value().items[0].id, "h1");
  EXPECT_EQ(Reasons(response.value()),
            (std::map<std::string, std::string>{
                {"h4", "not_live"}, {"h1", "duplicate"}, {"nobody", "unknown"}, {"h3", "off"}}));
}

TEST_F(DeciderTest, ProductsOutOfStockOrUnboundAreNotShown) {
  for (const char* id : {"p1", "p2", "p3"}) {
    Apply(kNow - 5000, "r1", "op", event::ActorKind::kOperator,
          event::ProductBind{.product_id = id, .price_cents = 9900, .stock = 5, .on = true});
  }
  Apply(kNow - 4000, "r1", "op", event::ActorKind::kOperator,
        event::ProductStock{.product_id = "p2", .stock = 0});
  Apply(kNow - 3000, "r1", "op", event::ActorKind::kOperator,
        event::ProductBind{.product_id = "p3", .on = false});
  const Result<RecommendResponse> response = Products({});
  ASSERT_TRUE(response.ok()) << response.status().ToString();
  ASSERT_EQ(response.value().items.size(), 1u);
  EXPECT_EQ(response.value().items[0].id, "p1");
  EXPECT_EQ(Reasons(response.value()),
            (std::map<std::string, std::string>{{"p2", "out_of_stock"}, {"p3", "off"}}));
  RecommendRequest nowhere;
  nowhere.room = "no-such-room";
  EXPECT_EQ(Products(nowhere).status().code(), Code::kNotFound);
}

TEST_F(DeciderTest, CatalogServesARoomThatHasBoundNothing) {
  const std::vector<std::string> products = {R"({"id":"c1","host_id":"h2","stock":4})",
                                             R"({"id":"c2","host_id":"h2","stock":0})"};
  ASSERT_TRUE(catalog_->Put(CatalogKind::kProducts, "t", products).ok());
  RecommendRequest request;
  request.room = "r2";
  const Result<RecommendResponse> response = Products(request);
  ASSERT_TRUE(response.ok());
  ASSERT_EQ(response.value().items.size(), 1u);
  EXPECT_EQ(response.value().items[0].id, "c1");
  EXPECT_EQ(Reasons(response.value()).at("c2"), "out_of_stock");
}

TEST_F(DeciderTest, ExplanationAddsUpAndLeaveOneOutIsTheRealDifference) {
  host_model_.Publish(RandomModel(model::HostSchema()));
  RecommendRequest request;
  request.explain = true;
  const Result<RecommendResponse> response = Hosts(request);
  ASSERT_TRUE(response.ok()) << response.status().ToString();
  ASSERT_EQ(response.value().items.size(), 3u);
  EXPECT_EQ(response.value().model_version, "test-1");
  for (const RankedItem& item : response.value().items) {
    ASSERT_EQ(item.tasks.size(), 4u);
    ASSERT_EQ(item.attention.size(), 3u);
    for (const SequenceEvidence& sequence : item.attention) {
      float sum = sequence.null_weight;
      for (const HistoryEvidence& event : sequence.events) sum += event.weight;
      EXPECT_NEAR(sum, 1.0f, 1e-5f) << sequence.sequence;
    }
    ASSERT_EQ(item.attention[0].events.size(), 1u);
    EXPECT_EQ(item.attention[0].events[0].id, "h2");
    ASSERT_EQ(item.attention[1].events.size(), 1u);
    EXPECT_EQ(item.attention[1].events[0].id, "p1");
  }
  // By hand: the same batch with the visit cut out, scored anew.
  const model::Viewer viewer =
      model::ReadViewer(state_, state_.Find(state::Kind::kUser, "t", "u1"));
  model::Batch batch;
  batch.Clear(model::HostSchema());
  model::AddHostRequest(state_, viewer, kNow, &batch);
  const RankedItem& first = response.value().items[0];
  const state::HostView host = state_.ReadHost(state_.Find(state::Kind::kHost, "t", first.id));
  model::AddHostCandidate(state_, viewer, host, state_.Summarize(host.live_room), kNow, &batch);
  batch.sequences[0] = {};
  batch.sequences[0].offsets = {0, 0};
  model::Scores scores;
  ASSERT_TRUE(host_model_.Get()->ranker->Forward(batch, false, &scores).ok());
  float without = 0;
  for (size_t t = 0; t < 4; ++t) {
    without += model::HostSchema().tasks[t].value * scores.probabilities[t];
  }
  EXPECT_NEAR(first.attention[0].events[0].leave_one_out, first.score - without, 1e-5f);
}

TEST_F(DeciderTest, AnItemIsRankedByTheWeightsOfItsOutcomes) {
  options_.score.hosts = {.enter = 0, .stay = 0.5, .engage = -1, .order = 3};
  // Popularity, which is all there is without a model, is no outcome.
  EXPECT_GT(Hosts({}).value().items[0].score, 0.0f);
  host_model_.Publish(RandomModel(model::HostSchema()));
  RecommendRequest request;
  request.explain = true;
  const Result<RecommendResponse> response = Hosts(request);
  ASSERT_TRUE(response.ok());
  ASSERT_GT(response.value().items.size(), 1u);
  for (const RankedItem& item : response.value().items) {
    std::map<std::string, float> p;
    for (const auto& task : item.tasks) p[task.task] = task.probability;
    EXPECT_NEAR(item.score, 0.5f * p.at("stay") - p.at("engage") + 3.0f * p.at("order"), 1e-6f);
  }
  EXPECT_TRUE(
      std::is_sorted(response.value().items.begin(), response.value().items.end(),
                     [](const RankedItem& a, const RankedItem& b) { return a.score > b.score; }));
}

TEST_F(DeciderTest, AViewerWhoOptedOutIsRankedAsAStranger) {
  host_model_.Publish(RandomModel(model::HostSchema()));
  RecommendRequest stranger;
  stranger.user = "never-seen";
  const Result<RecommendResponse> unknown = Hosts(stranger);
  event::Event event;
  event.id = "opt-out";
  event.ts = kNow - 500;
  event.tenant = "t";
  event.room = "r1";
  event.session = "r1-s";
  event.actor = event::Actor{.id = "u1", .kind = event::ActorKind::kViewer, .personalize = false};
  event.data = event::ViewerHeartbeat{.watch_ms = 10};
  const Result<RecommendResponse> before = Hosts({});
  state_.Apply(++sequence_, event);
  const Result<RecommendResponse> after = Hosts({});
  ASSERT_TRUE(unknown.ok() && before.ok() && after.ok());
  ASSERT_EQ(after.value().items.size(), unknown.value().items.size());
  bool personal = false;
  for (size_t i = 0; i < after.value().items.size(); ++i) {
    EXPECT_EQ(after.value().items[i].id, unknown.value().items[i].id);
    EXPECT_NEAR(after.value().items[i].score, unknown.value().items[i].score, 1e-4f);
    personal =
        personal || std::abs(before.value().items[i].score - after.value().items[i].score) > 1e-4f;
  }
  EXPECT_TRUE(personal) << "the history made no difference before either";
}

// Requests scored together, as a worker with a queue has them.
class TogetherTest : public DeciderTest {
 protected:
  struct Made {
    std::string user;
    Result<RecommendResponse> response;
  };
  // `before_each`, given its number, runs when a request is asked for.
  std::vector<Made> Together(
      const std::vector<RecommendRequest>& requests,
      const std::function<void(size_t)>& before_each = [](size_t) {}) {
    std::vector<Made> made;
    Random random(1);
    taken_ = 0;
    Decider(state_, *catalog_, host_model_, product_model_, options_)
        .Together(
            Target::kHosts, kNow, &random,
            [&]() -> const RecommendRequest* {
              before_each(taken_);
              return taken_ < requests.size() ? &requests[taken_++] : nullptr;
            },
            [&](const RecommendRequest& request, Result<RecommendResponse> response,
                const Decider::Served&) {
              made.push_back({request.user, std::move(response)});
            });
    return made;
  }
  static RecommendRequest For(const std::string& user) {
    RecommendRequest request;
    request.tenant = "t";
    request.user = user;
    return request;
  }
  size_t taken_ = 0;
};

TEST_F(TogetherTest, GivesWhatEachAloneWouldGet) {
  host_model_.Publish(RandomModel(model::HostSchema()));
  std::vector<RecommendRequest> requests = {For("u1"), For("stranger"), For("u9")};
  requests[1].candidates = {"h3", "nobody", "h1"};
  requests[2].explain = true;
  const std::vector<Made> made = Together(requests);
  ASSERT_EQ(made.size(), 3u);
  for (size_t r = 0; r < requests.size(); ++r) {
    ASSERT_TRUE(made[r].response.ok()) << made[r].response.status().ToString();
    const RecommendResponse& together = made[r].response.value();
    const RecommendResponse alone = Hosts(requests[r]).value();
    EXPECT_EQ(made[r].user, requests[r].user);
    EXPECT_EQ(together.model_version, alone.model_version);
    EXPECT_EQ(Reasons(together), Reasons(alone));
    ASSERT_EQ(together.items.size(), alone.items.size());
    for (size_t i = 0; i < alone.items.size(); ++i) {
      EXPECT_EQ(together.items[i].id, alone.items[i].id);
      EXPECT_NEAR(together.items[i].score, alone.items[i].score, 1e-5f);
      EXPECT_EQ(together.items[i].attention.size(), alone.items[i].attention.size());
    }
  }
}

TEST_F(TogetherTest, TakesNoMoreThanTheBoundAllows) {
  const std::vector<RecommendRequest> requests(5, For("u1"));  // three live hosts each
  options_.batch_candidates = 0;
  EXPECT_EQ(Together(requests).size(), 1u);
  EXPECT_EQ(taken_, 1u);
  options_.batch_candidates = 5;  // a second one would not fit: the first does not wait for it
  EXPECT_EQ(Together(requests).size(), 1u);
  EXPECT_EQ(taken_, 1u);
  options_.batch_candidates = 6;
  EXPECT_EQ(Together(requests).size(), 2u);
  options_.batch_candidates = 100;
  EXPECT_EQ(Together(requests).size(), 5u);
  // One larger than those before it is scored apart, and ends the turn.
  std::vector<RecommendRequest> mixed = requests;
  mixed[0].candidates = {"h1"};
  options_.batch_candidates = 3;
  EXPECT_EQ(Together(mixed).size(), 2u);
}

TEST_F(TogetherTest, ADeadlineThatHasPassedIsAnsweredWithoutScoring) {
  host_model_.Publish(RandomModel(model::HostSchema()));
  const int64_t now_us = Clock::System().steady_us();
  std::vector<RecommendRequest> requests = {For("late"), For("waits"), For("u1")};
  requests[0].deadline_us = now_us - 1;
  requests[1].deadline_us = now_us + 200'000;
  requests[2].deadline_us = now_us + 60'000'000;
  const std::vector<Made> made = Together(requests, [](size_t number) {
    // After the second one's features were read, and before anything is scored.
    if (number == 2) std::this_thread::sleep_for(std::chrono::milliseconds(250));
  });
  ASSERT_EQ(made.size(), 3u);
  EXPECT_EQ(made[0].user, "late");
  EXPECT_EQ(made[0].response.status().code(), Code::kDeadlineExceeded);
  EXPECT_EQ(made[1].user, "waits");
  EXPECT_EQ(made[1].response.status().code(), Code::kDeadlineExceeded);
  ASSERT_TRUE(made[2].response.ok());
  EXPECT_EQ(made[2].response.value().items.size(), 3u);
  EXPECT_GT(made[2].response.value().stages.score_us, 0);
}

}  // namespace
}  // namespace heed::decide
