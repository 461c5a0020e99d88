// What heed watch sends, to a real server that comes, goes, hangs and refuses.
#include "server/moment_feed.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/api_fixture.h"
#include "server/base64.h"

namespace heed::server {
namespace {

std::string RecordOf(int second) {
  return R"({"v":1,"epoch":0,"t":)" + std::to_string(second) + "}";
}

class MomentFeedTest : public ApiTest {
 protected:
  MomentFeedOptions Options(uint16_t port) {
    MomentFeedOptions options;
    options.room = "房间 1/a";
    options.to = "http://127.0.0.1:" + std::to_string(port);
    options.first_wait_ms = 5;
    options.longest_wait_ms = 20;
    options.tell = [this](const std::string& what) {
      const std::lock_guard lock(mutex_);
      told_.push_back(what);
    };
    return options;
  }
  std::unique_ptr<MomentFeed> Start(uint16_t port) {
    auto feed = MomentFeed::Start(Options(port));
    EXPECT_TRUE(feed.ok()) << feed.status().ToString();
    return std::move(feed).value();
  }
  void StopServer() {
    config_.server.port = server_->port();
    server_.reset();
    engine_.reset();
  }
  std::vector<int64_t> Held() {
    const Answer answer = Do("GET", "/v1/rooms/%E6%88%BF%E9%97%B4%201%2Fa/moments?limit=1000");
    std::vector<int64_t> seconds;
    if (answer.status != 200) return seconds;
    for (const json::value& moment : answer.body.at("moments").as_array())
      seconds.push_back(moment.at("record").at("t").as_int64());
    return seconds;
  }
  void Await(const std::function<bool()>& wanted) const {
    for (int tries = 0; tries < 2'000 && !wanted(); ++tries)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_TRUE(wanted());
  }
  static std::vector<int64_t> Range(int64_t from, int64_t to) {
    std::vector<int64_t> out;
    for (; from < to; ++from) out.push_back(from);
    return out;
  }

  std::mutex mutex_;
  std::vector<std::string> told_;  // guarded by mutex_
};

TEST_F(MomentFeedTest, EverythingArrivesInOrder) {
  StartServer();
  const auto feed = Start(server_->port());
  for (int i = 0; i < 150; ++i) feed->Add(RecordOf(i));
  const MomentFeedCounts counts = feed->Finish(10'000);
  EXPECT_EQ(counts.taken, 150u);
  EXPECT_EQ(counts.waiting + counts.dropped + counts.refused, 0u);
  EXPECT_EQ(counts.trouble, "");
  EXPECT_EQ(Held(), Range(0, 150));
  EXPECT_TRUE(told_.empty()) << told_[0];
}

TEST_F(MomentFeedTest, AnEngineThatIsAwayGetsItWhenItIsBack) {
  StartServer();
  StopServer();
  const auto feed = Start(static_cast<uint16_t>(config_.server.port));
  for (int i = 0; i < 100; ++i) feed->Add(RecordOf(i));
  Await([&] {
    const std::lock_guard lock(mutex_);
    return !told_.empty();
  });
  EXPECT_EQ(feed->counts().waiting, 100u);
  EXPECT_NE(feed->counts().trouble.find("refused"), std::string::npos) << feed->counts().trouble;
  StartServer();
  Await([&] { return feed->counts().taken == 100; });
  EXPECT_EQ(Held(), Range(0, 100));
  // It restarts: what it had is gone with it, what comes is there.
  StopServer();
  for (int i = 100; i < 130; ++i) feed->Add(RecordOf(i));
  StartServer();
  EXPECT_EQ(feed->Finish(10'000).taken, 130u);
  EXPECT_EQ(Held(), Range(100, 130));
  ASSERT_GE(told_.size(), 2u);
  EXPECT_NE(told_[0].find("what is measured waits"), std::string::npos) << told_[0];
  EXPECT_NE(told_[1].find("again"), std::string::npos) << told_[1];
}

TEST_F(MomentFeedTest, OneThatNeverAnswersHoldsNobodyUp) {
  boost::asio::io_context context;
  boost::asio::ip::tcp::acceptor mute(context, {boost::asio::ip::address_v4::loopback(), 0});
  MomentFeedOptions options = Options(mute.local_endpoint().port());
  options.timeout_ms = 50;
  const auto feed = MomentFeed::Start(options).value();
  feed->Add(RecordOf(0));
  Await([&] {
    const std::lock_guard lock(mutex_);
    return !told_.empty();
  });
  const MomentFeedCounts counts = feed->Finish(0);
  EXPECT_EQ(counts.waiting, 1u);
  EXPECT_EQ(counts.taken, 0u);
}

TEST_F(MomentFeedTest, OnlyTheRecordAtFaultIsRefused) {
  StartServer();
  StopServer();
  const auto feed = Start(static_cast<uint16_t>(config_.server.port));
  for (int i = 0; i < 10; ++i) feed->Add(i == 4 ? R"({"v":1,"epoch":0,"t":"4"})" : RecordOf(i));
  StartServer();
  const MomentFeedCounts counts = feed->Finish(10'000);
  EXPECT_EQ(counts.taken, 9u);
  EXPECT_EQ(counts.refused, 1u);
  EXPECT_EQ(Held(), (std::vector<int64_t>{0, 1, 2, 3, 5, 6, 7, 8, 9}));
}

TEST_F(MomentFeedTest, TooManyThatWaitAreCounted) {
  StartServer();
  StopServer();
  MomentFeedOptions options = Options(static_cast<uint16_t>(config_.server.port));
  options.max_waiting = 100;
  const auto feed = MomentFeed::Start(options).value();
  for (int i = 0; i < 300; ++i) feed->Add(RecordOf(i));
  const MomentFeedCounts away = feed->counts();
  EXPECT_EQ(away.waiting + away.dropped, 300u);
  EXPECT_LE(away.waiting, 160u) << "and a request's worth";
  StartServer();
  const MomentFeedCounts counts = feed->Finish(10'000);
  EXPECT_EQ(counts.taken, away.waiting);
  EXPECT_EQ(Held().back(), 299) << "the oldest went";
}

TEST_F(MomentFeedTest, WhatARoomDoesNotAllowNeverComesInLater) {
  ASSERT_EQ(
      Do("PUT", "/v1/catalog/rooms/%E6%88%BF%E9%97%B4%201%2Fa", R"({"broadcast":"off"})").status,
      200);
  const auto feed = Start(server_->port());
  feed->Add(RecordOf(0));
  Await([&] { return feed->counts().refused == 1; });
  ASSERT_EQ(Do("PUT", "/v1/catalog/rooms/%E6%88%BF%E9%97%B4%201%2Fa", "{}").status, 200);
  feed->Add(RecordOf(1));
  EXPECT_EQ(feed->Finish(10'000).taken, 1u);
  EXPECT_EQ(Held(), (std::vector<int64_t>{1}));
  ASSERT_FALSE(told_.empty());
  EXPECT_NE(told_[0].find("may not be taken"), std::string::npos) << told_[0];
}

TEST_F(MomentFeedTest, VectorsAreSentAsTheyAre) {
  StartServer();
  MomentFeedOptions options = Options(server_->port());
  options.encoder = FeedEncoder{.id = "clip \"b\"", .modality = "picture", .dim = 3};
  const auto feed = MomentFeed::Start(options).value();
  const std::vector<float> v = {0.1f, -2.5f, 1e-3f};
  const int64_t now_ms = heed::Clock::System().now_ms();
  for (int i = 0; i < 100; ++i) feed->Add(EmbeddingItem(now_ms - 1'000 * i, v));
  feed->Add(EmbeddingItem(now_ms + 1'000, std::vector<float>(2)));
  const MomentFeedCounts counts = feed->Finish(10'000);
  EXPECT_EQ(counts.taken, 100u);
  EXPECT_EQ(counts.refused, 1u);
  const Answer answer = Do("GET",
                           "/v1/rooms/%E6%88%BF%E9%97%B4%201%2Fa/embeddings?encoder=clip%20%22b%22"
                           "&limit=1000");
  ASSERT_EQ(answer.body.at("items").as_array().size(), 100u) << answer.body;
  EXPECT_EQ(answer.body.at("items").at(99).at("t_ms").as_int64(), now_ms);
  EXPECT_EQ(answer.body.at("items").at(99).at("vec").as_string(),
            Base64({reinterpret_cast<const char*>(v.data()), 12}));
}

TEST_F(MomentFeedTest, WhereToIsChecked) {
  MomentFeedOptions options;
  options.room = "r";
  for (const char* to : {"", "127.0.0.1:7600", "https://127.0.0.1:7600", "http://127.0.0.1",
                         "http://127.0.0.1:", "http://127.0.0.1:0", "http://127.0.0.1:70000",
                         "http://engine.example:7600", "http://127.0.0.1:7600/v1"}) {
    options.to = to;
    const auto feed = MomentFeed::Start(options);
    ASSERT_FALSE(feed.ok()) << to;
    EXPECT_NE(feed.status().message().find(std::string("'") + to + "'"), std::string::npos);
  }
  for (const char* to : {"http://localhost:1", "http://[::1]:1", "http://127.0.0.1:1/"}) {
    options.to = to;
    EXPECT_TRUE(MomentFeed::Start(options).ok()) << to;
  }
}

}  // namespace
}  // namespace heed::server
