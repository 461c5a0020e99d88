// More than can be answered: what is refused, how, and that nothing else suffers.
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "server/test_server.h"

namespace heed::server {
namespace {

using std::chrono::milliseconds;

ServerConfig OneWorker(int64_t queue) {
  ServerConfig config = TestServer::SmallLimits();
  config.rank_threads = 1;
  config.rank_queue = queue;
  return config;
}

// Rankings under way on connections of their own.
struct Waiting {
  Waiting(TestServer& server_in, int count) : server(server_in) {
    for (int i = 0; i < count; ++i) Add(std::to_string(i));
  }
  void Add(const std::string& body) {
    clients.push_back(std::make_unique<RawClient>(server.port()));
    clients.back()->Send(Post("/rank", body));
  }
  // Until so many wait in the queue.
  bool Await(int count) const {
    const std::string line = "heed_recommend_waiting " + std::to_string(count) + "\n";
    for (int tries = 0; tries < 1000; ++tries) {
      if (server.metrics.Text().find(line) != std::string::npos) return true;
      std::this_thread::sleep_for(milliseconds(2));
    }
    return false;
  }
  TestServer& server;
  std::vector<std::unique_ptr<RawClient>> clients;
};

TEST(OverloadTest, AFullQueueIs503WithRetryAfterAndNothingElseWaits) {
  TestServer server(OneWorker(2));
  Waiting waiting(server, 1);
  server.gate.Await(1);
  for (int i = 1; i <= 2; ++i) waiting.Add(std::to_string(i));
  ASSERT_TRUE(waiting.Await(2));

  RawClient client(server.port());
  client.Send(Post("/rank", "9"));
  const auto shed = client.Read();
  ASSERT_TRUE(shed.has_value());
  EXPECT_EQ(shed->status, 503);
  EXPECT_EQ(shed->Header("Retry-After"), "1");
  EXPECT_EQ(shed->Header("Content-Type"), "application/problem+json");
  const boost::json::value problem = boost::json::parse(shed->body);
  EXPECT_EQ(problem.at("type").as_string(), "urn:heed:problem:unavailable");
  EXPECT_EQ(problem.at("instance").as_string(), "/rank");
  // Refused on the head alone: not one byte of the body is asked for.
  RawClient large(server.port());
  large.Send(
      "POST /rank HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Expect: 100-continue\r\nContent-Length: 9000\r\n\r\n");
  EXPECT_EQ(large.Read()->status, 503);

  // The connection is kept, and what does not rank is answered as ever: here, and where disks wait.
  client.Send(Post("/echo", "events"));
  EXPECT_EQ(client.Read()->body, "events");
  EXPECT_NE(server.metrics.Text().find("heed_recommend_shed_total 2\n"), std::string::npos);

  server.gate.Open();
  for (size_t i = 0; i < waiting.clients.size(); ++i)
    EXPECT_EQ(waiting.clients[i]->Read()->body, std::to_string(i));
  client.Send(Post("/rank", "9"));
  EXPECT_EQ(client.Read()->body, "9");
}

TEST(OverloadTest, RankingGoesOnWhileDisksAndTrainingAreBusy) {
  ServerConfig config = OneWorker(2);
  TestServer server(config);
  std::vector<std::unique_ptr<RawClient>> busy;
  for (const char* target : {"/worker", "/worker", "/worker"}) {
    busy.push_back(std::make_unique<RawClient>(server.port()));
    busy.back()->Send(Get(target));
  }
  busy.push_back(std::make_unique<RawClient>(server.port()));
  busy.back()->Send(Post("/train", "", ""));
  server.gate.Await(3);  // both disk threads and one that trains
  // The gate is shut for rankings too, so they show that they run by coming to it.
  Waiting ranking(server, 1);
  server.gate.Await(4);
  server.gate.Open();
  EXPECT_EQ(ranking.clients[0]->Read()->body, "0");
  for (const auto& client : busy) EXPECT_EQ(client->Read()->status, 200);
}

TEST(OverloadTest, StoppingAnswersEveryAdmittedRanking) {
  TestServer server(OneWorker(8));
  Waiting waiting(server, 1);
  server.gate.Await(1);
  for (int i = 1; i <= 8; ++i) waiting.Add(std::to_string(i));
  ASSERT_TRUE(waiting.Await(8));
  auto stopped = std::async(std::launch::async, [&] { server.server->Stop(); });
  EXPECT_EQ(stopped.wait_for(milliseconds(50)), std::future_status::timeout);
  server.gate.Open();
  for (size_t i = 0; i < waiting.clients.size(); ++i) {
    const auto answer = waiting.clients[i]->Read();
    ASSERT_TRUE(answer.has_value()) << i;
    EXPECT_EQ(answer->body, std::to_string(i));
  }
  stopped.get();
}

}  // namespace
}  // namespace heed::server
