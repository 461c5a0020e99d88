#include "train/attribution.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/random.h"
#include "train/log_examples.h"

namespace heed::train {
namespace {

constexpr int64_t kStart = 1'764'000'000'000;

class Recorder final : public FeedbackSink {
 public:
  bool Accepts(LiveRanker) override { return accepts; }
  std::shared_ptr<const model::Batch> Served(LiveRanker, const event::Event& shown) override {
    const auto* room = std::get_if<event::RoomImpression>(&shown.data);
    return room != nullptr && room->request_id == "known" ? served : nullptr;
  }
  void Add(Feedback feedback) override { all.push_back(std::move(feedback)); }

  // Of one kind, "example.tasks" each.
  std::string Of(Feedback::Kind kind) const {
    std::string out;
    for (const Feedback& one : all) {
      if (one.kind != kind) continue;
      out += std::to_string(one.example) + "." + std::to_string(one.tasks) + " ";
    }
    return out;
  }

  bool accepts = true;
  std::shared_ptr<const model::Batch> served;
  std::vector<Feedback> all;
};

class AttributionTest : public testing::Test {
 protected:
  AttributionTest() {
    Add(0, "host", event::StreamStart{.title = "t", .host_id = "host"}, event::ActorKind::kHost);
    Add(0, "op", event::ProductBind{.product_id = "p", .price_cents = 100, .on = true},
        event::ActorKind::kOperator);
  }
  // Returns the event's sequence.
  uint64_t Add(int64_t second, std::string actor, event::Data data,
               event::ActorKind kind = event::ActorKind::kViewer) {
    store::LogRecord record;
    record.sequence = ++sequence_;
    record.event.ts = kStart + second * 1000;
    record.event.tenant = "t";
    record.event.room = "room";
    record.event.session = "s";
    record.event.src = {.platform = "demo", .adapter = "a"};
    record.event.actor = event::Actor{.id = std::move(actor), .kind = kind};
    record.event.data = std::move(data);
    attribution_.Apply(record, state_, &sink_);
    state_.Apply(record.sequence, record.event);
    return record.sequence;
  }

