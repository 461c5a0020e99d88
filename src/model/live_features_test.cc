#include "model/live_features.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace heed::model {
namespace {

constexpr int64_t kNow = 1'764'000'000'000;

class LiveFeaturesTest : public testing::Test {
 protected:
  void SetUp() override {
    for (int i = 1; i <= 2; ++i) {
      const std::string n = std::to_string(i);
      Apply(kNow - 3'000'000, "r" + n, "h" + n, event::ActorKind::kHost,
            event::StreamStart{.title = "t", .category = "c" + n, .host_id = "h" + n});
      Apply(kNow - 2'000'000, "r" + n, "op", event::ActorKind::kOperator,
            event::ProductBind{.product_id = "p" + n, .price_cents = 9900, .stock = 3, .on = true});
    }
    for (int i = 0; i < 4; ++i) {
      Apply(kNow - 100'000 * (5 - i), "r" + std::to_string(1 + i % 2), "u",
            event::ActorKind::kViewer, event::ViewerEnter{.channel = "feed"});
    }
    Apply(kNow - 50'000, "r1", "u", event::ActorKind::kViewer,
          event::ProductClick{.product_id = "p1", .surface = event::Surface::kCard});
    Apply(kNow - 40'000, "r1", "u", event::ActorKind::kViewer, event::ViewerDislike{});
  }
  void Apply(int64_t ts, std::string room, std::string actor, event::ActorKind kind,
             event::Data data) {
    event::Event event;
    event.id = "e" + std::to_string(++sequence_);
    event.ts = ts;
    event.tenant = "t";
    event.session = room + "-s";
    event.room = std::move(room);
    event.actor = event::Actor{.id = std::move(actor), .kind = kind};
    event.data = std::move(data);
    state_.Apply(sequence_, event);
  }
  Viewer Read(const char* user) const {
    return ReadViewer(state_, state_.Find(state::Kind::kUser, "t", user));
  }
  Batch Hosts(const Viewer& viewer) const {
    Batch batch;
    batch.Clear(HostSchema());
    AddHostRequest(state_, viewer, kNow, &batch);
    for (const char* id : {"h1", "h2"}) {
      const state::HostView host = state_.ReadHost(state_.Find(state::Kind::kHost, "t", id));
      AddHostCandidate(state_, viewer, host, state_.Summarize(host.live_room), kNow, &batch);
    }
    return batch;
  }

  state::State state_;
  uint64_t sequence_ = 0;
};

TEST_F(LiveFeaturesTest, SchemasAndBatchesAgree) {
  ASSERT_TRUE(HostSchema().Validate().ok()) << HostSchema().Validate().ToString();
  ASSERT_TRUE(ProductSchema().Validate().ok()) << ProductSchema().Validate().ToString();
  const Viewer viewer = Read("u");
  const Batch hosts = Hosts(viewer);
  EXPECT_TRUE(hosts.Validate(HostSchema()).ok()) << hosts.Validate(HostSchema()).ToString();
  EXPECT_EQ(hosts.candidates, 2u);
  EXPECT_EQ(hosts.sequences[0].age_s.size(), 4u);
  EXPECT_EQ(hosts.sequences[1].age_s.size(), 1u);
  EXPECT_FLOAT_EQ(hosts.sequences[1].age_s[0], 50.0f);

  Batch products;
  products.Clear(ProductSchema());
  const state::RoomView room = state_.ReadRoom(state_.Find(state::Kind::kRoom, "t", "r1"));
  AddProductRequest(state_, viewer, room, kNow, &products);
  for (const char* id : {"p1", "p2"}) {
    AddProductCandidate(state_, viewer,
                        state_.ReadProduct(state_.Find(state::Kind::kProduct, "t", id)), room, kNow,
                        &products);
  }
  EXPECT_TRUE(products.Validate(ProductSchema()).ok())
      << products.Validate(ProductSchema()).ToString();
}

TEST_F(LiveFeaturesTest, AStrangerIsAValidRequestWithoutHistory) {
  const Batch batch = Hosts(Read("nobody"));
  EXPECT_TRUE(batch.Validate(HostSchema()).ok());
  EXPECT_EQ(batch.request_keys[0], 0u);
  for (const SequenceBatch& sequence : batch.sequences) EXPECT_TRUE(sequence.age_s.empty());
}

TEST_F(LiveFeaturesTest, TheRoomsAttentionIsReadWhileItIsFresh) {
  const auto numbers = [](const Schema& schema, Side side, const std::vector<float>& row) {
    const std::vector<size_t> of = schema.NumericsOf(side);
    std::vector<float> found;
    for (size_t i = 0; i < of.size(); ++i) {
      const std::string& name = schema.numerics[of[i]].name;
      if (name == "room_attention" || name.ends_with("_lift")) found.push_back(row[i]);
    }
    return found;
  };
  const auto of_products = [&] {
    Batch products;
    products.Clear(ProductSchema());
    const state::RoomView room = state_.ReadRoom(state_.Find(state::Kind::kRoom, "t", "r1"));
    AddProductRequest(state_, Read("u"), room, kNow, &products);
    return numbers(ProductSchema(), Side::kRequest, products.request_numerics);
  };
  const auto of_hosts = [&] {
    return numbers(HostSchema(), Side::kCandidate, Hosts(Read("u")).candidate_numerics);
  };
  const auto absent = [](const std::vector<float>& row) {
    return row.size() == 3 &&
           std::all_of(row.begin(), row.end(), [](float x) { return std::isnan(x); });
  };
  EXPECT_TRUE(absent(of_hosts()));
  EXPECT_TRUE(absent(of_products()));
  event::AttentionSample sample{.a = 0.75};
  sample.components = event::RawJson{R"({"comment_lift":0.5})"};
  Apply(kNow - kAttentionMs - 1, "r1", "heed", event::ActorKind::kEngine, sample);
  EXPECT_TRUE(absent(of_hosts())) << "too old";
  Apply(kNow - kAttentionMs, "r1", "heed", event::ActorKind::kEngine, sample);
  for (const std::vector<float>& row : {of_hosts(), of_products()}) {
    ASSERT_EQ(row.size(), 3u);
    EXPECT_EQ(row[0], 0.75f);
    EXPECT_FLOAT_EQ(row[1], std::log(0.5f));
    EXPECT_TRUE(std::isnan(row[2])) << "not said";
  }
}

TEST_F(LiveFeaturesTest, WithoutTokenRemovesExactlyThatToken) {
  const Batch batch = Hosts(Read("u"));
  Batch without;
  without.Clear(HostSchema());
  const std::vector<uint32_t> rows = {1, 0};
  AddWithoutToken(HostSchema(), batch, rows, 0, 2, &without);
  ASSERT_TRUE(without.Validate(HostSchema()).ok());
  EXPECT_EQ(without.candidates, 2u);
  std::vector<Key> keys = batch.sequences[0].keys;
  keys.erase(keys.begin() + 6, keys.begin() + 9);
  EXPECT_EQ(without.sequences[0].keys, keys);
  EXPECT_EQ(without.sequences[1].keys, batch.sequences[1].keys);
  const size_t width = HostSchema().FieldsOf(Side::kCandidate).size();
  EXPECT_EQ(without.candidate_keys[0], batch.candidate_keys[width]);  // rows in the order asked
}

TEST_F(LiveFeaturesTest, AppendedRowIsTheRow) {
  Batch batch = Hosts(Read("u"));
  batch.labels.assign(8, 0.0f);
  batch.labels[5] = 1.0f;
  Batch pool;
  pool.Clear(HostSchema());
  AppendRow(HostSchema(), batch, 1, &pool);
  AppendRow(HostSchema(), batch, 0, &pool);
  ASSERT_TRUE(pool.Validate(HostSchema()).ok()) << pool.Validate(HostSchema()).ToString();
  EXPECT_EQ(pool.requests, 2u);
  EXPECT_EQ(pool.labels[1], 1.0f);
  EXPECT_EQ(pool.sequences[0].offsets, (std::vector<uint32_t>{0, 4, 8}));
}

}  // namespace
}  // namespace heed::model
