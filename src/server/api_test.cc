// The routes over a real engine.
#include "server/api.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/json.hpp>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/api_fixture.h"
#include "server/gzip.h"
#include "server/keys.h"

namespace heed::server {
namespace {

std::string Enter(const std::string& id, const std::string& tenant = "default") {
  return EventJson(id, "viewer.enter", "r1", "u1", R"({"channel":"feed"})", 0, tenant);
}

TEST_F(ApiTest, EventsAreStoredOnceInEveryForm) {
  Answer answer = Do("POST", "/v1/events", Enter("a"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(
      json::serialize(answer.body),
      R"({"stored":1,"duplicates":0,"refused":0,"results":[{"status":"stored","sequence":1}]})");
  answer = Do("POST", "/v1/events", "[" + Enter("a") + "," + Enter("b") + "]",
              {{"Content-Type", "application/json; charset=UTF-8"}, {"Idempotency-Key", "k"}});
  EXPECT_EQ(json::serialize(answer.body),
            R"({"stored":1,"duplicates":1,"refused":0,"results":[)"
            R"({"status":"duplicate","sequence":1},{"status":"stored","sequence":2}]})");
  answer = Do("POST", "/v1/events", Gzip(Enter("c") + "\n" + Enter("d") + "\r\n\n" + Enter("d")),
              {{"Content-Type", "application/x-ndjson"}, {"Content-Encoding", "gzip"}});
  EXPECT_EQ(answer.body.at("stored").as_int64(), 2) << answer.body;
  EXPECT_EQ(answer.body.at("duplicates").as_int64(), 1) << answer.body;
  EXPECT_EQ(engine_->Stats().last_sequence, 4u);
}

TEST_F(ApiTest, EachRefusedEventIsNamed) {
  const int64_t now = heed::Clock::System().now_ms();
  const auto enter_at = [](int64_t ts) {
    return EventJson("t", "viewer.enter", "r1", "u1", R"({"channel":"feed"})", ts);
  };
  const auto replaced = [](const std::string& from, const std::string& to) {
    std::string text = Enter("x");
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  const std::pair<std::string, std::string> cases[] = {
      {replaced("\"feed\"", "7"), "/data/channel"},
      {replaced("\"channel\"", "\"chanel\""), "/data/channel"},
      {replaced("\"viewer\"", "\"vewer\""), "/actor/kind"},
      {replaced("\"tenant\"", "\"tennant\""), "/tennant"},
      {replaced("viewer.enter", "viewer.entr"), "/type"},
      {enter_at(now / 1000), "/ts"},       // seconds
      {enter_at(now + 3'600'000), "/ts"},  // an hour ahead: the engine's own check
  };
  for (const auto& [body, field] : cases) {
    const Answer answer = Do("POST", "/v1/events", body);
    EXPECT_EQ(answer.status, 400) << body;
    EXPECT_EQ(answer.Text("field"), field) << body << answer.body;
  }
  // Some of a batch: the rest is stored.
  Answer answer =
      Do("POST", "/v1/events",
         "[" + cases[0].first + "," + Enter("fine") + "," + enter_at(now + 3'600'000) + "]");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body.at("refused").as_int64(), 2);
  EXPECT_EQ(answer.body.at("results").at(0).at("problem").at("field").as_string(), "/data/channel");
  EXPECT_EQ(answer.body.at("results").at(1).at("status").as_string(), "stored");
  EXPECT_EQ(answer.body.at("results").at(2).at("problem").at("field").as_string(), "/ts");
  // All of a batch: the request is refused, with each reason.
  answer = Do("POST", "/v1/events", "[" + cases[0].first + "," + cases[3].first + "]");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.Text("field"), "/0/data/channel");
  EXPECT_EQ(answer.body.at("results").at(1).at("problem").at("field").as_string(), "/tennant");
}

TEST_F(ApiTest, BodiesThatAreNoEventsAreRefused) {
  for (const std::string& body :
       {std::string(), std::string("   "), std::string("{"), std::string("[]"), std::string("5"),
        std::string("[1]"), std::string("{\"v\":NaN}"), std::string("[{}"),
        Enter("a").substr(0, 50), "[" + Enter("a") + ",]", std::string("\xFF\xFE"),
        std::string(200'000, '['), EventJson("\xC3\x28", "like", "r", "u", "{\"count\":1}"),
        EventJson("a", "like", "r", "u", "{\"count\":NaN}")}) {
    const Answer answer = Do("POST", "/v1/events", body);
    EXPECT_EQ(answer.status, 400) << body.substr(0, 60) << answer.body;
    EXPECT_FALSE(answer.Text("detail").empty());
  }
  std::string many;
  for (int i = 0; i < 101; ++i) many += Enter("m" + std::to_string(i)) + "\n";
  EXPECT_EQ(Do("POST", "/v1/events", many).status, 413);
  EXPECT_EQ(Do("POST", "/v1/events", std::string(2 << 20, ' ')).status, 413);
  EXPECT_EQ(engine_->Stats().last_sequence, 0u);
  EXPECT_EQ(Do("GET", "/healthz").status, 200);
}

TEST_F(ApiTest, AFullQueueIsToldToTryAgain) {
  config_.engine.max_queued_events = 1;
  StartServer();
  // While one batch is being written the queue holds another, and a third has no room.
  std::atomic<bool> seen = false;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> clients;
  for (int c = 0; c < 6; ++c) {
    clients.emplace_back([&, c] {
      HttpClient client = HttpClient::Connect("127.0.0.1", server_->port()).value();
      for (int i = 0; i < 2'000 && !seen; ++i) {
        std::string lines;
        for (int e = 0; e < 20; ++e)
          lines += Enter(std::to_string(c) + "/" + std::to_string(i * 20 + e)) + "\n";
        const int status = client.Request("POST", "/v1/events", lines).value().status;
        if (status == 429) seen = true;
        if (status != 429 && status != 200) ++wrong;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(seen);
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(Do("POST", "/v1/events", Enter("one")).status, 200);
}

TEST_F(ApiTest, RecommendsWhatIsLiveAndExplains) {
  Evening();
  Answer hosts = Do("POST", "/v1/recommend/hosts", R"({"user":"u1","limit":2,"explain":true})");
  ASSERT_EQ(hosts.status, 200) << hosts.body;
  ASSERT_EQ(hosts.body.at("items").as_array().size(), 2u) << hosts.body;
  const json::object& first = hosts.body.at("items").at(0).as_object();
  EXPECT_TRUE(first.contains("attention") && first.contains("tasks")) << hosts.body;
  EXPECT_GT(first.at("propensity").to_number<double>(), 0);
  EXPECT_EQ(hosts.body.at("state_sequence").as_int64(), 12);
  hosts = Do("POST", "/v1/recommend/hosts", R"({"user":"new","candidates":["h2","nobody"]})");
  ASSERT_EQ(hosts.body.at("items").as_array().size(), 1u) << hosts.body;
  EXPECT_EQ(hosts.body.at("items").at(0).at("room").as_string(), "r2");
  EXPECT_FALSE(hosts.body.at("items").at(0).as_object().contains("attention"));
  EXPECT_EQ(hosts.body.at("filtered").at(0).at("id").as_string(), "nobody");

  const Answer products = Do("POST", "/v1/recommend/products", R"({"user":"u1","room":"r1"})");
  ASSERT_EQ(products.status, 200) << products.body;
  EXPECT_EQ(products.body.at("items").as_array().size(), 2u) << products.body;

  // Decisions are written beside the answer, not before it.
  const std::string id = products.Text("decision_id");
  Answer decision;
  for (int tries = 0; tries < 200 && decision.status != 200; ++tries) {
    decision = Do("GET", "/v1/decisions/" + id);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(decision.status, 200);
  EXPECT_EQ(Do("GET", "/v1/decisions/" + id + "?tenant=other").status, 404);
  EXPECT_EQ(Do("GET", "/v1/decisions/none").status, 404);
}

TEST_F(ApiTest, RecommendRequestsAreStrict) {
  std::string many = R"({"user":"u","candidates":[)";
  for (int i = 0; i < 21; ++i) many += (i > 0 ? ",\"" : "\"") + std::to_string(i) + '"';
  const std::tuple<const char*, std::string, const char*> cases[] = {
      {"hosts", R"({})", "/user"},
      {"hosts", R"({"user":"u","usr":1})", "/usr"},
      {"hosts", R"({"user":"u","room_id":"r"})", "/room_id"},
      {"hosts", R"({"user":7})", "/user"},
      {"hosts", R"({"user":"u","limit":"5"})", "/limit"},
      {"hosts", R"({"user":"u","limit":0})", "/limit"},
      {"hosts", R"({"user":"u","limit":1e2})", "/limit"},
      {"hosts", R"({"user":"u","explain":"yes"})", "/explain"},
      {"hosts", R"({"user":"u","candidates":{}})", "/candidates"},
      {"hosts", R"({"user":"u","candidates":[""]})", "/candidates/0"},
      {"hosts", many + "]}", "/candidates"},
      {"products", R"({"user":"u"})", "/room"},
      {"hosts", R"([])", ""},
      {"hosts", R"({"user":"u")", ""},
      {"hosts", R"({"user":NaN})", ""},
      {"hosts", "{\"user\":\"\xFF\"}", ""},
      {"hosts", "", ""},
  };
  for (const auto& [what, body, field] : cases) {
    const Answer answer = Do("POST", std::string("/v1/recommend/") + what, body);
    EXPECT_EQ(answer.status, 400) << body << answer.body;
    EXPECT_EQ(answer.Text("field"), field) << body << answer.body;
  }
  EXPECT_EQ(Do("POST", "/v1/recommend/products", R"({"user":"u","room":"none"})").status, 404);
  EXPECT_EQ(Do("GET", "/v1/recommend/hosts").status, 405);
}

TEST_F(ApiTest, CatalogDocumentsComeAndGo) {
  for (const std::string kind : {"hosts", "products", "rooms"}) {
    const std::string path = "/v1/catalog/" + kind;
    EXPECT_EQ(Do("GET", path).body.at("items").as_array().size(), 0u);
    EXPECT_EQ(Do("PUT", path + "/a%2Fb", R"({"status":"active"})").status, 200);
    EXPECT_EQ(Do("GET", path + "/a%2Fb").Text("id"), "a/b");
    EXPECT_EQ(Do("PUT", path + "/x", R"({"id":"y"})").Text("field"), "/id");
    EXPECT_EQ(Do("PUT", path + "/x", R"([])").status, 400);
    EXPECT_EQ(Do("PUT", path + "/x", R"({"status":"on"})").Text("field"), "/status");

    Answer bulk =
        Do("POST", path, R"([{"id":"b"},{"id":"c"},{"nam":1},{"id":"d","status":"off"}])");
    EXPECT_EQ(bulk.body.at("stored").as_int64(), 3) << bulk.body;
    EXPECT_EQ(bulk.body.at("errors").at(0).at("index").as_int64(), 2);
    bulk = Do("POST", path, "{\"id\":\"e\"}\n{\"id\":\"f\"}\n",
              {{"Content-Type", "application/x-ndjson"}});
    EXPECT_EQ(bulk.body.at("stored").as_int64(), 2) << bulk.body;
    EXPECT_EQ(Do("POST", path, R"([{"id":5}])").status, 400);
    EXPECT_EQ(Do("POST", path, "[]").status, 400);
    EXPECT_EQ(Do("POST", path, "{\"id\":\"g\"}\n{").status, 400);

    std::vector<std::string> seen;
    std::string cursor;
    do {  // two at a time
      const Answer page =
          Do("GET", path + "?limit=2" + (cursor.empty() ? "" : "&cursor=" + cursor));
      ASSERT_EQ(page.status, 200) << page.body;
      for (const json::value& item : page.body.at("items").as_array())
        seen.emplace_back(std::string_view(item.at("id").as_string()));
      cursor = page.Text("next_cursor");
      for (size_t slash = 0; (slash = cursor.find('/')) != std::string::npos;)
        cursor.replace(slash, 1, "%2F");
    } while (!cursor.empty() && seen.size() < 100);
    EXPECT_EQ(seen, (std::vector<std::string>{"a/b", "b", "c", "d", "e", "f"}));
    EXPECT_EQ(Do("GET", path + "?limit=0").Text("field"), "?limit");
    EXPECT_EQ(Do("GET", path + "?limit=x").status, 400);
    EXPECT_EQ(Do("GET", path + "?after=b").Text("field"), "?after");

    EXPECT_EQ(Do("DELETE", path + "/b").status, 204);
    EXPECT_EQ(Do("DELETE", path + "/b").status, 404);
    EXPECT_EQ(Do("GET", path + "/b").status, 404);
    EXPECT_EQ(Do("GET", path + "/c?tenant=other").status, 404);
  }
}

TEST_F(ApiTest, KeysBindToTheirTenant) {
  const auto keys = KeyStore::Open(directory_.path() + "/keys.json").value();
  key_ = keys->Create("", {"events:write", "recommend", "catalog:read"}, "shop").value();
  EXPECT_EQ(Do("POST", "/v1/events", Enter("a", "shop")).status, 200);
  const Answer other = Do("POST", "/v1/events", Enter("b", "default"));
  EXPECT_EQ(other.status, 403);
  EXPECT_EQ(other.Text("field"), "/tenant");
  const Answer mixed = Do("POST", "/v1/events", "[" + Enter("c") + "," + Enter("d", "shop") + "]");
  EXPECT_EQ(mixed.body.at("stored").as_int64(), 1) << mixed.body;
  EXPECT_EQ(mixed.body.at("results").at(0).at("problem").at("status").as_int64(), 403);
  EXPECT_EQ(Do("POST", "/v1/recommend/hosts", R"({"user":"u"})").status, 200);
  EXPECT_EQ(Do("POST", "/v1/recommend/hosts", R"({"user":"u","tenant":"x"})").Text("field"),
            "/tenant");
  EXPECT_EQ(Do("GET", "/v1/catalog/hosts?tenant=x").status, 403);
  EXPECT_EQ(Do("POST", "/v1/catalog/hosts", R"({"id":"h"})").status, 403);  // reads only
  EXPECT_EQ(Do("POST", "/v1/train").status, 403);
  EXPECT_EQ(Do("GET", "/metrics").status, 403);
  key_.clear();
  EXPECT_EQ(Do("POST", "/v1/events", Enter("e", "shop")).status, 401);
  EXPECT_EQ(Do("GET", "/healthz").status, 200);
  EXPECT_EQ(Do("GET", "/readyz").status, 200);
}

TEST_F(ApiTest, OtherThanLoopbackNeedsAKey) {
  config_.server.address = "0.0.0.0";
  engine_ = Engine::Open(config_.engine).value();
  const Status refused = Server::Start(*engine_, config_).status();
  EXPECT_EQ(refused.field(), "server.address");
  EXPECT_NE(refused.message().find("heed keys create"), std::string::npos);
  ASSERT_TRUE(
      KeyStore::Open(directory_.path() + "/keys.json").value()->Create("", {"admin"}, "").ok());
  EXPECT_TRUE(Server::Start(*engine_, config_).ok());
}

TEST_F(ApiTest, AKeyMadeWhileServingCountsWithinASecond) {
  EXPECT_EQ(Do("GET", "/v1/models").status, 200);
  const auto keys = KeyStore::Open(directory_.path() + "/keys.json").value();
  key_ = keys->Create("", {"models"}, "").value();
  const std::string key = std::exchange(key_, "");
  Answer answer;
  for (int tries = 0; tries < 300 && answer.status != 401; ++tries) {
    answer = Do("GET", "/v1/models");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(answer.status, 401);
  key_ = key;
  EXPECT_EQ(Do("GET", "/v1/models").status, 200);
}

TEST_F(ApiTest, MetricsCountEvents) {
  Evening();
  Do("POST", "/v1/events", "[" + Enter("a") + "," + Enter("a") + ",{}]");
  auto client = HttpClient::Connect("127.0.0.1", server_->port());
  const std::string text = client.value().Request("GET", "/metrics", "").value().body;
  for (const char* line :
       {"heed_events_total{result=\"stored\"} 13\n", "heed_events_total{result=\"duplicate\"} 1\n",
        "heed_events_total{result=\"refused\"} 1\n", "heed_log_sequence 13\n",
        "heed_state_sequence 13\n", "heed_live_rooms 3\n",
        "heed_row_cache_entries{model=\"hosts\",rows=\"items\"} 0\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
}

TEST_F(ApiTest, ADeadlineIsChecked) {
  Evening();
  EXPECT_EQ(Do("POST", "/v1/recommend/hosts", R"({"user":"u1","deadline_ms":10000})").status, 200);
  const Answer wrong = Do("POST", "/v1/recommend/hosts", R"({"user":"u1","deadline_ms":0})");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_EQ(wrong.Text("field"), "/deadline_ms");
}

// One worker, and before the request with the deadline some that take it far longer than that.
TEST_F(ApiTest, ARequestWhoseDeadlinePassesInTheQueueIs503) {
  config_.server.rank_threads = 1;
  config_.server.rank_queue = 1'000;
  config_.server.recommend_deadline_ms = 60'000;  // of those before it, under a sanitizer too
  config_.engine.max_candidates = 20'000;
  Evening();
  std::string slow = R"({"user":"u1","explain":true,"candidates":["h1","h2","h3")";
  for (int i = 0; i < 15'000; ++i) slow += ",\"nobody" + std::to_string(i) + '"';
  slow += "]}";
  std::vector<std::unique_ptr<RawClient>> before;
  for (int i = 0; i < 20; ++i) {
    before.push_back(std::make_unique<RawClient>(server_->port()));
    before.back()->Send(Post("/v1/recommend/hosts", slow));
  }
  RawClient client(server_->port());
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  client.Send(Post("/v1/recommend/hosts", R"({"user":"u1","deadline_ms":1})"));
  const auto late = client.Read();
  ASSERT_TRUE(late.has_value());
  EXPECT_EQ(late->status, 503) << late->body;
  EXPECT_FALSE(late->Header("Retry-After").empty());
  EXPECT_NE(late->body.find("deadline"), std::string::npos) << late->body;
  for (const auto& each : before) EXPECT_EQ(each->Read()->status, 200);
}

TEST_F(ApiTest, MetricsTellWhereTheTimeOfARecommendationGoes) {
  Evening();
  ASSERT_EQ(Do("POST", "/v1/recommend/hosts", R"({"user":"u1"})").status, 200);
  ASSERT_EQ(Do("POST", "/v1/recommend/hosts", R"({"user":1})").status, 400);
  auto client = HttpClient::Connect("127.0.0.1", server_->port());
  const auto text = [&] { return client.value().Request("GET", "/metrics", "").value().body; };
  for (const char* stage : {"state", "score", "choose", "log", "write"}) {
    const std::string line =
        std::string("heed_recommend_stage_seconds_count{stage=\"") + stage + "\"} 1\n";
    // An answer can be read a moment before its writing is counted.
    for (int tries = 0; tries < 100 && text().find(line) == std::string::npos; ++tries)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_NE(text().find(line), std::string::npos) << line << text();
  }
  for (const char* line : {"heed_recommend_stage_seconds_count{stage=\"queue\"} 2\n",
                           "heed_recommend_stage_seconds_count{stage=\"parse\"} 2\n",
                           "heed_recommend_waiting 0\n", "heed_recommend_shed_total 0\n"})
    EXPECT_NE(text().find(line), std::string::npos) << line;
}

TEST_F(ApiTest, TrainingWithoutEnoughEventsSaysSo) {
  const Answer answer = Do("POST", "/v1/train");
  EXPECT_EQ(answer.status, 400) << answer.body;
  EXPECT_EQ(Do("GET", "/v1/models").status, 200);
}

TEST_F(ApiTest, OpenApiDescribesExactlyTheRoutes) {
  const Answer document = Do("GET", "/openapi.json");
  ASSERT_EQ(document.status, 200);
  std::set<std::string> described, served;
  for (const auto& path : document.body.at("paths").as_object())
    for (const auto& operation : path.value().as_object())
      described.insert(std::string(operation.key()) + " " + std::string(path.key()));
  Metrics metrics;
  Api api(*engine_, config_.server, metrics);
  for (const Route& route : MakeRoutes(api)) {
    std::string method(MethodName(route.method));
    for (char& c : method) c = static_cast<char>(c | 0x20);
    served.insert(method + " " + route.pattern);
    // and the query parameters, body and key of each
    const json::object& operation =
        document.body.at("paths").at(route.pattern).at(method).as_object();
    std::set<std::string> query;
    if (const json::value* parameters = operation.if_contains("parameters")) {
      for (const json::value& each : parameters->as_array()) {
        if (each.at("in").as_string() == "query")
          query.insert(std::string(std::string_view(each.at("name").as_string())));
      }
    }
    EXPECT_EQ(query, std::set<std::string>(route.query.begin(), route.query.end()))
        << route.pattern;
    EXPECT_EQ(operation.contains("requestBody"), route.body != Body::kNone) << route.pattern;
  }
  EXPECT_EQ(described, served);
}

}  // namespace
}  // namespace heed::server
