#include "server/http_server.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "server/gzip.h"
#include "server/test_server.h"

namespace heed::server {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

boost::json::object Problem(const RawResponse& response) {
  EXPECT_EQ(response.Header("Content-Type"), "application/problem+json") << response.head;
  const boost::json::value value = boost::json::parse(response.body);
  EXPECT_EQ(value.at("status").as_int64(), response.status);
  return value.as_object();
}

std::string Text(const boost::json::object& object, const char* name) {
  return object.contains(name) ? std::string(std::string_view(object.at(name).as_string())) : "";
}

TEST(HttpServerTest, AnswersOnKeptConnectionsAndInOrderWhenPipelined) {
  TestServer server;
  RawClient client(server.port());
  std::string requests = Get("/later");
  for (int i = 0; i < 20; ++i) requests += Get("/echo/n" + std::to_string(i));
  requests += Post("/echo", "[1,2]") + Get("/echo/last", "Connection: close\r\n");
  ASSERT_TRUE(client.Send(requests));
  server.gate.Await(1);
  server.gate.Open();
  EXPECT_EQ(client.Read()->body, "late");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(client.Read()->body, "n" + std::to_string(i));
  EXPECT_EQ(client.Read()->body, "[1,2]");
  const auto last = client.Read();
  EXPECT_EQ(last->body, "last");
  EXPECT_EQ(last->Header("Connection"), "close");
  EXPECT_TRUE(client.ClosedByServer());
}

TEST(HttpServerTest, PathsMethodsAndQueries) {
  TestServer server;
  EXPECT_EQ(server.Do(Get("/echo/a%2Fb%20%E7%9B%B4?suffix=%2B1+2")).body, "a/b 直+1 2");
  EXPECT_EQ(server.Do(Get("/nowhere")).status, 404);
  EXPECT_EQ(server.Do(Get("/echo/a/b")).status, 404);
  EXPECT_EQ(server.Do(Get("/echo/")).status, 404);
  EXPECT_EQ(server.Do(Get("/echo/%00")).status, 400);
  EXPECT_EQ(server.Do(Get("/echo/%4")).status, 400);
  EXPECT_EQ(server.Do(Get("http://localhost/echo/x")).body, "x");

  const RawResponse not_allowed = server.Do(Post("/echo/a", ""));
  EXPECT_EQ(not_allowed.status, 405);
  EXPECT_EQ(not_allowed.Header("Allow"), "GET, HEAD, DELETE");
  EXPECT_EQ(server.Do("BREW /echo HTTP/1.1\r\nHost: localhost\r\n\r\n").Header("Allow"), "POST");

  const auto unknown = Problem(server.Do(Get("/echo/a?sufix=1")));
  EXPECT_EQ(Text(unknown, "field"), "?sufix");
  EXPECT_EQ(Text(unknown, "instance"), "/echo/a");
  EXPECT_EQ(Text(unknown, "type"), "urn:heed:problem:invalid-argument");
  EXPECT_EQ(server.Do(Get("/echo/a?suffix=1&suffix=2")).status, 400);

  RawClient head(server.port());
  head.Send("HEAD /echo/abc HTTP/1.1\r\nHost: localhost\r\n\r\n" + Get("/echo/next"));
  const auto answer = head.Read(/*head_only=*/true);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->Header("Content-Length"), "3");
  EXPECT_EQ(head.Read()->body, "next");

  RawClient gone(server.port());
  gone.Send("DELETE /echo/a HTTP/1.1\r\nHost: localhost\r\n\r\n" + Get("/echo/next"));
  EXPECT_EQ(gone.Read()->status, 204);
  EXPECT_EQ(gone.Read()->body, "next");
}

TEST(HttpServerTest, RequestIdsAreEchoedOrMade) {
  TestServer server;
  EXPECT_EQ(server.Do(Get("/healthz", "X-Request-Id: abc-1.2_~\r\n")).Header("X-Request-Id"),
            "abc-1.2_~");
  const std::string made =
      server.Do(Get("/healthz", "X-Request-Id: a b\r\n")).Header("X-Request-Id");
  EXPECT_EQ(made.size(), 16u);
  EXPECT_NE(made, server.Do(Get("/healthz")).Header("X-Request-Id"));
  const RawResponse refused = server.Do(Get("/nowhere", "X-Request-Id: r1\r\n"));
  EXPECT_EQ(Text(Problem(refused), "request_id"), "r1");
}

