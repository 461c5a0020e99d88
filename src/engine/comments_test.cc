// Comments through a whole engine: from recorded events to what operators see.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "heed/engine.h"

#include "base/clock.h"
#include "engine/room_desk.h"
#include "event/event.h"
#include "event/json.h"

namespace heed::engine {
namespace {

class CommentsTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.directory = testing::TempDir() + "/heed_comments_test";
    std::filesystem::remove_all(options_.directory);
    options_.text.on = true;
    start_ts_ = Clock::System().now_ms() - 60'000;
    Reopen();
  }
  void TearDown() override {
    engine_.reset();
    std::filesystem::remove_all(options_.directory);
  }
  void Reopen() {
    engine_.reset();
    Result<std::unique_ptr<Engine>> engine = Engine::Open(options_);
    ASSERT_TRUE(engine.ok()) << engine.status().ToString();
    engine_ = std::move(engine).value();
  }
  RoomDesk& desk() { return *engine_->desk(); }

  // A second later than the one before.
  uint64_t Record(const std::string& room, const std::string& who, event::ActorKind kind,
                  event::Data data, const std::string& session = "s1") {
    event::Event event;
    event.id = "e" + std::to_string(++number_);
    event.ts = start_ts_ + 1'000 * number_;
    event.tenant = "default";
    event.room = room;
    event.session = session;
    event.src = {.platform = "test", .adapter = "test"};
    event.actor = event::Actor{.id = who, .kind = kind};
    event.data = std::move(data);
    std::vector<event::Event> events;
    events.push_back(std::move(event));
    const Result<RecordResult> recorded = engine_->Record(std::move(events));
    EXPECT_TRUE(recorded.ok() && recorded.value().events[0]) << recorded.status().ToString();
    return recorded.value().events[0]->sequence;
  }
  void Start(const std::string& session = "s1") {
    Record("r", "h", event::ActorKind::kHost, event::StreamStart{.title = "t", .host_id = "h"},
           session);
  }
  void Bind(const std::string& id, const std::string& title, int64_t price_cents, int64_t stock) {
    Record("r", "h", event::ActorKind::kHost,
           event::ProductBind{.product_id = id,
                              .title = title,
                              .price_cents = price_cents,
                              .stock = stock,
                              .on = true});
  }
  uint64_t Say(const std::string& who, const std::string& text, const std::string& session = "s1",
               const std::string& room = "r") {
    return Record(room, who, event::ActorKind::kViewer, event::CommentPost{.text = text}, session);
  }
  void Read(uint64_t sequence) { ASSERT_TRUE(desk().reader().WaitFor(sequence, 10'000)); }
  std::vector<RoomQuestion> Questions(const std::string& room = "r") {
    Result<RoomQuestions> questions = desk().Questions("default", room, 50);
    EXPECT_TRUE(questions.ok()) << questions.status().ToString();
    return questions.ok() ? questions.value().questions : std::vector<RoomQuestion>();
  }
  TranscriptPost Speech(int64_t begin_ms, const std::string& text, bool final = true) {
    TranscriptPost post;
    post.tenant = "default";
    post.room = "r";
    post.segments.push_back({begin_ms, begin_ms + 2'000, text, "", final});
    return post;
  }
  std::vector<event::ComplianceHit> StoredHits() {
    std::vector<event::ComplianceHit> hits;
    EXPECT_TRUE(engine_
                    ->ReadEvents(1,
                                 [&](uint64_t, const event::Event& event) -> Status {
                                   const auto* hit = std::get_if<event::ComplianceHit>(&event.data);
                                   if (hit != nullptr) hits.push_back(*hit);
                                   return {};
                                 })
                    .ok());
    return hits;
  }
  static bool Soon(const std::function<bool()>& is_true) {
    for (int tries = 0; tries < 1'000; ++tries) {
      if (is_true()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  EngineOptions options_;
  std::unique_ptr<Engine> engine_;
  int64_t start_ts_ = 0;
  int64_t number_ = 0;
};

TEST_F(CommentsTest, WithoutAnyFileTextsAreRead) {
  const JudgedText size = desk().Judge("165 120斤穿什么码", {});
  EXPECT_EQ(size.analysis.intent.name, "size");
  EXPECT_GE(size.analysis.asks, text::Analyzer::kAsks);
  EXPECT_FALSE(size.analysis.intent.reasons.empty());
  EXPECT_TRUE(size.hits.empty());
  const JudgedText best = desk().Judge("这是全网最低价", {});
  ASSERT_FALSE(best.hits.empty());
  EXPECT_FALSE(best.hits[0].version.empty());
  options_.text.on = false;
  Reopen();
  EXPECT_EQ(engine_->desk(), nullptr);
}

TEST_F(CommentsTest, QuestionsComeWithTheFactsThatAnswerThem) {
  Start();
  Bind("cup", "不锈钢保温杯", 9'900, 12);
  Bind("dress", "法式连衣裙", 19'900, 0);
  const std::string document =
      R"({"id":"dress","title":"x","attributes":{"sizes":"S-XL","weight":"80-130斤"}})";
  ASSERT_TRUE(engine_->PutCatalog(CatalogKind::kProducts, "default", {&document, 1}).ok());
  Record("r", "h", event::ActorKind::kHost, event::ProductExplainStart{.product_id = "dress"});
  const uint64_t first = Say("u1", "这个120斤穿什么码");
  Say("u2", "体重120斤穿多大码");
  Say("u2", "那个保温杯多少钱");
  Say("u3", "主播好漂亮");
  Record("r", "u2", event::ActorKind::kViewer, event::ProductClick{.product_id = "dress"});
  Read(Record("r", "u2", event::ActorKind::kViewer,
              event::CartAdd{.product_id = "dress", .qty = 1}));
  const std::vector<RoomQuestion> questions = Questions();
  ASSERT_EQ(questions.size(), 2u);
  EXPECT_EQ(questions[0].cluster.id, first);
  EXPECT_EQ(questions[0].cluster.viewers, 2u);
  EXPECT_EQ(questions[0].cluster.buying, 1u);
  EXPECT_EQ(questions[0].cluster.clicked, 1u);
  EXPECT_EQ(questions[0].cluster.carted, 1u);
  ASSERT_TRUE(questions[0].product.has_value());
  EXPECT_EQ(questions[0].product->facts.id, "dress");  // being shown
  EXPECT_FALSE(questions[0].product->named);
  EXPECT_EQ(questions[0].product->facts.stock, 0);
  EXPECT_NE(questions[0].product->document.find("80-130斤"), std::string::npos);
  ASSERT_TRUE(questions[1].product.has_value());
  EXPECT_EQ(questions[1].product->facts.id, "cup");  // named
  EXPECT_TRUE(questions[1].product->named);
  EXPECT_EQ(questions[1].product->facts.price_cents, 9'900);

  const Result<RoomCommentView> view = desk().Comments("default", "r", 10);
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view.value().now.comments, 4u);
  EXPECT_EQ(view.value().now.viewers, 3u);
  EXPECT_EQ(view.value().session, "s1");
  EXPECT_EQ(desk().Comments("default", "nobody", 10).status().code(), Code::kNotFound);
  EXPECT_EQ(desk().Questions("other", "r", 10).status().code(), Code::kNotFound);
}

TEST_F(CommentsTest, AnswersAndQuestionsOutliveTheProcess) {
  Start();
  const uint64_t price = Say("u1", "多少钱");
  Say("u2", "价格多少");
  const uint64_t ship = Say("u3", "新疆包邮吗");
  Read(ship);
  EXPECT_EQ(Questions()[0].cluster.id, price);
  ASSERT_TRUE(desk().MarkAnswered("default", "r", price, "anna").ok());
  EXPECT_EQ(Questions()[0].cluster.id, ship);
  EXPECT_EQ(desk().MarkAnswered("default", "r", 999, "").code(), Code::kNotFound);
  EXPECT_EQ(desk().MarkAnswered("default", "x", price, "").code(), Code::kNotFound);
  const std::vector<RoomQuestion> before = Questions();
  const uint64_t last = engine_->Stats().last_sequence;
  Reopen();
  Read(last);
  const std::vector<RoomQuestion> after = Questions();
  ASSERT_EQ(after.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(after[i].cluster.id, before[i].cluster.id);
    EXPECT_EQ(after[i].cluster.viewers, before[i].cluster.viewers);
    EXPECT_EQ(after[i].cluster.waiting, before[i].cluster.waiting);
    EXPECT_EQ(after[i].cluster.answered_ms, before[i].cluster.answered_ms);
  }
}

TEST_F(CommentsTest, TheHostsWordsAnswerAndAreKept) {
  Start();
  Read(Say("u1", "这个多少钱"));
  const Result<TranscriptAnswer> partial =
      desk().AddTranscript(Speech(5'000, "价格是多少呢", /*final=*/false));
  ASSERT_TRUE(partial.ok()) << partial.status().ToString();
  EXPECT_EQ(partial.value().partial, 1u);
  EXPECT_EQ(Questions()[0].cluster.waiting, 1u);
  EXPECT_TRUE(desk().Comments("default", "r", 0).value().saying.has_value());
  const Result<TranscriptAnswer> said =
      desk().AddTranscript(Speech(5'000, "这个价格多少钱呢九十九"));
  ASSERT_TRUE(said.ok()) << said.status().ToString();
  EXPECT_EQ(said.value().stored, 1u);
  EXPECT_EQ(Questions()[0].cluster.waiting, 0u);
  EXPECT_EQ(desk().AddTranscript(Speech(5'000, "这个价格多少钱呢九十九")).value().duplicates, 1u);
  EXPECT_EQ(desk().Comments("default", "r", 0).value().said.size(), 1u);

  TranscriptPost post = Speech(0, "");
  EXPECT_EQ(desk().AddTranscript(post).status().field(), "/segments/0/text");
  post = Speech(8'000'000, "以后");
  EXPECT_EQ(desk().AddTranscript(post).status().field(), "/segments/0/end_ms");
  post = Speech(0, "好");
  post.segments[0].end_ms = -1;
  EXPECT_EQ(desk().AddTranscript(post).status().field(), "/segments/0/end_ms");
  post.room = "unknown";
  EXPECT_EQ(desk().AddTranscript(post).status().field(), "/session");
  post.session = "s";
  EXPECT_EQ(desk().AddTranscript(post).status().field(), "/started_ts");
}

TEST_F(CommentsTest, WhatMustNotBeSaidIsKeptOnceWithItsPackAndPlace) {
  Start();
  ASSERT_TRUE(desk().AddTranscript(Speech(1'000, "咱家这个就是全网最低价")).ok());
  Read(Say("u1", "全网最低价"));  // a viewer's: seen, not kept
  ASSERT_TRUE(Soon([&] { return !StoredHits().empty(); }));
  const event::ComplianceHit hit = StoredHits()[0];
  EXPECT_EQ(hit.source, event::HitSource::kHost);
  EXPECT_FALSE(hit.pack_version->empty());
  EXPECT_NE(hit.extra.text.find("\"begin\":"), std::string::npos);
  const std::vector<RoomLint> seen = desk().Comments("default", "r", 0).value().hits;
  ASSERT_GE(seen.size(), 2u);
  EXPECT_EQ(seen.front().source, "viewer");
  EXPECT_EQ(seen.back().source, "host");
  const size_t kept = StoredHits().size();
  const uint64_t last = engine_->Stats().last_sequence;
  Reopen();
  Read(3);  // the viewer's comment
  EXPECT_TRUE(Soon([&] { return desk().Stats().hits >= seen.size(); }));
  EXPECT_EQ(StoredHits().size(), kept);
  EXPECT_EQ(engine_->Stats().last_sequence, last);
}

TEST_F(CommentsTest, ChangedPacksAreReadWithoutARestart) {
  const std::string folder = testing::TempDir() + "/heed_packs";
  std::filesystem::create_directories(folder);
  const auto write = [&](const std::string& version, const std::string& term) {
    std::ofstream(folder + "/p.toml")
        << "name = \"p\"\nversion = \"" << version
        << "\"\neffective_from = \"2020-01-01\"\n[[rule]]\nid = \"a\"\nterms = [\"" << term
        << "\"]\n";
  };
  write("1", "甲等");
  options_.text.packs = folder;
  Reopen();
  const auto version = [&](const std::string& words) {
    const std::vector<text::LintHit> hits = desk().Judge(words, {}).hits;
    return hits.empty() ? "" : hits[0].version;
  };
  EXPECT_EQ(version("甲等"), "1");
  write("22", "乙等好");
  EXPECT_TRUE(Soon([&] { return version("乙等好") == "22"; }));
  std::ofstream(folder + "/p.toml") << "name = ";  // broken: the last good ones stay
  std::this_thread::sleep_for(std::chrono::milliseconds(1'200));
  EXPECT_EQ(version("乙等好"), "22");
  engine_.reset();
  std::filesystem::remove_all(folder);
  options_.text.packs = folder;
  EXPECT_EQ(Engine::Open(options_).status().code(), Code::kNotFound);
  options_.text.packs.clear();
  options_.text.intent_model = "/nonexistent";
  const Status status = Engine::Open(options_).status();
  EXPECT_NE(status.message().find("/nonexistent"), std::string::npos) << status.ToString();
}

TEST_F(CommentsTest, ANewBroadcastBeginsAnewAndALateOrderDoesNotEndIt) {
  Start("s1");
  Read(Say("u1", "多少钱", "s1"));
  Start("s2");
  Read(Say("u2", "包邮吗", "s2"));
  Read(Record("r", "u1", event::ActorKind::kViewer,
              event::OrderPay{.order_id = "o", .amount_cents = 100}, "s1"));
  const std::vector<RoomQuestion> questions = Questions();
  ASSERT_EQ(questions.size(), 1u);
  EXPECT_EQ(questions[0].cluster.text, "包邮吗");
}

TEST_F(CommentsTest, RoomsAreBoundedTheOneSilentLongestGoes) {
  options_.text.max_rooms = 3;
  Reopen();
  uint64_t last = 0;
  for (int i = 0; i < 10; ++i) {
    last = Say("u", "多少钱", "s", "r" + std::to_string(i));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  Read(last);
  EXPECT_EQ(desk().Stats().rooms, 3u);
  EXPECT_EQ(Questions("r9").size(), 1u);
  EXPECT_TRUE(Questions("r0").empty());
  EXPECT_EQ(desk().Stats().comments, 10u);
}

TEST_F(CommentsTest, ManyWritersLoseNothing) {
  Start();
  std::vector<std::thread> writers;
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < 50; ++i) {
        event::Event event;
        event.id = "w" + std::to_string(w) + "-" + std::to_string(i);
        event.ts = Clock::System().now_ms();
        event.tenant = "default";
        event.room = "r";
        event.session = "s1";
        event.src = {.platform = "test", .adapter = "test"};
        event.actor =
            event::Actor{.id = "v" + std::to_string(i), .kind = event::ActorKind::kViewer};
        event.data = event::CommentPost{.text = i % 2 == 0 ? "多少钱" : "主播好漂亮"};
        std::vector<event::Event> events;
        events.push_back(std::move(event));
        EXPECT_TRUE(engine_->Record(std::move(events)).ok());
        EXPECT_TRUE(desk().Questions("default", "r", 10).ok());
        EXPECT_TRUE(desk().Comments("default", "r", 10).ok());
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  Read(engine_->Stats().last_sequence);
  EXPECT_EQ(desk().Stats().comments, 200u);
  EXPECT_EQ(desk().Stats().skipped, 0u);
  EXPECT_EQ(Questions()[0].cluster.comments, 100u);
  EXPECT_EQ(Questions()[0].cluster.viewers, 25u);
}

}  // namespace
}  // namespace heed::engine
