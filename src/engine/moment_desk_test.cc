#include "engine/moment_desk.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <deque>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "heed/engine.h"

#include "base/clock.h"
#include "engine/room_moments.h"
#include "event/json.h"
#include "state/state.h"

namespace heed::engine {
namespace {

constexpr int64_t kNow = 1'764'000'000'000;

media::Moment MomentAt(int64_t second, int64_t wall_ms, uint32_t epoch = 0) {
  media::Moment moment;
  moment.epoch = epoch;
  moment.second = second;
  moment.wall_ms = wall_ms;
  EXPECT_TRUE(moment.values.Set(media::Feature::kMotion, static_cast<double>(second)));
  EXPECT_TRUE(moment.values.Set(media::Feature::kSmileProxy, 0.5));
  moment.z.SetUnbounded(media::Feature::kSmileProxy, 2);
  return moment;
}

Embedding VectorAt(int64_t t_ms, std::vector<float> vector) {
  return {.t_ms = t_ms, .dur_ms = 1'000, .vector = std::move(vector)};
}

class RoomMomentsTest : public testing::Test {
 protected:
  TakenCounts Add(int64_t second, int64_t wall_ms, uint32_t epoch = 0, int64_t now_ms = kNow) {
    TakenCounts counts;
    room_.Add(MomentAt(second, wall_ms, epoch), now_ms, &counts);
    return counts;
  }
  std::vector<int64_t> Seconds() const {
    std::vector<int64_t> out;
    for (const KeptMoment& kept : room_.moments()) out.push_back(kept.moment.second);
    return out;
  }

  BroadcastOptions options_{.look_back_ms = 60'000, .embedding_bytes = 100};
  RoomMoments room_{options_};
};

TEST_F(RoomMomentsTest, EverySecondCountsOnceAndInOrder) {
  ASSERT_TRUE(room_.Begin("a", kNow).ok());
  EXPECT_EQ(Add(0, kNow - 3'000).taken, 1u);
  EXPECT_EQ(Add(1, kNow - 2'000).taken, 1u);
  EXPECT_EQ(Add(1, kNow - 2'000).duplicates, 1u);
  EXPECT_EQ(Add(0, kNow - 3'000).duplicates, 1u);
  EXPECT_EQ(Add(5, kNow - 1'000).taken, 1u) << "a gap is a gap";
  EXPECT_EQ(Add(3, kNow - 1'500).late, 1u) << "behind a later one";
  EXPECT_EQ(Add(0, kNow, /*epoch=*/1).taken, 1u) << "an epoch begins";
  EXPECT_EQ(Add(6, kNow, /*epoch=*/0).late, 1u) << "its predecessor is over";
  EXPECT_EQ(Seconds(), (std::vector<int64_t>{0, 1, 5, 0}));
  for (size_t i = 1; i < room_.moments().size(); ++i) {
    EXPECT_GT(room_.moments()[i].ts, room_.moments()[i - 1].ts);
  }
  EXPECT_EQ(room_.moments().back().ts, kNow);
}

TEST_F(RoomMomentsTest, ARecordingIsPlacedByItsArrivalEachMomentLaterThanTheOneBefore) {
  for (int64_t second = 0; second < 3; ++second) EXPECT_EQ(Add(second, 0).taken, 1u);
  EXPECT_EQ(room_.moments()[0].ts, kNow);
  EXPECT_EQ(room_.moments()[2].ts, kNow + 2);
}

TEST_F(RoomMomentsTest, TheLookBackPasses) {
  EXPECT_EQ(Add(0, kNow - 61'000).late, 1u);
  EXPECT_EQ(Add(1, kNow - 59'000).taken, 1u);
  EXPECT_EQ(Add(2, kNow).taken, 1u);
  EXPECT_EQ(Seconds(), (std::vector<int64_t>{1, 2}));
  room_.Trim(kNow + 2'000);
  EXPECT_EQ(Seconds(), (std::vector<int64_t>{2}));
}

TEST_F(RoomMomentsTest, AnotherFeedBeginsAnewOnceTheOneBeforeIsSilent) {
  ASSERT_TRUE(room_.Begin("a", kNow).ok());
  EXPECT_EQ(Add(100, kNow).taken, 1u);
  EXPECT_EQ(room_.Begin("b", kNow + 4'999).code(), Code::kConflict);
  ASSERT_TRUE(room_.Begin("a", kNow + 4'999).ok());
  EXPECT_EQ(room_.Begin("b", kNow + 9'998).code(), Code::kConflict);
  ASSERT_TRUE(room_.Begin("b", kNow + 10'000).ok());
  EXPECT_EQ(Add(0, kNow + 10'000, 0, kNow + 10'000).taken, 1u) << "its own zero";
  EXPECT_EQ(Seconds(), (std::vector<int64_t>{100, 0})) << "what was said stays";
}

TEST_F(RoomMomentsTest, WhatIsDroppedDoesNotComeBackBySendingItAgain) {
  EXPECT_EQ(Add(0, kNow).taken, 1u);
  ASSERT_TRUE(
      room_.AddEmbeddings("e", media::Modality::kPicture, 1, {VectorAt(kNow, {1})}, kNow).ok());
  room_.Restrict(decide::BroadcastUse::kOff);
  EXPECT_TRUE(room_.moments().empty());
  EXPECT_TRUE(room_.encoders().empty());
  EXPECT_EQ(Add(0, kNow).duplicates, 1u);
  EXPECT_EQ(Add(1, kNow).taken, 1u);
}

TEST(AudienceMeter, CountsWhatIsNew) {
  AudienceMeter meter;
  state::RoomView room;
  room.online = 50;
  room.series = {{.start_ts = 1'000, .exits = 7, .comments = 3, .product_clicks = 1}};
  EXPECT_FALSE(meter.Look(room, kNow)) << "since when?";
  room.series.back().exits = 9;
  room.series.push_back({.start_ts = 31'000, .exits = 1, .comments = 4});
  const auto seen = meter.Look(room, kNow + 2'000);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->viewers, 100);
  EXPECT_EQ(seen->counts, (std::array<float, model::kMomentOutcomes>{3, 4, 0}));
  EXPECT_EQ(meter.Look(room, kNow + 3'000)->counts,
            (std::array<float, model::kMomentOutcomes>{0, 0, 0}));
  room.series.back().comments = 5;
  EXPECT_FALSE(meter.Look(room, kNow + 60'000)) << "too long ago";
  room.online = 0;
  EXPECT_FALSE(meter.Look(room, kNow + 61'000)) << "nobody is there";
}

// Second by second as all at once, and nothing of one feed or epoch in the next.
TEST_F(RoomMomentsTest, ReadingsAreThoseOfTheModel) {
  const model::MomentAttentionConfig config{
      .modalities = {{.name = "picture", .features = {"vis.motion"}},
                     {.name = "face", .features = {"face.smile_proxy"}}},
      .look_back_s = 4};
  auto model = model::MomentAttention::Create(config, 3);
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  const MomentReader reader{
      .name = "m", .model = std::move(model).value(), .rows = train::MomentRows(config)};
  RoomMoments room(options_, &reader);
  ASSERT_TRUE(room.Begin("a", kNow).ok());
  std::vector<media::Moment> sent;
  for (int64_t second = 0; second < 12; ++second) {
    media::Moment moment = MomentAt(second % 6, kNow - 20'000 + second * 1'000, second < 6 ? 0 : 1);
    moment.z.SetUnbounded(media::Feature::kMotion, static_cast<double>(second * 5 % 7) - 3);
    if (second % 3 == 1) moment.z.Clear(media::Feature::kSmileProxy);
    sent.push_back(moment);
    TakenCounts counts;
    room.Add(moment, kNow, &counts);
    ASSERT_EQ(counts.taken, 1u);
  }
  ASSERT_EQ(room.moments().size(), 12u);
  for (size_t epoch = 0; epoch < 2; ++epoch) {
    const auto series = train::MomentSeriesOf(std::span(sent).subspan(epoch * 6, 6), config);
    ASSERT_TRUE(series.ok()) << series.status().ToString();
    model::MomentAnswer answer;
    reader.model->Answer(series.value(), &answer);
    for (size_t t = 0; t < 6; ++t) {
      const auto& reading = room.moments()[epoch * 6 + t].reading;
      ASSERT_TRUE(reading.has_value());
      for (size_t view = 0; view < model::kMomentViews; ++view) {
        for (size_t m = 0; m < 2; ++m) {
          EXPECT_NEAR(reading->modalities[m].weight[view], answer.views[view].weights.Row(t)[m],
                      1e-5f);
        }
        EXPECT_NEAR(reading->nothing[view], answer.views[view].weights.Row(t)[2], 1e-5f);
      }
    }
  }
}

TEST_F(RoomMomentsTest, ProxiesGoAndTheRestStays) {
  EXPECT_EQ(Add(0, kNow).taken, 1u);
  room_.Restrict(decide::BroadcastUse::kProxies);
  EXPECT_TRUE(room_.moments()[0].moment.values.Get(media::Feature::kSmileProxy));
  room_.Restrict(decide::BroadcastUse::kMeasures);
  EXPECT_FALSE(room_.moments()[0].moment.values.Get(media::Feature::kSmileProxy));
  EXPECT_FALSE(room_.moments()[0].moment.z.Get(media::Feature::kSmileProxy));
  EXPECT_TRUE(room_.moments()[0].moment.values.Get(media::Feature::kMotion));
}

TEST_F(RoomMomentsTest, VectorsAreKeptByTimeWithinTheirBytes) {
  const auto add = [&](const char* encoder, std::vector<Embedding> items) {
    const auto counts =
        room_.AddEmbeddings(encoder, media::Modality::kPicture, 5, std::move(items), kNow);
    EXPECT_TRUE(counts.ok()) << counts.status().ToString();
    return counts.value();
  };
  const std::vector<float> v = {1, 2, 3, 4, 5};  // 20 bytes: five fit
  EXPECT_EQ(add("a", {VectorAt(kNow - 2'000, v), VectorAt(kNow - 5'000, v)}).taken, 2u);
  EXPECT_EQ(add("a", {VectorAt(kNow - 5'000, v), VectorAt(kNow - 3'000, v)}).duplicates, 1u);
  EXPECT_EQ(add("a", {VectorAt(kNow - 62'000, v)}).late, 1u);
  const std::deque<Embedding>& items = room_.encoders().at("a").items;
  ASSERT_EQ(items.size(), 3u);
  for (size_t i = 1; i < items.size(); ++i) EXPECT_LT(items[i - 1].t_ms, items[i].t_ms);
  EXPECT_EQ(
      add("b", {VectorAt(kNow - 4'000, v), VectorAt(kNow, v), VectorAt(kNow + 1'000, v)}).taken,
      3u);
  EXPECT_EQ(items.size(), 2u) << "the oldest of all went";
  EXPECT_EQ(room_.encoders().at("b").items.size(), 3u);

  EXPECT_EQ(room_.EncodersAt(kNow + 1'000), (std::vector<std::string_view>{"b"}));
  EXPECT_EQ(room_.EncodersAt(kNow - 1'000), (std::vector<std::string_view>{"a"}));
  EXPECT_TRUE(room_.EncodersAt(kNow - 30'000).empty());
}

TEST_F(RoomMomentsTest, AnEncoderStaysWhatItBeganAs) {
  const std::vector<float> v = {1, 2};
  const auto field = [&](const std::string& encoder, media::Modality modality, size_t dim,
                         int64_t t_ms) {
    const auto counts = room_.AddEmbeddings(encoder, modality, dim, {VectorAt(t_ms, v)}, kNow);
    return counts.ok() ? "taken" : counts.status().field();
  };
  using media::Modality;
  EXPECT_EQ(field("e", Modality::kPicture, 2, kNow), "taken");
  EXPECT_EQ(field("e", Modality::kPicture, 3, kNow), "/dim");
  EXPECT_EQ(field("e", Modality::kVoice, 2, kNow), "/modality");
  EXPECT_EQ(field("e", Modality::kPicture, 2, kNow + 60'001), "/items/0/t_ms");
  EXPECT_EQ(field("e", Modality::kPicture, 2, kNow + 59'000), "taken");
  EXPECT_EQ(field("e", Modality::kPicture, 2, kNow - 120'001), "/items/0/t_ms");
  for (size_t i = 1; i < RoomMoments::kMaxEncoders; ++i) {
    EXPECT_EQ(field("e" + std::to_string(i), Modality::kFace, 2, kNow), "taken");
  }
  EXPECT_EQ(field("more", Modality::kFace, 2, kNow), "/encoder_id");
  room_.Trim(kNow + 59'500);
  EXPECT_EQ(room_.encoders().at("e3").items.size(), 1u);
  room_.Trim(kNow + 61'001);
  const auto later =
      room_.AddEmbeddings("more", Modality::kFace, 2, {VectorAt(kNow + 61'000, v)}, kNow + 62'000);
  EXPECT_TRUE(later.ok()) << "one of which nothing is left gave way: " << later.status().message();
}

class MomentDeskTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.directory = testing::TempDir() + "/heed_moment_desk_test";
    std::filesystem::remove_all(options_.directory);
    Reopen();
    now_ms_ = Clock::System().now_ms();
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
  MomentDesk& desk() { return *engine_->moments(); }
  Result<TakenCounts> Take(const std::string& room, std::vector<media::Moment> moments,
                           const std::string& tenant = "default") {
    return desk().Take(
        {.tenant = tenant, .room = room, .feed = "f", .moments = std::move(moments)});
  }
  void PutRoom(const std::string& document) {
    const std::vector<std::string> documents = {document};
    const auto put = engine_->PutCatalog(CatalogKind::kRooms, "default", documents);
    ASSERT_TRUE(put.ok() && put.value().stored == 1) << document;
  }
  size_t Held(const std::string& room, media::Feature feature = media::Feature::kMotion) {
    size_t held = 0;
    const Status looked = desk().Look("default", room, [&](const RoomMoments& moments) {
      for (const KeptMoment& kept : moments.moments())
        held += kept.moment.values.Get(feature).has_value();
    });
    return looked.ok() || looked.code() == Code::kNotFound ? held : 999;
  }

  EngineOptions options_;
  std::unique_ptr<Engine> engine_;
  int64_t now_ms_ = 0;
};

TEST_F(MomentDeskTest, TheRoomsDocumentDecidesAndIsObeyedAtOnce) {
  ASSERT_TRUE(Take("r", {MomentAt(0, now_ms_), MomentAt(1, now_ms_)}).ok());
  ASSERT_TRUE(Take("other", {MomentAt(0, now_ms_)}).ok());
  EXPECT_EQ(Held("r"), 2u);
  EXPECT_EQ(Held("r", media::Feature::kSmileProxy), 0u) << "off unless somebody says so";
  PutRoom(R"({"id":"r","broadcast":"proxies"})");
  ASSERT_TRUE(Take("r", {MomentAt(2, now_ms_)}).ok());
  EXPECT_EQ(Held("r", media::Feature::kSmileProxy), 1u);
  PutRoom(R"({"id":"r"})");
  EXPECT_EQ(Held("r", media::Feature::kSmileProxy), 0u) << "what was kept goes too";
  EXPECT_EQ(Held("r"), 3u);
  PutRoom(R"({"id":"r","broadcast":"off"})");
  EXPECT_EQ(Held("r"), 0u);
  EXPECT_EQ(Held("other"), 1u);
  EXPECT_EQ(Take("r", {MomentAt(3, now_ms_)}).status().code(), Code::kPermissionDenied);
  EmbeddingPost vectors{.tenant = "default", .room = "r", .encoder = "e", .dim = 1};
  vectors.items = {VectorAt(now_ms_, {1})};
  EXPECT_EQ(desk().TakeEmbeddings(vectors).status().code(), Code::kPermissionDenied);
  ASSERT_TRUE(engine_->DeleteCatalog(CatalogKind::kRooms, "default", "r").ok());
  EXPECT_TRUE(Take("r", {MomentAt(4, now_ms_)}).ok());
  PutRoom(R"({"id":"r","broadcast":"off"})");
  Reopen();
  EXPECT_EQ(Take("r", {MomentAt(5, now_ms_)}).status().code(), Code::kPermissionDenied)
      << "kept over a restart";
}

TEST_F(MomentDeskTest, ARequestIsTakenWholeOrNotAtAll) {
  const auto refused = [&](media::Moment bad) {
    const auto taken = Take("r", {MomentAt(0, now_ms_), std::move(bad)});
    EXPECT_EQ(taken.status().code(), Code::kInvalidArgument);
    EXPECT_NE(taken.status().message().find("record 1"), std::string::npos);
    return taken.status().field();
  };
  EXPECT_EQ(refused(MomentAt(1, now_ms_ + 3'600'000)), "/1/wall_ms");
  EXPECT_EQ(refused(MomentAt(1, now_ms_ / 1'000)), "/1/wall_ms") << "seconds for milliseconds";
  media::Moment elsewhere = MomentAt(1, now_ms_);
  elsewhere.room = "elsewhere";
  EXPECT_EQ(refused(elsewhere), "/1/room");
  EXPECT_EQ(Held("r"), 0u);
}

TEST_F(MomentDeskTest, RoomsAreBoundedAndForgotten) {
  options_.broadcast.max_rooms = 2;
  Reopen();
  for (const char* room : {"a", "b", "c"}) {
    ASSERT_TRUE(Take(room, {MomentAt(0, now_ms_)}).ok());
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(Held("a"), 0u) << "silent longest";
  EXPECT_EQ(desk().Stats().rooms, 2u);
  ASSERT_TRUE(Take("c", {MomentAt(0, now_ms_)}, "tenant").ok());
  EXPECT_EQ(Held("c"), 1u) << "another tenant's room of the same name";
  desk().Forget("default", "c");
  EXPECT_EQ(Held("c"), 0u);
  EXPECT_EQ(desk().Stats().moments, 1u);
}

// What the log has of the attention of rooms; waits for what is under way.
class AttentionSampleTest : public MomentDeskTest {
 protected:
  void SetUp() override {
    MomentDeskTest::SetUp();
    const auto model = model::MomentAttention::Create(
        {.modalities = {{.name = "picture", .features = {"vis.motion", "vis.brightness"}},
                        {.name = "voice", .features = {"audio.lufs_s"}}},
         .look_back_s = 5},
        1);
    ASSERT_TRUE(model.ok()) << model.status().ToString();
    options_.broadcast.model = options_.directory + "/show.heed";
    ASSERT_TRUE(model.value()->Save(options_.broadcast.model).ok());
    Reopen();
  }
  // That a room is on air; as events are kept in order, also that all before it are there.
  void Say(const std::string& room, event::Data data) {
    event::Event event{.id = "e" + std::to_string(++said_), .ts = now_ms_, .tenant = "default"};
    event.room = room;
    event.session = room + "-s";
    event.data = std::move(data);
    const std::vector<event::Event> events = {event};
    ASSERT_TRUE(engine_->Record(events).ok());
  }
  std::vector<event::Event> Samples() {
    Say("elsewhere", event::HostScene{.scene = "x"});
    std::vector<event::Event> samples;
    const auto visit = [&](uint64_t sequence, const event::Event& event) -> Status {
      replayed_.Apply(sequence, event);
      if (std::holds_alternative<event::AttentionSample>(event.data)) samples.push_back(event);
      return {};
    };
    const Status read = engine_->ReadEvents(1, visit);
    EXPECT_TRUE(read.ok()) << read.ToString();
    return samples;
  }
  std::vector<media::Moment> Second(int64_t second) const {
    media::Moment moment = MomentAt(second, now_ms_ - 10'000 + second * 1'000);
    moment.z.SetUnbounded(media::Feature::kMotion, static_cast<double>(second) - 1);
    return {moment};
  }

  state::State replayed_;
  int said_ = 0;
};

TEST_F(AttentionSampleTest, WhatIsReadIsAnEventOfARoomOnAir) {
  ASSERT_TRUE(Take("r", Second(0)).ok());
  EXPECT_TRUE(Samples().empty()) << "no broadcast that state knows";
  Say("r", event::StreamStart{.title = "t", .host_id = "h"});
  for (int64_t second = 1; second < 4; ++second) ASSERT_TRUE(Take("r", Second(second)).ok());
  ASSERT_TRUE(Take("r", Second(3)).ok()) << "again";
  media::Moment unseen = Second(9)[0];
  unseen.z = {};
  ASSERT_TRUE(Take("r", {unseen}).ok()) << "the seconds it could rest on have passed";
  const std::vector<event::Event> samples = Samples();
  ASSERT_EQ(samples.size(), 3u);
  event::JsonReader reader;
  for (size_t i = 0; i < samples.size(); ++i) {
    const event::Event& event = samples[i];
    const auto read = reader.ReadOne(event::ToJson(event));
    ASSERT_TRUE(read.ok()) << read.status().ToString();
    EXPECT_EQ(read.value(), event) << "it is an event of the schema";
    EXPECT_EQ(event.ts, now_ms_ - 9'000 + static_cast<int64_t>(i) * 1'000);
    EXPECT_EQ(event.session, "r-s");
    const auto& sample = std::get<event::AttentionSample>(event.data);
    EXPECT_EQ(sample.model, "show");
    EXPECT_EQ(sample.window_s, 60);
    EXPECT_DOUBLE_EQ(sample.coverage.value(), 1.0 / 3) << "motion, of three features";
    const Status looked = desk().Look("default", "r", [&](const RoomMoments& moments) {
      const model::MomentReading& reading = *moments.moments()[i + 1].reading;
      EXPECT_EQ(sample.a, reading.stay);
      EXPECT_EQ(event::NumberOf(*sample.components, "highlight"), reading.highlight);
      EXPECT_EQ(event::NumberOf(*sample.components, "click_lift"), reading.lift[1][2]);
    });
    EXPECT_TRUE(looked.ok());
  }
  const auto& newest = std::get<event::AttentionSample>(samples.back().data);
  const state::RoomView room =
      replayed_.ReadRoom(replayed_.Find(state::Kind::kRoom, "default", "r"));
  EXPECT_EQ(room.attention.ts, samples.back().ts);
  EXPECT_EQ(room.attention.attention, newest.a);
  EXPECT_EQ(room.attention.click_lift, event::NumberOf(*newest.components, "click_lift"));
  EXPECT_EQ(desk().Stats().samples, 3u);
  EXPECT_EQ(desk().Stats().lost_samples, 0u);
}

TEST_F(AttentionSampleTest, SentAgainAfterARestartItIsKeptOnce) {
  Say("r", event::StreamStart{.title = "t", .host_id = "h"});
  for (int64_t second = 0; second < 3; ++second) ASSERT_TRUE(Take("r", Second(second)).ok());
  const std::vector<event::Event> before = Samples();
  ASSERT_EQ(before.size(), 3u);
  Reopen();
  for (int64_t second = 0; second < 3; ++second) ASSERT_TRUE(Take("r", Second(second)).ok());
  EXPECT_EQ(Samples(), before);
  EXPECT_EQ(engine_->SerializeState(), replayed_.Serialize());
}

TEST_F(AttentionSampleTest, WhatTheLogCouldNotReadBackIsNotWritten) {
  const auto model = model::MomentAttention::Create(
      {.modalities = {{.name = "\xff", .features = {"vis.motion"}}}}, 1);
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  ASSERT_TRUE(model.value()->Save(options_.broadcast.model).ok());
  Reopen();
  Say("r", event::StreamStart{.title = "t", .host_id = "h"});
  ASSERT_TRUE(Take("r", Second(0)).ok());
  EXPECT_TRUE(Samples().empty());
  EXPECT_EQ(desk().Stats().lost_samples, 1u);
  Reopen();
}

TEST_F(AttentionSampleTest, ItMayBeOnlyShown) {
  options_.broadcast.record_attention = false;
  Reopen();
  Say("r", event::StreamStart{.title = "t", .host_id = "h"});
  ASSERT_TRUE(Take("r", Second(0)).ok());
  EXPECT_TRUE(Samples().empty());
  EXPECT_EQ(Held("r"), 1u);
}

TEST_F(MomentDeskTest, TheSettingIsChecked) {
  engine_.reset();
  options_.broadcast.rooms = "on";
  const auto opened = Engine::Open(options_);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.status().field(), "broadcast.rooms");
  options_.broadcast.rooms = "off";
  Reopen();
  EXPECT_EQ(Take("r", {MomentAt(0, now_ms_)}).status().code(), Code::kPermissionDenied);
  PutRoom(R"({"id":"r","broadcast":"measures"})");
  EXPECT_TRUE(Take("r", {MomentAt(0, now_ms_)}).ok()) << "the document wins over the setting";
}

}  // namespace
}  // namespace heed::engine
