#include "train/log_examples.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace heed::train {
namespace {

constexpr int64_t kStart = 1'764'000'000'000;
enum HostTask : size_t { kEnter, kStay, kEngage, kOrder };

class LogExamplesTest : public testing::Test {
 protected:
  LogExamplesTest() {
    Add(0, "host", event::StreamStart{.title = "t", .category = "c", .host_id = "host"},
        event::ActorKind::kHost);
    Add(1, "op", event::ProductBind{.product_id = "p", .price_cents = 100, .on = true},
        event::ActorKind::kOperator);
  }
  void Add(int64_t second, std::string actor, event::Data data,
           event::ActorKind kind = event::ActorKind::kViewer) {
    store::LogRecord record;
    record.sequence = ++sequence_;
    record.event.id = "e" + std::to_string(sequence_);
    record.event.ts = kStart + second * 1000;
    record.event.tenant = "t";
    record.event.room = "room";
    record.event.session = "s";
    record.event.actor = event::Actor{.id = std::move(actor), .kind = kind};
    record.event.data = std::move(data);
    examples_.Apply(record);
  }
  void Show(int64_t second, std::string user) {
    Add(second, std::move(user), event::RoomImpression{.channel = "feed"});
  }
  std::vector<float> Labels(uint32_t sample) const {
    std::vector<float> labels;
    for (size_t t = 0; t < 4; ++t) labels.push_back(examples_.hosts().label(sample, t));
    return labels;
  }