TEST(HttpServerTest, MalformedRequestsAreRefusedAndTheServerLives) {
  TestServer server;
  const std::string host = "Host: localhost\r\n";
  const std::pair<std::string, int> cases[] = {
      {"\x16\x03\x01 this is a TLS hello\r\n\r\n", 400},
      {"GET\r\n\r\n", 400},
      {"GET /healthz\r\n\r\n", 400},
      {"GET /healthz HTTP/2.0\r\n" + host + "\r\n", 505},
      {"GET /healthz HTTP/1.2\r\n" + host + "\r\n", 505},
      {"GET /healthz HTTP/1.1\r\n\r\n", 400},                         // no Host
      {"GET /healthz HTTP/1.1\r\n" + host + "Host: b\r\n\r\n", 400},  // two
      {"GET /healthz HTTP/1.1\r\n" + host + "No colon\r\n\r\n", 400},
      {"GET /healthz HTTP/1.1\r\n" + host + "A : b\r\n\r\n", 400},  // space before the colon
      {"GET /healthz HTTP/1.1\r\n" + host + "A: \x01\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\n" + host + "Content-Length: 1x\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\n" + host +
           "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       400},
      {"POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", 501},
      {"POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {"POST /echo HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501},
      {"POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {"POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400},
      {"POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1;" +
           std::string(100'000, 'e') + "\r\n",
       400},
      {"POST /echo HTTP/1.1\r\n" + host + "Expect: tea\r\nContent-Length: 1\r\n\r\n1", 417},
      {"GET /healthz HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabc", 400},
      {Post("/echo", "{}", "Content-Type: text/plain\r\n"), 415},
      {Post("/echo", "{}", "Content-Type: application/x-www-form-urlencoded\r\n"), 415},
      {Post("/echo", "{}", "Content-Type: application/json; charset=gbk\r\n"), 415},
      {Post("/json", "{}", "Content-Type: application/x-ndjson\r\n"), 415},
      {Post("/echo", "{}", "Content-Encoding: br\r\n"), 415},
      {Post("/echo", "{}", "Content-Encoding: gzip, gzip\r\n"), 415},
      {Get("/" + std::string(300, 'a')), 414},
      {"GET /" + std::string(5'000, 'a'), 414},
      {Get("/healthz", "X-Long: " + std::string(5'000, 'a') + "\r\n"), 431},
      {Post("/echo", std::string(10'001, '1')), 413},
      {Post("/echo", std::string(5'000'000, '1')), 413},
  };
  for (const auto& [bytes, status] : cases) {
    RawClient client(server.port());
    client.Send(bytes);
    const auto response = client.Read();
    ASSERT_TRUE(response.has_value()) << bytes.substr(0, 80);
    EXPECT_EQ(response->status, status) << bytes.substr(0, 80) << response->body;
    Problem(*response);
    ASSERT_TRUE(server.Healthy()) << bytes.substr(0, 80);
  }
}

// A refused body of moderate size is dropped, so that the connection can go on.
TEST(HttpServerTest, RefusalsKeepTheConnectionWhenTheBodyIsSmall) {
  TestServer server;
  RawClient client(server.port());
  client.Send(Post("/echo", "{}", "Content-Type: text/plain\r\n") + Get("/echo/next"));
  EXPECT_EQ(client.Read()->status, 415);
  EXPECT_EQ(client.Read()->body, "next");
}

TEST(HttpServerTest, ChunkedBodies) {
  TestServer server;
  const std::string head =
      "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
  RawClient client(server.port());
  client.Send(head + "3\r\n[1,\r\n2;x=y\r\n2]\r\n0\r\n\r\n" + Get("/echo/next"));
  EXPECT_EQ(client.Read()->body, "[1,2]");
  EXPECT_EQ(client.Read()->body, "next");

  std::string bytewise = head;  // in the smallest chunks, each byte sent alone
  for (const char c : std::string("[3]")) bytewise += std::string("1\r\n") + c + "\r\n";
  bytewise += "0\r\n\r\n";
  for (const char c : bytewise) client.Send({&c, 1});
  EXPECT_EQ(client.Read()->body, "[3]");

  std::string endless = head;
  for (int i = 0; i < 20; ++i) endless += "3e8\r\n" + std::string(1000, '1') + "\r\n";
  RawClient big(server.port());
  big.Send(endless);
  EXPECT_EQ(big.Read()->status, 413);
  EXPECT_TRUE(server.Healthy());
}

TEST(HttpServerTest, CompressedBodies) {
  TestServer server;
  const std::string gzip = "Content-Encoding: gzip\r\n";
  EXPECT_EQ(server.Do(Post("/echo", Gzip("[1,2,3]"), gzip)).body, "[1,2,3]");
  const std::string bomb = Gzip(std::string(9'000'000, '1'));  // 9 MB in some 9 kB
  ASSERT_LT(bomb.size(), 100'000u);
  ServerConfig roomy = TestServer::SmallLimits();
  roomy.max_body_bytes = 100'000;
  TestServer bombed(roomy);
  EXPECT_EQ(bombed.Do(Post("/echo", bomb, gzip)).status, 413);
  EXPECT_TRUE(bombed.Healthy());
  EXPECT_EQ(server.Do(Post("/echo", Gzip("[1]").substr(0, 10), gzip)).status, 400);
  EXPECT_EQ(server.Do(Post("/echo", "this is not gzip", gzip)).status, 400);

  const std::string long_text = "\"" + std::string(5'000, 'a') + "\"";
  const RawResponse packed =
      server.Do(Post("/echo", long_text, "Accept-Encoding: br;q=1, GZIP;q=0.5\r\n"));
  EXPECT_EQ(packed.Header("Content-Encoding"), "gzip");
  EXPECT_EQ(Gunzip(packed.body, 10'000).value(), long_text);
  for (const char* accept : {"", "Accept-Encoding: br\r\n", "Accept-Encoding: gzip;q=0\r\n"})
    EXPECT_EQ(server.Do(Post("/echo", long_text, accept)).body, long_text) << accept;
}

TEST(HttpServerTest, ContinuesOnlyWhenTheBodyIsWanted) {
  TestServer server;
  const auto head = [](int size) {
    return "POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: " +
           std::to_string(size) + "\r\n\r\n";
  };
  RawClient client(server.port());
  client.Send(head(3));
  EXPECT_EQ(client.Read()->status, 100);
  client.Send("[7]");
  EXPECT_EQ(client.Read()->body, "[7]");

  RawClient refused(server.port());
  refused.Send(head(20'000));
  EXPECT_EQ(refused.Read()->status, 413);
  EXPECT_TRUE(refused.ClosedByServer());
}

TEST(HttpServerTest, SlowClientsAreCut) {
  ServerConfig config = TestServer::SmallLimits();
  config.header_timeout_ms = config.body_timeout_ms = config.idle_timeout_ms = 150;
  config.write_timeout_ms = 150;
  TestServer server(config);

  RawClient idle(server.port()), slow_head(server.port()), slow_body(server.port());
  const auto start = steady_clock::now();
  slow_body.Send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n[1,");
  std::thread drip([&] {  // a byte at a time does not help: the whole head has one deadline
    for (const char c : std::string("GET /healthz HTTP/1.1\r\nX: abcdefghijklmnop")) {
      if (!slow_head.Send({&c, 1})) break;
      std::this_thread::sleep_for(milliseconds(10));
    }
  });
  EXPECT_EQ(slow_head.Read()->status, 408);
  drip.join();
  EXPECT_EQ(slow_body.Read()->status, 408);
  EXPECT_TRUE(idle.ClosedByServer());
  EXPECT_GE(steady_clock::now() - start, milliseconds(150));

  RawClient deaf(server.port());  // asks for 20 MB and reads none of it
  deaf.Send(Get("/big"));
  std::this_thread::sleep_for(milliseconds(500));
  EXPECT_FALSE(deaf.Read().has_value());
  EXPECT_TRUE(server.Healthy());
}

TEST(HttpServerTest, HalfClosedClientsGetTheirAnswer) {
  TestServer server;
  RawClient whole(server.port());
  whole.Send(Get("/later") + Get("/echo/second"));
  whole.EndSending();
  server.gate.Open();
  EXPECT_EQ(whole.Read()->body, "late");
  EXPECT_EQ(whole.Read()->body, "second");
  EXPECT_TRUE(whole.ClosedByServer());

  RawClient half_head(server.port()), half_body(server.port());
  half_head.Send("GET /healthz HTTP/1.1\r\nHos");
  half_head.EndSending();
  EXPECT_EQ(half_head.Read()->status, 400);
  half_body.Send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n[1,");
  half_body.EndSending();
  EXPECT_EQ(half_body.Read()->status, 400);
}

TEST(HttpServerTest, ClientsThatVanishDoNoHarm) {
  TestServer server;
  for (int i = 0; i < 50; ++i) {
    RawClient client(server.port());
    client.Send(i % 2 == 0 ? Get("/later") : Get("/big"));
  }
  server.gate.Open();
  EXPECT_TRUE(server.Healthy());
}

TEST(HttpServerTest, TooManyConnectionsAreToldSo) {
  ServerConfig config = TestServer::SmallLimits();
  config.max_connections = 3;
  TestServer server(config);
  std::vector<std::unique_ptr<RawClient>> kept;
  for (int i = 0; i < 3; ++i) {
    kept.push_back(std::make_unique<RawClient>(server.port()));
    kept.back()->Send(Get("/echo/a"));
    ASSERT_EQ(kept.back()->Read()->status, 200);
  }
  for (int i = 0; i < 200; ++i) {  // far beyond the limit: some are closed without a word
    kept.push_back(std::make_unique<RawClient>(server.port()));
    ASSERT_TRUE(kept.back()->connected());
  }
  const auto refused = kept[3]->Read();
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->status, 503);
  EXPECT_EQ(refused->Header("Retry-After"), "1");
  kept[0]->Send(Get("/echo/still"));  // those inside are served
  EXPECT_EQ(kept[0]->Read()->body, "still");
  kept.clear();
  const auto end = steady_clock::now() + std::chrono::seconds(5);
  while (!server.Healthy() && steady_clock::now() < end)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_TRUE(server.Healthy());
}

TEST(HttpServerTest, BodiesInFlightHaveACommonLimit) {
  ServerConfig config = TestServer::SmallLimits();
  config.max_bytes_in_flight = 12'000;
  TestServer server(config);
  RawClient first(server.port());
  first.Send(
      "POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: "
      "9000\r\n\r\n");
  ASSERT_EQ(first.Read()->status, 100);  // its 9000 bytes are counted now
  EXPECT_EQ(server.Do(Post("/echo", std::string(5'000, '1'))).status, 503);
  first.Send(std::string(9'000, '1'));
  EXPECT_EQ(first.Read()->status, 200);
  EXPECT_EQ(server.Do(Post("/echo", std::string(5'000, '1'))).status, 200);
}

TEST(HttpServerTest, StopFinishesWhatIsInFlight) {
  TestServer server;
  RawClient busy(server.port()), working(server.port()), idle(server.port());
  idle.Send(Get("/echo/a"));
  ASSERT_EQ(idle.Read()->status, 200);
  busy.Send(Get("/later"));
  working.Send(Get("/worker"));
  server.gate.Await(2);
  auto stopped = std::async(std::launch::async, [&] { server.server->Stop(); });
  EXPECT_TRUE(idle.ClosedByServer());
  EXPECT_EQ(stopped.wait_for(milliseconds(100)), std::future_status::timeout);
  server.gate.Open();
  const auto late = busy.Read();
  ASSERT_TRUE(late.has_value());
  EXPECT_EQ(late->body, "late");
  EXPECT_EQ(late->Header("Connection"), "close");
  EXPECT_EQ(working.Read()->body, "worked");
  stopped.get();
  EXPECT_FALSE(RawClient(server.port()).connected());
}

TEST(HttpServerTest, StopCutsWhatTakesTooLong) {
  ServerConfig config = TestServer::SmallLimits();
  config.shutdown_timeout_ms = 100;
  TestServer server(config);
  RawClient busy(server.port());
  busy.Send(Get("/later"));
  server.gate.Await(1);
  const auto start = steady_clock::now();
  server.server->Stop();
  EXPECT_LT(steady_clock::now() - start, milliseconds(1500));
  EXPECT_FALSE(busy.Read().has_value());
  server.gate.Open();  // the handler's answer finds nobody, and nothing breaks
}

TEST(HttpServerTest, AFailingHandlerCostsOneRequest) {
  TestServer server;
  const RawResponse thrown = server.Do(Get("/throw"));
  EXPECT_EQ(thrown.status, 500);
  EXPECT_EQ(thrown.body.find("secret"), std::string::npos);
  EXPECT_EQ(server.Do(Get("/drop")).status, 500);
  EXPECT_TRUE(server.Healthy());
}

TEST(HttpServerTest, WithoutKeysOnlyThisMachineIsServed) {
  TestServer server;
  const auto get = [&](const std::string& host, const std::string& more = "") {
    return server.Do("GET /echo/a HTTP/1.1\r\nHost: " + host + "\r\n" + more + "\r\n").status;
  };
  EXPECT_EQ(get("127.0.0.1:7600"), 200);
  EXPECT_EQ(get("[::1]:7600"), 200);
  EXPECT_EQ(get("LocalHost"), 200);
  EXPECT_EQ(get("evil.example"), 421);  // a name an attacker may point at 127.0.0.1
  EXPECT_EQ(get("localhost:1", "Origin: http://evil.example\r\n"), 403);
  EXPECT_EQ(get("localhost:1", "Origin: http://localhost:1\r\n"), 200);
}

TEST(HttpServerTest, KeysOpenWhatTheirScopesSay) {
  TestServer server;
  const std::string key = server.keys->Create("ok", {"recommend"}, "").value();
  const std::string admin = server.keys->Create("", {"admin"}, "").value();
  const std::string other = server.keys->Create("", {"metrics"}, "").value();
  const auto get = [&](const std::string& authorization) {
    return server.Do(
        Get("/echo/a", authorization.empty() ? "" : "Authorization: " + authorization + "\r\n"));
  };
  const RawResponse missing = get("");
  EXPECT_EQ(missing.status, 401);
  EXPECT_EQ(missing.Header("WWW-Authenticate"), "Bearer realm=\"heed\"");
  EXPECT_EQ(get("Bearer " + key).status, 200);
  EXPECT_EQ(get("bearer " + admin).status, 200);
  EXPECT_EQ(get("Bearer " + other).status, 403);
  EXPECT_EQ(get("Basic " + key).status, 401);
  std::string forged = key;
  forged.back() = forged.back() == '0' ? '1' : '0';
  EXPECT_EQ(get("Bearer " + forged).status, 401);
  EXPECT_EQ(get("Bearer").status, 401);
  EXPECT_TRUE(server.Healthy());  // open without a key

  ASSERT_TRUE(server.keys->Revoke(key.substr(5, 8)).ok());
  EXPECT_EQ(get("Bearer " + key).status, 401);
}

TEST(HttpServerTest, RequestsAreCounted) {
  TestServer server;
  server.Do(Get("/echo/a"));
  server.Do(Get("/nowhere"));
  server.Do(Post("/echo", "{}", "Content-Type: text/plain\r\n"));
  const std::string text = server.metrics.Text();
  for (const char* line :
       {"heed_http_requests_total{method=\"GET\",route=\"/echo/{name}\",status=\"2xx\"} 1\n",
        "heed_http_requests_total{method=\"POST\",route=\"/echo\",status=\"4xx\"} 1\n",
        "heed_http_requests_total{method=\"\",route=\"none\",status=\"4xx\"} 1\n",
        "heed_http_request_seconds_count{method=\"GET\",route=\"/echo/{name}\"} 1\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

// Valid requests with bytes changed, cut, doubled: whatever comes back, the server lives.
TEST(HttpServerTest, SurvivesMutatedRequests) {
  ServerConfig config = TestServer::SmallLimits();
  config.header_timeout_ms = config.body_timeout_ms = 100;
  TestServer server(config);
  const std::vector<std::string> seeds = {
      Get("/echo/a?suffix=b", "Accept-Encoding: gzip\r\n"), Post("/echo", "{\"a\":[1,2,3]}"),
      Post("/echo", Gzip("[1,2,3]"), "Content-Encoding: gzip\r\n"),
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n"};
  Random random(20);
  for (int round = 0; round < 300; ++round) {
    std::string bytes = seeds[random.Below(seeds.size())];
    for (uint64_t edits = 1 + random.Below(4); edits > 0; --edits) {
      const size_t at = random.Below(bytes.size());
      switch (random.Below(3)) {
        case 0: bytes[at] = static_cast<char>(random.Below(256)); break;
        case 1: bytes.erase(at, 1 + random.Below(8)); break;
        default: bytes.insert(at, bytes.substr(random.Below(bytes.size()), random.Below(40)));
      }
      if (bytes.empty()) bytes = "x";
    }
    RawClient client(server.port());
    client.Send(bytes);
    client.EndSending();
    const auto response = client.Read();
    if (response) {
      EXPECT_NE(response->status, 500) << bytes;
    }
  }
  EXPECT_TRUE(server.Healthy());
}

}  // namespace
}  // namespace heed::server
