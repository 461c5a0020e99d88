// A server over a real engine, and requests to it: for tests of the routes.
#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>
#include <string>
#include <utility>

#include "heed/engine.h"

#include "base/clock.h"
#include "server/http_client.h"
#include "server/server.h"
#include "server/test_server.h"

namespace heed::server {

namespace json = boost::json;

inline std::string EventJson(const std::string& id, const std::string& type,
                             const std::string& room, const std::string& user,
                             const std::string& data, int64_t ts = 0,
                             const std::string& tenant = "default") {
  if (ts == 0) ts = heed::Clock::System().now_ms() - 1'000;
  return R"({"v":"1","id":")" + id + R"(","type":")" + type + R"(","ts":)" + std::to_string(ts) +
         R"(,"tenant":")" + tenant + R"(","room":")" + room + R"(","session":")" + room +
         R"(-s","src":{"platform":"test","adapter":"test"},"actor":{"id":")" + user +
         R"(","kind":"viewer"},"data":)" + data + "}";
}

class ApiTest : public testing::Test {
 protected:
  struct Answer {
    int status = 0;
    json::value body;

    std::string Text(const char* name) const {
      const json::value* value = body.is_object() ? body.get_object().if_contains(name) : nullptr;
      return value != nullptr && value->is_string()
                 ? std::string(std::string_view(value->get_string()))
                 : "";
    }
  };

  void SetUp() override {
    config_.engine.directory = directory_.path();
    config_.server.port = 0;
    config_.server.threads = 2;
    config_.server.max_body_bytes = 1 << 20;
    config_.server.max_events_per_request = 100;
    config_.server.max_documents_per_request = 50;
    config_.engine.max_candidates = 20;
  }
  void StartServer() {
    auto engine = Engine::Open(config_.engine);
    ASSERT_TRUE(engine.ok()) << engine.status().ToString();
    engine_ = std::move(engine).value();
    auto server = Server::Start(*engine_, config_);
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = std::move(server).value();
  }
  Answer Do(const std::string& method, const std::string& target, const std::string& body = "",
            HttpClient::Headers headers = {}) {
    if (server_ == nullptr) StartServer();
    Answer out;
    auto client = HttpClient::Connect("127.0.0.1", server_->port());
    if (!client.ok()) return out;
    if (!key_.empty()) headers.emplace_back("Authorization", "Bearer " + key_);
    auto response = client.value().Request(method, target, body, headers);
    if (!response.ok()) return out;
    out.status = response.value().status;
    json::error_code error;
    if (!response.value().body.empty()) out.body = json::parse(response.value().body, error);
    EXPECT_FALSE(error) << target << ": " << response.value().body;
    if (out.status >= 400) {
      EXPECT_EQ(response.value().content_type, "application/problem+json");
      EXPECT_EQ(out.body.at("status").as_int64(), out.status);
    }
    return out;
  }
  // Three live rooms with products, and viewers in them.
  void Evening() {
    std::string lines;
    for (const char* n : {"1", "2", "3"}) {
      const std::string room = std::string("r") + n, host = std::string("h") + n;
      lines += EventJson("start" + room, "stream.start", room, host,
                         R"({"title":"t","category":"c","host_id":")" + host + "\"}") +
               "\n";
      for (const char* p : {"a", "b"})
        lines += EventJson("bind" + room + p, "product.bind", room, host,
                           R"({"product_id":"p)" + std::string(n) + p +
                               R"(","price_cents":990,"stock":5,"on":true})") +
                 "\n";
      lines +=
          EventJson("enter" + room, "viewer.enter", room, "u1", R"({"channel":"feed"})") + "\n";
    }
    const Answer answer =
        Do("POST", "/v1/events", lines, {{"Content-Type", "application/x-ndjson"}});
    ASSERT_EQ(answer.status, 200) << answer.body;
    ASSERT_EQ(answer.body.at("stored").as_int64(), 12) << answer.body;
  }

  TempDirectory directory_;
  Config config_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Server> server_;
  std::string key_;
};

}  // namespace heed::server