  LogExamples examples_{10'000};
  uint64_t sequence_ = 0;
};

TEST_F(LogExamplesTest, WhatFollowsAnImpressionIsItsLabel) {
  Show(10, "buyer");
  Add(12, "buyer", event::ViewerEnter{.channel = "feed"});
  Add(20, "buyer", event::Like{.count = 1});
  Add(30, "buyer", event::OrderCreate{.order_id = "o", .lines = {{.product_id = "p", .qty = 1}}});
  Add(90, "buyer", event::ViewerLeave{.watch_ms = 78'000});
  Show(10, "passer-by");
  Show(11, "glancer");
  Add(12, "glancer", event::ViewerEnter{.channel = "feed"});
  Add(13, "glancer", event::ViewerLeave{.watch_ms = 1'000});
  Show(11, "late");
  Add(80, "late", event::ViewerEnter{.channel = "feed"});  // 69 s: not this impression's doing
  Add(2'000, "someone", event::ViewerHeartbeat{.watch_ms = 1});
  examples_.Finish();
  ASSERT_EQ(examples_.hosts().size(), 4u);
  EXPECT_EQ(Labels(0), (std::vector<float>{1, 1, 1, 1}));
  EXPECT_EQ(Labels(1), (std::vector<float>{0, 0, 0, 0}));
  EXPECT_EQ(Labels(2), (std::vector<float>{1, 0, 0, 0}));
  EXPECT_EQ(Labels(3), (std::vector<float>{0, 0, 0, 0}));
}

TEST_F(LogExamplesTest, AnOpenWindowIsUnknownNotNegative) {
  Show(10, "inside");
  Add(12, "inside", event::ViewerEnter{.channel = "feed"});
  Show(30, "just shown");
  Add(40, "x", event::ViewerHeartbeat{.watch_ms = 1});
  examples_.Finish();
  // 30 s after it was shown even the entry that happened says nothing yet: those who will enter in
  // the next 30 s would be missing beside it.
  EXPECT_TRUE(std::isnan(examples_.hosts().label(0, kEnter)));
  EXPECT_TRUE(std::isnan(examples_.hosts().label(0, kStay)));
  EXPECT_TRUE(std::isnan(examples_.hosts().label(0, kOrder)));
  EXPECT_TRUE(std::isnan(examples_.hosts().label(1, kEnter)));
}

TEST_F(LogExamplesTest, StillInsideAfterAMinuteIsAStay) {
  Show(10, "inside");
  Add(12, "inside", event::ViewerEnter{.channel = "feed"});
  Add(500, "x", event::ViewerHeartbeat{.watch_ms = 1});
  examples_.Finish();
  EXPECT_EQ(examples_.hosts().label(0, kEnter), 1.0f);
  EXPECT_EQ(examples_.hosts().label(0, kStay), 1.0f);
  EXPECT_TRUE(std::isnan(examples_.hosts().label(0, kOrder)));
}

TEST_F(LogExamplesTest, ProductLabelsFollowTheirWindows) {
  const auto show = [&](int64_t s, const char* user) {
    Add(s, user, event::ProductImpression{.product_id = "p", .surface = event::Surface::kCard});
  };
  show(10, "a");
  Add(15, "a", event::ProductClick{.product_id = "p", .surface = event::Surface::kCard});
  Add(20, "a", event::CartAdd{.product_id = "p", .qty = 1});
  show(10, "b");
  Add(10 + 400, "b", event::ProductClick{.product_id = "p", .surface = event::Surface::kCard});
  Add(4'000, "x", event::ViewerHeartbeat{.watch_ms = 1});
  examples_.Finish();
  const ExamplePool& products = examples_.products();
  ASSERT_EQ(products.size(), 2u);
  EXPECT_EQ(products.label(0, 0), 1.0f);
  EXPECT_EQ(products.label(0, 1), 1.0f);
  EXPECT_EQ(products.label(0, 2), 0.0f);
  EXPECT_EQ(products.label(1, 0), 0.0f);  // clicked after 400 s: outside the window
}

// The features of an impression must be the same whatever happens after it: the log is cut right
// after the impression, and continued, and both give the same row.
TEST_F(LogExamplesTest, NothingLaterReachesTheFeatures) {
  const auto play = [](LogExamples* examples, bool with_future) {
    uint64_t sequence = 0;
    const auto add = [&](int64_t second, const std::string& user, event::Data data) {
      store::LogRecord record;
      record.sequence = ++sequence;
      record.event.id = "e" + std::to_string(sequence);
      record.event.ts = kStart + second * 1000;
      record.event.tenant = "t";
      record.event.room = "room";
      record.event.session = "s";
      record.event.actor = event::Actor{
          .id = user, .kind = user == "host" ? event::ActorKind::kHost : event::ActorKind::kViewer};
      record.event.data = std::move(data);
      examples->Apply(record);
    };
    add(0, "host", event::StreamStart{.title = "t", .category = "c", .host_id = "host"});
    for (int i = 0; i < 20; ++i)
      add(i, "u" + std::to_string(i % 4), event::ViewerEnter{.channel = "f"});
    event::AttentionSample sample{.a = 0.5};
    sample.components = event::RawJson{R"({"comment_lift":2.0,"click_lift":3.0})"};
    add(29, "host", sample);
    add(30, "u1", event::RoomImpression{.channel = "feed"});
    if (!with_future) return;
    sample.a = 0.9;
    add(31, "host", sample);
    add(31, "u1", event::ViewerEnter{.channel = "feed"});
    for (int i = 0; i < 50; ++i) add(32 + i, "u" + std::to_string(i % 4), event::Like{.count = 3});
    add(500, "u1", event::ViewerLeave{.watch_ms = 400'000});
  };
  LogExamples cut(100), whole(100);
  play(&cut, false);
  play(&whole, true);
  whole.Finish();
  const std::vector<uint32_t> first = {0};
  model::Batch a, b;
  cut.hosts().FillBatch({}, first, &a);
  whole.hosts().FillBatch({}, first, &b);
  EXPECT_EQ(a.request_keys, b.request_keys);
  EXPECT_EQ(a.candidate_keys, b.candidate_keys);
  EXPECT_EQ(a.candidate_numerics, b.candidate_numerics);
  EXPECT_EQ(a.sequences[0].keys, b.sequences[0].keys);
  EXPECT_EQ(b.labels[0], 1.0f);
}

TEST_F(LogExamplesTest, OldRowsAreDroppedAndTheRestSplitByTime) {
  LogExamples small(3'000);
  store::LogRecord record;
  record.event.tenant = "t";
  record.event.room = "room";
  record.event.session = "s";
  record.event.ts = kStart;
  record.event.actor = event::Actor{.id = "host", .kind = event::ActorKind::kHost};
  record.event.data = event::StreamStart{.title = "t", .host_id = "host"};
  record.sequence = 1;
  small.Apply(record);
  for (int i = 0; i < 9'000; ++i) {
    record.sequence++;
    record.event.ts += 10;
    record.event.actor =
        event::Actor{.id = "u" + std::to_string(i), .kind = event::ActorKind::kViewer};
    record.event.data = event::RoomImpression{.channel = "feed"};
    small.Apply(record);
  }
  small.Finish();
  const ExamplePool& pool = small.hosts();
  EXPECT_GE(pool.size(), 3'000u);
  EXPECT_LE(pool.size(), 4'100u);
  const size_t train = pool.samples_of(Split::kTrain).size();
  const size_t valid = pool.samples_of(Split::kValid).size();
  const size_t test = pool.samples_of(Split::kTest).size();
  EXPECT_EQ(train + valid + test, pool.size());
  EXPECT_NEAR(static_cast<double>(train) / static_cast<double>(pool.size()), 0.8, 0.01);
  EXPECT_LT(pool.samples_of(Split::kTrain).back(), pool.samples_of(Split::kValid).front());
  EXPECT_LT(pool.samples_of(Split::kValid).back(), pool.samples_of(Split::kTest).front());
}

}  // namespace
}  // namespace heed::train