  state::State state_;
  Attribution attribution_;
  Recorder sink_;
  uint64_t sequence_ = 0;
};

using Kind = Feedback::Kind;
const event::RoomImpression kShown{.channel = "feed"};
const event::ViewerEnter kEntry{.channel = "feed"};

TEST_F(AttributionTest, SaysWhatHappensWhenItHappens) {
  const std::string id = std::to_string(Add(10, "u", kShown));
  Add(12, "u", kEntry);
  EXPECT_EQ(sink_.Of(Kind::kPositive), id + ".1 ");
  Add(20, "u", event::Like{.count = 1});
  EXPECT_EQ(sink_.Of(Kind::kPositive), id + ".1 " + id + ".4 ");
  Add(30, "u", event::ViewerLeave{.watch_ms = 18'000});
  EXPECT_EQ(sink_.Of(Kind::kClosed), id + ".6 ");  // no stay, no engagement; an order may follow
  Add(40, "u", event::Like{.count = 1});           // of another visit
  Add(50, "u", event::OrderCreate{.order_id = "o"});
  EXPECT_EQ(sink_.Of(Kind::kPositive), id + ".1 " + id + ".4 " + id + ".8 ");
  ASSERT_EQ(sink_.all.front().kind, Kind::kShown);
  EXPECT_EQ(sink_.all.front().ts, kStart + 10'000);
  EXPECT_NE(sink_.all.front().viewer, 0u);
  EXPECT_EQ(sink_.all.front().features->candidates, 1u);
}

TEST_F(AttributionTest, AMinuteInsideIsAStayWithoutAnyReport) {
  const std::string id = std::to_string(Add(10, "u", kShown));
  Add(12, "u", kEntry);
  Add(71, "x", event::ViewerHeartbeat{.watch_ms = 1});
  EXPECT_EQ(sink_.Of(Kind::kPositive), id + ".1 ");
  Add(72, "x", event::ViewerHeartbeat{.watch_ms = 1});
  EXPECT_EQ(sink_.Of(Kind::kPositive), id + ".1 " + id + ".2 ");
  EXPECT_EQ(sink_.all.back().ts, kStart + 72'000);
}

TEST_F(AttributionTest, LeavingAnotherVisitClosesNothing) {
  Add(10, "u", kShown);  // from inside the room
  Add(11, "u", event::ViewerLeave{.watch_ms = 5'000});
  EXPECT_EQ(sink_.Of(Kind::kClosed), "");
  Add(20, "u", kEntry);
  Add(30, "u", event::Like{.count = 1});
  EXPECT_EQ(sink_.Of(Kind::kPositive).size(), 2u * 4);
}

TEST_F(AttributionTest, AFullQueueSkipsTheWholeExample) {
  sink_.accepts = false;
  Add(10, "u", kShown);
  sink_.accepts = true;
  Add(12, "u", kEntry);
  EXPECT_TRUE(sink_.all.empty());
  EXPECT_EQ(attribution_.counts().skipped, 1u);
  EXPECT_EQ(attribution_.open(), 0u);
}

TEST_F(AttributionTest, ServedFeaturesAreTakenAsTheyWere) {
  sink_.served = std::make_shared<model::Batch>();
  Add(10, "u", event::RoomImpression{.channel = "feed", .request_id = "known"});
  Add(10, "v", event::RoomImpression{.channel = "feed", .request_id = "forgotten"});
  ASSERT_EQ(sink_.all.size(), 2u);
  EXPECT_EQ(sink_.all[0].features, sink_.served);
  EXPECT_NE(sink_.all[1].features, sink_.served);
  EXPECT_EQ(sink_.all[1].features->candidates, 1u);
  EXPECT_EQ(attribution_.counts().served, 1u);
}

TEST_F(AttributionTest, OldImpressionsAreForgotten) {
  for (int i = 0; i < 100; ++i) Add(10 + i, "u" + std::to_string(i), kShown);
  EXPECT_EQ(attribution_.open(), 100u);
  Add(10 + 50 + 40 * 60, "x", event::ViewerHeartbeat{.watch_ms = 1});
  EXPECT_EQ(attribution_.open(), 50u);
  Add(10 + 200 + 40 * 60, "x", event::ViewerHeartbeat{.watch_ms = 1});
  EXPECT_EQ(attribution_.open(), 0u);
}

// One rule: whatever events come, the labels of the batch examples are what the feedback said.
TEST(Attribution, AgreesWithTheBatchExamples) {
  Random random(3);
  LogExamples examples(100'000);
  state::State state;
  Attribution attribution;
  Recorder sink;
  const auto pick = [&](const char* name, uint64_t n) {
    return name + std::to_string(random.Below(n));
  };
  store::LogRecord record;
  record.event.tenant = "t";
  record.event.session = "s";
  record.event.ts = kStart;
  const auto apply = [&](event::ActorKind kind, std::string actor, event::Data data) {
    ++record.sequence;
    record.event.actor = event::Actor{.id = std::move(actor), .kind = kind};
    record.event.data = std::move(data);
    examples.Apply(record);
    attribution.Apply(record, state, &sink);
    state.Apply(record.sequence, record.event);
  };
  for (int room = 0; room < 3; ++room) {
    record.event.room = "r" + std::to_string(room);
    const std::string host = "h" + std::to_string(room);
    apply(event::ActorKind::kHost, host, event::StreamStart{.title = "t", .host_id = host});
    apply(
        event::ActorKind::kOperator, "op",
        event::ProductBind{.product_id = "p" + std::to_string(room), .price_cents = 9, .on = true});
  }
  for (int i = 0; i < 20'000; ++i) {
    record.event.ts += static_cast<int64_t>(random.Below(3'000));
    record.event.room = pick("r", 3);
    const std::string user = pick("u", 40), product = pick("p", 3);
    const event::Data data[] = {
        kShown,
        kShown,
        kEntry,
        kEntry,
        event::ViewerLeave{.watch_ms = 50'000},
        event::ViewerHeartbeat{.watch_ms = 61'000},
        event::Like{.count = 1},
        event::ProductImpression{.product_id = product},
        event::ProductImpression{.product_id = product},
        event::ProductClick{.product_id = product},
        event::CartAdd{.product_id = product, .qty = 1},
        event::OrderCreate{
            .order_id = "o",
            .lines = {{.product_id = product,
                       .qty = 1,
                       .amount_cents = static_cast<int64_t>(random.Below(3) * 100)}}}};
    apply(event::ActorKind::kViewer, user, data[random.Below(std::size(data))]);
  }
  examples.Finish();

  std::map<std::pair<LiveRanker, uint64_t>, uint64_t> positive;
  std::map<uint64_t, float> worth;  // the first of a product's example
  for (const Feedback& one : sink.all) {
    if (one.kind == Kind::kShown) positive[{one.ranker, one.example}] = 0;
    if (one.kind == Kind::kPositive) positive.at({one.ranker, one.example}) |= one.tasks;
    if (one.worth > 0) worth.emplace(one.example, one.worth);
  }
  uint64_t compared = 0, ones = 0, amounts = 0;
  uint32_t hosts = 0, products = 0;
  for (const auto& [which, tasks] : positive) {
    const bool host = which.first == LiveRanker::kHosts;
    const ExamplePool& pool = host ? examples.hosts() : examples.products();
    const uint32_t row = host ? hosts++ : products++;
    for (size_t task = 0; task < pool.schema().tasks.size(); ++task) {
      const float label = pool.label(row, task);
      if (std::isnan(label)) continue;  // its window was open at the end, or nothing was paid
      if (pool.schema().tasks[task].kind == model::TaskKind::kValue) {
        ASSERT_EQ(label, worth.at(which.second));
        ++amounts;
        continue;
      }
      ASSERT_EQ(label, static_cast<float>(tasks >> task & 1)) << which.second << " task " << task;
      ++compared, ones += label > 0 ? 1 : 0;
    }
  }
  EXPECT_EQ(hosts, examples.hosts().size());
  EXPECT_EQ(products, examples.products().size());
  EXPECT_GT(compared, 3'000u);
  EXPECT_GT(ones, 500u);
  EXPECT_GT(amounts, 50u);
  EXPECT_LT(ones, compared);
}

}  // namespace
}  // namespace heed::train
