#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "event/codec.h"
#include "event/json.h"
#include "sim/catalog.h"
#include "sim/truth.h"
#include "sim/world.h"

namespace heed::sim {
namespace {

WorldConfig Small() {
  WorldConfig config;
  config.users = 300;
  config.hosts = 60;
  config.duration_ms = 2 * kHourMs;
  return config;
}

Batch RunAll(World& world) {
  Batch batch;
  while (!world.done()) world.Produce(10'000, batch);
  return batch;
}

// One default evening, made once: the marginals and the truth are judged on it.
struct Evening {
  Evening() : world(WorldConfig{}), batch(RunAll(world)) {}
  World world;
  Batch batch;
};
const Evening& DefaultEvening() {
  static const Evening evening;
  return evening;
}

template <typename T>
std::vector<const event::Event*> OfType(const Batch& batch) {
  std::vector<const event::Event*> found;
  for (const event::Event& event : batch.events) {
    if (std::holds_alternative<T>(event.data)) found.push_back(&event);
  }
  return found;
}

double ShareOf(const std::vector<double>& values, const auto& condition) {
  return static_cast<double>(std::count_if(values.begin(), values.end(), condition)) /
         static_cast<double>(values.size());
}

double Gini(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  double below = 0, area = 0;
  for (const double value : values) {
    area += below + value / 2;
    below += value;
  }
  return 1 - 2 * area / (below * static_cast<double>(values.size()));
}

// Prints what docs/simulator.md quotes, and hands it on.
double Measured(const char* what, double value) {
  std::printf("[ measured ] %s: %.4f\n", what, value);
  return value;
}

TEST(World, TheSameSeedGivesTheSameEvents) {
  World a(Small()), b(Small());
  const Batch first = RunAll(a), second = RunAll(b);
  ASSERT_GT(first.events.size(), 5000u);
  EXPECT_TRUE(first.events == second.events);

  WorldConfig other = Small();
  other.seed = 2;
  World c(other);
  EXPECT_FALSE(first.events == RunAll(c).events);
}

TEST(World, TheWayItIsReadDoesNotChangeTheEvents) {
  World a(Small()), b(Small()), c(Small());
  const Batch whole = RunAll(a);
  std::vector<event::Event> one_by_one;
  while (auto event = b.Next()) one_by_one.push_back(std::move(*event));
  EXPECT_TRUE(whole.events == one_by_one);

  Batch ticks;
  for (int64_t ts = c.config().start_ts; !c.done(); ts += 7919) {
    const size_t before = ticks.events.size();
    c.Advance(ts, ticks);
    for (size_t i = before; i < ticks.events.size(); ++i) {
      ASSERT_LT(ticks.events[i].ts, ts);
      ASSERT_GE(ticks.events[i].ts, ts - 7919);
    }
  }
  EXPECT_TRUE(whole.events == ticks.events);
}

TEST(World, EventsComeInTimeOrderWithUniqueIds) {
  const Evening& evening = DefaultEvening();
  std::set<std::string_view> ids;
  int64_t last_ts = evening.world.config().start_ts, last_seq = -1;
  for (const event::Event& event : evening.batch.events) {
    EXPECT_GE(event.ts, last_ts);
    EXPECT_EQ(event.seq, last_seq + 1);
    EXPECT_GT(*event.recv_ts, event.ts);
    EXPECT_TRUE(ids.insert(event.id).second) << event.id;
    last_ts = event.ts;
    last_seq = *event.seq;
  }
  EXPECT_LT(last_ts, evening.world.config().start_ts + evening.world.config().duration_ms);
}

TEST(World, EveryEventIsValid) {
  WorldConfig config = Small();
  config.duration_ms = 5 * kHourMs;  // refunds take hours
  World world(config);
  const Batch batch = RunAll(world);
  event::JsonReader reader;
  std::set<std::string_view> types;
  std::string bytes;
  for (const event::Event& event : batch.events) {
    types.insert(event::TypeName(event.data));
    const auto read = reader.ReadOne(event::ToJson(event));
    ASSERT_TRUE(read.ok()) << read.status().ToString() << "\n" << event::ToJson(event);
    ASSERT_TRUE(read.value() == event) << event::ToJson(event);
    bytes.clear();
    event::Encode(event, bytes);
    ASSERT_TRUE(event::Decode(bytes).ok());
  }
  EXPECT_THAT(types, testing::IsSupersetOf({"stream.start",
                                            "stream.end",
                                            "room.stats",
                                            "room.impression",
                                            "viewer.enter",
                                            "viewer.leave",
                                            "viewer.heartbeat",
                                            "viewer.dislike",
                                            "comment.post",
                                            "like",
                                            "share",
                                            "follow",
                                            "gift",
                                            "product.bind",
                                            "product.explain.start",
                                            "product.explain.end",
                                            "product.stock",
                                            "product.impression",
                                            "product.click",
                                            "cart.add",
                                            "order.create",
                                            "order.pay",
                                            "order.cancel",
                                            "order.refund",
                                            "coupon.issue",
                                            "coupon.claim",
                                            "coupon.redeem"}));
}

// Whoever enters was shown the room, leaves it once, having watched what the clock says, and does
// nothing in a room while outside.
TEST(World, VisitsHangTogether) {
  const Batch& batch = DefaultEvening().batch;
  std::map<std::string, const event::Event*> inside;  // by user
  std::set<std::string> live;
  for (const event::Event& event : batch.events) {
    if (std::holds_alternative<event::StreamStart>(event.data)) {
      EXPECT_TRUE(live.insert(event.room).second);
      continue;
    }
    if (std::holds_alternative<event::StreamEnd>(event.data)) {
      EXPECT_EQ(live.erase(event.room), 1u);
      for (const auto& [user, enter] : inside) EXPECT_NE(enter->room, event.room) << user;
      continue;
    }
    const bool late = std::holds_alternative<event::OrderPay>(event.data) ||
                      std::holds_alternative<event::OrderCancel>(event.data) ||
                      std::holds_alternative<event::OrderRefund>(event.data) ||
                      std::holds_alternative<event::CouponRedeem>(event.data);
    if (late) continue;
    EXPECT_TRUE(live.count(event.room)) << event::ToJson(event);
    if (!event.actor || event.actor->kind != event::ActorKind::kViewer) continue;
    const std::string& user = event.actor->id;
    if (std::holds_alternative<event::RoomImpression>(event.data)) {
      EXPECT_FALSE(inside.count(user));
    } else if (std::holds_alternative<event::ViewerEnter>(event.data)) {
      EXPECT_TRUE(inside.emplace(user, &event).second);
    } else {
      const auto enter = inside.find(user);
      ASSERT_NE(enter, inside.end()) << event::ToJson(event);
      EXPECT_EQ(enter->second->room, event.room);
      if (const auto* leave = std::get_if<event::ViewerLeave>(&event.data)) {
        EXPECT_EQ(leave->watch_ms, event.ts - enter->second->ts);
        inside.erase(enter);
      }
    }
  }
}

TEST(World, OrdersHangTogether) {
  WorldConfig config;
  config.users = 1500;
  config.hosts = 100;
  config.duration_ms = 30 * kHourMs;
  World world(config);
  const Batch batch = RunAll(world);
  std::map<std::string, int64_t> created, paid;
  std::set<std::string> cancelled, refunded;
  for (const event::Event& event : batch.events) {
    if (const auto* stock = std::get_if<event::ProductStock>(&event.data)) {
      EXPECT_GE(stock->stock, 0);
    } else if (const auto* create = std::get_if<event::OrderCreate>(&event.data)) {
      EXPECT_TRUE(created.emplace(create->order_id, create->lines[0].amount_cents).second);
    } else if (const auto* pay = std::get_if<event::OrderPay>(&event.data)) {
      ASSERT_TRUE(created.count(pay->order_id));
      EXPECT_EQ(created[pay->order_id], pay->amount_cents);
      EXPECT_FALSE(cancelled.count(pay->order_id));
      EXPECT_TRUE(paid.emplace(pay->order_id, pay->amount_cents).second);
    } else if (const auto* cancel = std::get_if<event::OrderCancel>(&event.data)) {
      EXPECT_FALSE(paid.count(cancel->order_id));
      EXPECT_TRUE(cancelled.insert(cancel->order_id).second);
    } else if (const auto* refund = std::get_if<event::OrderRefund>(&event.data)) {
      EXPECT_EQ(paid.at(refund->order_id), refund->amount_cents);
      if (refund->stage == event::RefundStage::kDone) refunded.insert(refund->order_id);
    }
  }
  const auto orders = static_cast<double>(created.size());
  ASSERT_GT(orders, 500);
  EXPECT_NEAR(static_cast<double>(paid.size()) / orders, 0.85, 0.05);
  EXPECT_NEAR(static_cast<double>(refunded.size()) / static_cast<double>(paid.size()), 0.12, 0.04);
}

TEST(Marginals, AreThoseOfLivePlatforms) {
  const Evening& evening = DefaultEvening();
  const WorldConfig& config = evening.world.config();
  std::vector<double> by_host(config.hosts), by_user(config.users), spend(config.users);
  std::set<std::pair<uint32_t, uint32_t>> pairs;
  double shown = 0, entered = 0, repeated = 0;
  for (const Truth& truth : evening.batch.truths) {
    if (truth.product != kNobody) continue;
    ++shown;
    if (!truth.happened) continue;
    ++entered;
    ++by_host[truth.host];
    ++by_user[truth.user];
    repeated += pairs.insert({truth.user, truth.host}).second ? 0 : 1;
  }
  EXPECT_NEAR(Measured("entries of shown", entered / shown), 0.279, 0.03);
  EXPECT_NEAR(Measured("repeats of entries", repeated / entered), 0.27, 0.05);

  // KuaiLive: 70 % of hosts below 5 and 4.6 % above 40 interactions at a mean of 11.84.
  const double host_mean = entered / static_cast<double>(config.hosts);
  const double few = ShareOf(by_host, [&](double n) { return n < host_mean * 5 / 11.84; });
  const double many = ShareOf(by_host, [&](double n) { return n > host_mean * 40 / 11.84; });
  EXPECT_NEAR(Measured("hosts with few entries", few), 0.70, 0.09);
  EXPECT_NEAR(Measured("hosts with many", many), 0.046, 0.03);
  // 43.8 % of users below 50 at a mean of 225.
  const double user_mean = entered / static_cast<double>(config.users);
  const double quiet = ShareOf(by_user, [&](double n) { return n < user_mean * 50 / 225; });
  EXPECT_NEAR(Measured("quiet users", quiet), 0.438, 0.06);

  std::vector<double> stays;
  for (const event::Event* event : OfType<event::ViewerLeave>(evening.batch)) {
    stays.push_back(static_cast<double>(std::get<event::ViewerLeave>(event->data).watch_ms) / 1000);
  }
  double total_s = 0;
  for (const double stay : stays) total_s += stay;
  const double mean_s = Measured("mean stay, s", total_s / static_cast<double>(stays.size()));
  EXPECT_NEAR(mean_s, config.mean_stay_s, 15);
  const double short_share = ShareOf(stays, [](double s) { return s < 3; });
  EXPECT_NEAR(Measured("short stays", short_share), config.short_stay_share, 0.05);
  std::sort(stays.begin(), stays.end());
  EXPECT_GT(stays[stays.size() * 99 / 100], 5 * config.mean_stay_s) << "a long tail";
  const double comments = static_cast<double>(OfType<event::CommentPost>(evening.batch).size());
  EXPECT_NEAR(Measured("comments a viewer-minute", comments / (total_s / 60)),
              config.comments_per_minute, 0.004);
  const auto per_entry = [&](const char* what, size_t count) {
    return Measured(what, static_cast<double>(count) / entered);
  };
  EXPECT_NEAR(per_entry("likes an entry", OfType<event::Like>(evening.batch).size()), 0.0365, 0.01);
  EXPECT_NEAR(per_entry("gifts an entry", OfType<event::Gift>(evening.batch).size()), 0.0148,
              0.005);

  for (const event::Event& event : evening.batch.events) {
    double cents = 0;
    if (const auto* gift = std::get_if<event::Gift>(&event.data)) {
      cents = static_cast<double>(gift->value_cents);
    } else if (const auto* pay = std::get_if<event::OrderPay>(&event.data)) {
      cents = static_cast<double>(pay->amount_cents);
    } else {
      continue;
    }
    spend[evening.world.FindUser(event.actor->id)] += cents;
  }
  EXPECT_NEAR(Measured("Gini of spend", Gini(spend)), 0.94, 0.04);
}

// What was said to be p likely happens with rate p, within three standard errors in each tenth.
void ExpectCalibrated(const std::vector<Truth>& truths, bool products) {
  struct Bucket {
    double count = 0, expected = 0, variance = 0, happened = 0;
  };
  std::vector<Bucket> buckets(10);
  for (const Truth& truth : truths) {
    if ((truth.product != kNobody) != products) continue;
    Bucket& bucket = buckets[std::min<size_t>(static_cast<size_t>(truth.probability * 10), 9)];
    ++bucket.count;
    bucket.expected += truth.probability;
    bucket.variance += truth.probability * (1 - truth.probability);
    bucket.happened += truth.happened ? 1 : 0;
  }
  for (size_t i = 0; i < buckets.size(); ++i) {
    EXPECT_LE(std::abs(buckets[i].happened - buckets[i].expected),
              3 * std::sqrt(buckets[i].variance) + 1e-9)
        << "bucket " << i << " of " << buckets[i].count;
  }
  EXPECT_GT(buckets[0].count, 1000);
  EXPECT_GT(buckets[7].count, 100);
}

TEST(Truth, IsCalibrated) {
  ExpectCalibrated(DefaultEvening().batch.truths, false);
  ExpectCalibrated(DefaultEvening().batch.truths, true);
}

// A truth's `happened` is an event of the stream, so labels made from events agree with it.
TEST(Truth, AgreesWithTheEvents) {
  const Batch& batch = DefaultEvening().batch;
  double entered = 0, clicked = 0;
  for (const Truth& truth : batch.truths) {
    const event::Event& event = batch.events[truth.event];
    EXPECT_EQ(event.actor->id, DefaultEvening().world.population().users[truth.user].id);
    if (truth.product == kNobody) {
      ASSERT_TRUE(std::holds_alternative<event::RoomImpression>(event.data));
      entered += truth.happened ? 1 : 0;
    } else {
      ASSERT_TRUE(std::holds_alternative<event::ProductImpression>(event.data));
      clicked += truth.happened ? 1 : 0;
    }
  }
  // The last few are promised for after the end of the world.
  EXPECT_NEAR(static_cast<double>(OfType<event::ViewerEnter>(batch).size()), entered, 10);
  EXPECT_NEAR(static_cast<double>(OfType<event::ProductClick>(batch).size()), clicked, 10);
}

// The past must pay: a ranker that knows only what lasts is clearly worse than one that also knows
// what the user did before.
TEST(Truth, HistoryCarriesSignal) {
  const Evening& evening = DefaultEvening();
  std::vector<double> all, lasting;
  std::vector<bool> happened;
  for (const Truth& truth : evening.batch.truths) {
    if (truth.product != kNobody) continue;
    const Population& people = evening.world.population();
    all.push_back(truth.probability);
    lasting.push_back(LastingMatch(people.users[truth.user], people.hosts[truth.host]));
    happened.push_back(truth.happened);
  }
  const double truth = Measured("AUC of the truth", Auc(all, happened));
  EXPECT_GT(truth, 0.84);
  EXPECT_LT(truth, 0.92) << "chance must keep its share";
  EXPECT_GT(truth, Measured("AUC of what lasts", Auc(lasting, happened)) + 0.04);
}

TEST(Truth, OracleKnowsAvailability) {
  World world(Small());
  Batch batch;
  world.Produce(3000, batch);
  const std::vector<uint32_t> live = world.LiveHosts();
  ASSERT_FALSE(live.empty());
  ASSERT_LT(live.size(), world.population().hosts.size());
  std::vector<uint32_t> hosts(world.population().hosts.size());
  for (uint32_t i = 0; i < hosts.size(); ++i) hosts[i] = i;
  const std::vector<double> enter = world.EnterProbabilities(7, hosts);
  for (uint32_t i = 0; i < hosts.size(); ++i) {
    EXPECT_EQ(enter[i] > 0, std::find(live.begin(), live.end(), i) != live.end());
  }
  for (const Host& host : world.population().hosts) {
    EXPECT_EQ(world.population().hosts[world.FindHost(host.id)].id, host.id);
  }
  EXPECT_EQ(world.FindHost("nobody"), kNobody);
  const uint32_t product = world.FindProduct("p00003");
  ASSERT_NE(product, kNobody);
  EXPECT_GT(world.ClickProbability(7, product), 0);
  EXPECT_LT(world.OrderProbability(7, product), 1);
}

TEST(World, AnEndlessEveningStaysBusy) {
  WorldConfig config = Small();
  config.endless_evening = true;
  config.duration_ms = 0;
  World world(config);
  Batch batch;
  const int64_t hour = config.start_ts + 40 * kHourMs;  // ten in the morning by the clock
  world.Advance(hour, batch);
  batch.Clear();
  world.Advance(hour + kHourMs, batch);
  EXPECT_FALSE(world.done());
  EXPECT_GT(world.LiveHosts().size(), 20u);
  EXPECT_GT(OfType<event::ViewerEnter>(batch).size(), 100u);
}

TEST(World, LivesWithoutHostsProductsOrUsers) {
  for (const auto& [users, hosts, products] :
       std::vector<std::array<size_t, 3>>{{0, 5, 2}, {5, 0, 2}, {5, 5, 0}, {1, 1, 1}}) {
    WorldConfig config = Small();
    config.users = users;
    config.hosts = hosts;
    config.products_per_host = products;
    World world(config);
    for (const event::Event& event : RunAll(world).events) EXPECT_GE(event.ts, config.start_ts);
    EXPECT_TRUE(world.done());
  }
}

TEST(Catalog, DocumentsAreJsonAndNameEveryone) {
  World world(Small());
  Batch batch;
  world.Produce(3000, batch);
  const Population& people = world.population();
  EXPECT_EQ(HostDocuments(people).size(), people.hosts.size());
  EXPECT_EQ(ProductDocuments(people).size(), people.products.size());
  EXPECT_EQ(RoomDocuments(people).size(), world.LiveHosts().size());
  for (const auto& documents :
       {HostDocuments(people), ProductDocuments(people), RoomDocuments(people)}) {
    for (const CatalogDocument& document : documents) {
      // A document is a JSON object: as the data of a domain pack's event the reader parses it.
      event::JsonReader reader;
      const std::string wrapped =
          R"({"v":"1","id":"e","type":"x.catalog","ts":1764000000000,"tenant":"t","room":"r",)"
          R"("session":"s","src":{"platform":"p","adapter":"a"},"data":)" +
          document.json + "}";
      const auto read = reader.ReadOne(wrapped);
      ASSERT_TRUE(read.ok()) << document.json << " " << read.status().ToString();
      EXPECT_THAT(document.json, testing::StartsWith("{\"id\":\"" + document.id + "\","));
    }
  }
  EXPECT_THAT(
      ProductDocuments(people)[0].json,
      testing::AllOf(testing::HasSubstr("\"price_cents\":"), testing::HasSubstr("\"stock\":"),
                     testing::HasSubstr("\"host_id\":\"h00000\"")));
}

TEST(Auc, CountsPairs) {
  EXPECT_DOUBLE_EQ(Auc(std::vector<double>{0.1, 0.4, 0.35, 0.8}, {false, false, true, true}), 0.75);
  EXPECT_DOUBLE_EQ(Auc(std::vector<double>{1, 1, 1}, {true, false, false}), 0.5);
  EXPECT_DOUBLE_EQ(Auc(std::vector<double>{1, 2}, {true, true}), 0.5);
}

}  // namespace
}  // namespace heed::sim
