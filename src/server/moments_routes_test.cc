// /v1/rooms/{id}/moments and …/embeddings over a real engine.
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "media/moment_file.h"
#include "model/moment_attention.h"
#include "server/api_fixture.h"
#include "server/base64.h"
#include "server/keys.h"

namespace heed::server {
namespace {

const HttpClient::Headers kLines = {{"Content-Type", "application/x-ndjson"}};

std::string Encoded(const std::vector<float>& vector) {
  return Base64({reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)});
}

class MomentRoutesTest : public ApiTest {
 protected:
  // As heed watch writes it.
  std::string Record(int64_t second, int64_t ago_ms = 0) const {
    media::Moment moment;
    moment.room = "r";
    moment.second = second;
    moment.wall_ms = now_ms_ - ago_ms;
    moment.lag_ms = 850;
    moment.mode = "full";
    moment.of(media::Modality::kVoice) = {.ok = true, .cover = 1, .age_ms = 0};
    EXPECT_TRUE(moment.values.Set(media::Feature::kMotion, 2.5));
    EXPECT_TRUE(moment.values.Set(media::Feature::kSmileProxy, 0.5));
    return media::MomentToJson(moment);
  }
  std::string Vector(int64_t t_ms, const std::vector<float>& vector) const {
    return R"({"t_ms":)" + std::to_string(t_ms) + R"(,"dur_ms":1000,"vec":")" + Encoded(vector) +
           "\"}";
  }
  static std::string Post(const std::string& items, const std::string& encoder = "clip",
                          size_t dim = 3) {
    return R"({"encoder_id":")" + encoder + R"(","dim":)" + std::to_string(dim) +
           R"(,"modality":"picture","items":[)" + items + "]}";
  }
  std::string Scrape() {
    auto client = HttpClient::Connect("127.0.0.1", server_->port());
    return client.value().Request("GET", "/metrics", "").value().body;
  }

  const int64_t now_ms_ = heed::Clock::System().now_ms();
};

TEST_F(MomentRoutesTest, RecordsAreTakenOnceAndReadBack) {
  const std::string lines = Record(7, 3'000) + "\n" + Record(8, 2'000) + "\n";
  Answer answer = Do("POST", "/v1/rooms/r/moments?feed=f1", lines, kLines);
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(json::serialize(answer.body), R"({"taken":2,"duplicates":0,"late":0})");
  answer =
      Do("POST", "/v1/rooms/r/moments?feed=f1", "[" + Record(8, 2'000) + "," + Record(9) + "]");
  EXPECT_EQ(json::serialize(answer.body), R"({"taken":1,"duplicates":1,"late":0})");
  EXPECT_EQ(Do("POST", "/v1/rooms/r/moments?feed=f1", R"({"v":2,"t":9})").status, 400);

  answer = Do("GET", "/v1/rooms/r/moments");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.body.at("broadcast").as_string(), "measures");
  const json::array& moments = answer.body.at("moments").as_array();
  ASSERT_EQ(moments.size(), 3u) << answer.body;
  const json::value& record = moments[0].at("record");
  EXPECT_EQ(record.at("t").as_int64(), 7);
  EXPECT_EQ(record.at("f").at("vis.motion").to_number<double>(), 2.5);
  EXPECT_TRUE(record.at("f").at("face.smile_proxy").is_null()) << "nobody has allowed it";
  EXPECT_EQ(moments[0].at("ts").as_int64(), now_ms_ - 3'000);

  const std::string first = std::to_string(moments[0].at("ts").as_int64());
  answer = Do("GET", "/v1/rooms/r/moments?limit=1&since=" + first);
  ASSERT_EQ(answer.body.at("moments").as_array().size(), 1u);
  EXPECT_EQ(answer.body.at("moments").at(0).at("record").at("t").as_int64(), 8);
  const std::string next = std::to_string(answer.body.at("next_since").as_int64());
  answer = Do("GET", "/v1/rooms/r/moments?since=" + next);
  ASSERT_EQ(answer.body.at("moments").as_array().size(), 1u);
  EXPECT_EQ(answer.body.at("moments").at(0).at("record").at("t").as_int64(), 9);
  const std::string last = std::to_string(answer.body.at("next_since").as_int64());
  answer = Do("GET", "/v1/rooms/r/moments?since=" + last);
  EXPECT_TRUE(answer.body.at("moments").as_array().empty());
  EXPECT_EQ(std::to_string(answer.body.at("next_since").as_int64()), last);
  EXPECT_EQ(Do("GET", "/v1/rooms/r/moments?limit=1").body.at("moments").at(0).at("record").at("t"),
            9)
      << "without a time the newest";

  const std::string text = Scrape();
  for (const char* line :
       {"heed_moments_total{result=\"taken\"} 3\n", "heed_moments_total{result=\"duplicate\"} 1\n",
        "heed_moments_total{result=\"late\"} 0\n", "heed_moments_total{result=\"refused\"} 1\n",
        "heed_moment_rooms 1\n", "heed_moments_kept 3\n", "heed_moment_lag_seconds_count 2\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST_F(MomentRoutesTest, WhatIsNoRecordIsNamedAndNothingOfItsRequestIsTaken) {
  const auto refused = [&](const std::string& second) {
    const Answer answer =
        Do("POST", "/v1/rooms/r/moments", Record(0) + "\n" + second + "\n", kLines);
    EXPECT_EQ(answer.status, 400) << second << answer.body;
    return answer;
  };
  Answer answer = refused(R"({"v":1,"epoch":0,"t":1,"f":{"vis.motion":999}})");
  EXPECT_EQ(answer.Text("field"), "/1/f/vis.motion");
  EXPECT_NE(answer.Text("detail").find("record 1: "), std::string::npos) << answer.body;
  EXPECT_EQ(refused(R"({"v":1,"epoch":0,"t":1,"smell":1})").Text("field"), "/1/smell");
  EXPECT_EQ(refused(R"({"v":1,"epoch":0,"t":1,"room":"q"})").Text("field"), "/1/room");
  EXPECT_EQ(refused(Record(1, -3'600'000)).Text("field"), "/1/wall_ms");
  EXPECT_EQ(refused(Record(1, 90'000'000)).Text("field"), "/1/wall_ms");
  EXPECT_EQ(refused("{").Text("field"), "");
  EXPECT_EQ(Do("POST", "/v1/rooms/r/moments", "[]").status, 400);
  EXPECT_EQ(Do("POST", "/v1/rooms/r/moments?feed=" + std::string(65, 'a'), Record(0)).Text("field"),
            "?feed");
  std::string many;
  for (int i = 0; i < 1'001; ++i)
    many += R"({"v":1,"epoch":0,"t":1})"
            "\n";
  EXPECT_EQ(Do("POST", "/v1/rooms/r/moments", many, kLines).status, 413);
  EXPECT_EQ(Do("GET", "/v1/rooms/r/moments?since=-1").Text("field"), "?since");
  EXPECT_EQ(Do("GET", "/v1/rooms/r/moments?limit=0").Text("field"), "?limit");
  EXPECT_EQ(Do("GET", "/v1/rooms/r/moments").status, 404) << "nothing was taken";
}

TEST_F(MomentRoutesTest, AModelSaysWhatBears) {
  EXPECT_EQ(Do("GET", "/v1/rooms/r/attention").status, 409) << "no model";
  server_.reset();
  engine_.reset();
  const model::MomentAttentionConfig config{
      .modalities = {{.name = "picture", .features = {"vis.motion"}},
                     {.name = "voice", .features = {"audio.lufs_s"}}},
      .look_back_s = 5};
  const auto model = model::MomentAttention::Create(config, 1);
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  config_.engine.broadcast.model = directory_.path() + "/moments.heed";
  ASSERT_TRUE(model.value()->Save(config_.engine.broadcast.model).ok());

  EXPECT_EQ(Do("GET", "/v1/rooms/r/attention").status, 404);
  std::string lines;
  for (int64_t second = 0; second < 4; ++second) {
    media::Moment moment;
    moment.second = second;
    moment.wall_ms = now_ms_ - 10'000 + second * 1'000;
    moment.z.SetUnbounded(media::Feature::kMotion, static_cast<double>(second) - 1.5);
    lines += media::MomentToJson(moment) + "\n";
  }
  ASSERT_EQ(Do("POST", "/v1/rooms/r/moments", lines, kLines).status, 200);
  Answer answer = Do("GET", "/v1/rooms/r/attention");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.body.at("horizon_s").as_int64(), 60);
  EXPECT_TRUE(answer.body.at("lags").at("voice").at("now").at("lag_s").is_number());
  const json::array& readings = answer.body.at("attention").as_array();
  ASSERT_EQ(readings.size(), 4u);
  for (const json::value& reading : readings) {
    for (const char* view : {"now", "next"}) {
      const json::object& weights = reading.at(view).at("weights").as_object();
      double sum = 0;
      for (const auto& [name, weight] : weights) sum += weight.to_number<double>();
      EXPECT_NEAR(sum, 1, 1e-5);
      EXPECT_EQ(weights.at("voice").to_number<double>(), 0) << "it is missing";
      EXPECT_GT(weights.at("picture").to_number<double>(), 0);
      EXPECT_GT(reading.at(view).at("rates").at("click").to_number<double>(), 0);
    }
    EXPECT_TRUE(reading.at("without").at("picture").at("highlight").is_number());
  }
  const std::string second = std::to_string(readings[1].at("ts").as_int64());
  answer = Do("GET", "/v1/rooms/r/attention?limit=1&since=" + second);
  ASSERT_EQ(answer.body.at("attention").as_array().size(), 1u);
  EXPECT_EQ(answer.body.at("attention").at(0).at("second").as_int64(), 2);
  EXPECT_EQ(answer.body.at("next_since"), answer.body.at("attention").at(0).at("ts"));

  config_.engine.broadcast.model += ".gone";
  engine_.reset();
  const auto opened = Engine::Open(config_.engine);
  ASSERT_FALSE(opened.ok());
  EXPECT_NE(opened.status().ToString().find("broadcast.model"), std::string::npos)
      << opened.status().ToString();
}

TEST_F(MomentRoutesTest, TheRoomDecidesAndWhatIsDeletedIsGone) {
  ASSERT_EQ(Do("PUT", "/v1/catalog/rooms/r", R"({"broadcast":"proxies"})").status, 200);
  ASSERT_EQ(Do("POST", "/v1/rooms/r/moments", Record(0)).status, 200);
  Answer answer = Do("GET", "/v1/rooms/r/moments");
  EXPECT_EQ(answer.body.at("broadcast").as_string(), "proxies");
  EXPECT_EQ(answer.body.at("moments").at(0).at("record").at("f").at("face.smile_proxy"), 0.5);

  EXPECT_EQ(Do("DELETE", "/v1/rooms/r/moments").status, 204);
  EXPECT_TRUE(Do("GET", "/v1/rooms/r/moments").body.at("moments").as_array().empty());
  EXPECT_EQ(Do("DELETE", "/v1/rooms/unheard/moments").status, 204) << "as often as one likes";
  EXPECT_EQ(Do("POST", "/v1/rooms/r/moments", Record(1)).body.at("taken").as_int64(), 1);

  ASSERT_EQ(Do("PUT", "/v1/catalog/rooms/r", R"({"broadcast":"off"})").status, 200);
  answer = Do("GET", "/v1/rooms/r/moments");
  EXPECT_EQ(answer.body.at("broadcast").as_string(), "off");
  EXPECT_TRUE(answer.body.at("moments").as_array().empty()) << "switching off drops";
  answer = Do("POST", "/v1/rooms/r/moments", Record(2));
  EXPECT_EQ(answer.status, 403);
  EXPECT_NE(answer.Text("detail").find("broadcast"), std::string::npos) << answer.body;
  EXPECT_EQ(Do("POST", "/v1/rooms/r/embeddings", Post(Vector(now_ms_, {1, 2, 3}))).status, 403);
  EXPECT_EQ(Do("PUT", "/v1/catalog/rooms/r", R"({"broadcast":"maybe"})").Text("field"),
            "/broadcast");
}

TEST_F(MomentRoutesTest, TheRoomsCommentsAreAModality) {
  std::string events = EventJson("s", "stream.start", "r", "h",
                                 R"({"title":"t","category":"c","host_id":"h"})", now_ms_ - 3'000);
  const char* const texts[] = {"这个多少钱", "价格多少", "主播好漂亮", "太好看了"};
  for (int i = 0; i < 4; ++i) {
    events +=
        "\n" + EventJson("c" + std::to_string(i), "comment.post", "r", "u" + std::to_string(i % 3),
                         R"({"text":")" + std::string(texts[i]) + "\"}", now_ms_ - 2'000);
  }
  ASSERT_EQ(Do("POST", "/v1/events", events, kLines).status, 200);
  for (int tries = 0; tries < 1'000; ++tries) {
    const Answer read = Do("GET", "/v1/rooms/r/comments");
    if (read.body.at("minute").at("comments").as_int64() == 4) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  // The second one is of a recording: of its arrival, however long this test takes.
  ASSERT_EQ(
      Do("POST", "/v1/rooms/r/moments", Record(0, 60'000) + Record(1, now_ms_), kLines).status,
      200);
  const Answer answer = Do("GET", "/v1/rooms/r/moments");
  const json::value& late = answer.body.at("moments").at(0).at("record");
  EXPECT_TRUE(late.at("f").at("comments.rate").is_null()) << "nobody knows how they were then";
  const json::value& now = answer.body.at("moments").at(1).at("record");
  EXPECT_EQ(now.at("mod").at("comments").at("ok").as_int64(), 1) << answer.body;
  EXPECT_TRUE(now.at("f").at("comments.rate").is_number());
  EXPECT_EQ(now.at("f").at("comments.viewers").to_number<double>(), 3);
  EXPECT_EQ(now.at("f").at("comments.question_share").to_number<double>(), 0.5);
  EXPECT_GT(now.at("f").at("comments.sentiment").to_number<double>(), 0);
}

TEST_F(MomentRoutesTest, VectorsAreTakenAndReadBackBesideTheirMoments) {
  ASSERT_EQ(Do("POST", "/v1/rooms/r/moments", Record(0, 5'000) + Record(1, 4'000), kLines).status,
            200);
  const std::vector<float> v = {0.25f, -3, 1e-20f};
  Answer answer = Do("POST", "/v1/rooms/r/embeddings",
                     Post(Vector(now_ms_ - 5'000, v) + "," + Vector(now_ms_ - 1'000, v)));
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(json::serialize(answer.body), R"({"taken":2,"duplicates":0,"late":0})");
  EXPECT_EQ(Do("POST", "/v1/rooms/r/embeddings", Post(Vector(now_ms_ - 1'000, v)))
                .body.at("duplicates")
                .as_int64(),
            1);
  answer = Do("GET", "/v1/rooms/r/moments");
  EXPECT_TRUE(answer.body.at("moments").at(0).at("encoders").as_array().empty());
  EXPECT_EQ(answer.body.at("moments").at(1).at("encoders").at(0).as_string(), "clip")
      << "a late vector finds its second: " << answer.body;
  ASSERT_EQ(Do("POST", "/v1/rooms/r/moments", Record(4)).status, 200);
  answer = Do("GET", "/v1/rooms/r/moments?limit=1");
  EXPECT_EQ(answer.body.at("moments").at(0).at("encoders").as_array().size(), 1u)
      << "and an early one: " << answer.body;

  answer = Do("GET", "/v1/rooms/r/embeddings");
  EXPECT_EQ(json::serialize(answer.body),
            R"({"room":"r","encoders":[{"encoder_id":"clip","modality":"picture","dim":3,)"
            R"("items":2}]})");
  answer =
      Do("GET", "/v1/rooms/r/embeddings?encoder=clip&since=" + std::to_string(now_ms_ - 5'000));
  const json::array& items = answer.body.at("items").as_array();
  ASSERT_EQ(items.size(), 1u) << answer.body;
  EXPECT_EQ(items[0].at("t_ms").as_int64(), now_ms_ - 1'000);
  EXPECT_EQ(items[0].at("vec").as_string(), Encoded(v));
  EXPECT_EQ(Do("GET", "/v1/rooms/r/embeddings?encoder=other").status, 404);
  const std::string text = Scrape();
  EXPECT_NE(text.find("heed_embeddings_total{result=\"taken\"} 2\n"), std::string::npos) << text;
  EXPECT_NE(text.find("heed_embeddings_kept 2\n"), std::string::npos) << text;
}

TEST_F(MomentRoutesTest, WhatIsNoVectorIsNamed) {
  const std::vector<float> v = {3, 0, 4};
  ASSERT_EQ(Do("POST", "/v1/rooms/r/embeddings", Post(Vector(now_ms_, v))).status, 200);
  const auto item = [&](const std::string& vec, const std::string& more = "") {
    return R"({"t_ms":)" + std::to_string(now_ms_) + R"(,"vec":")" + vec + "\"" + more + "}";
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  std::string swapped(12, '\0');  // big-endian
  for (size_t i = 0; i < 12; ++i)
    swapped[i] = reinterpret_cast<const char*>(v.data())[i / 4 * 4 + 3 - i % 4];
  const std::pair<std::string, const char*> wrong[] = {
      {"{}", "/encoder_id"},
      {R"({"encoder_id":"e","modality":"picture","items":[]})", "/dim"},
      {R"({"encoder_id":"e","dim":0,"modality":"picture","items":[]})", "/dim"},
      {R"({"encoder_id":"e","dim":4097,"modality":"picture","items":[]})", "/dim"},
      {R"({"encoder_id":"e","dim":3,"modality":"smell","items":[]})", "/modality"},
      {R"({"encoder_id":"e","dim":3,"modality":"face","items":[]})", "/items"},
      {R"({"encoder_id":"","dim":3,"modality":"face","items":[]})", "/encoder_id"},
      {R"({"encoder_id":"e","dim":3,"modality":"face","items":[{"vec":""}]})", "/items/0/t_ms"},
      {Post(item("AAAA")), "/items/0/vec"},
      {Post(item("AAA")), "/items/0/vec"},
      {Post(item("AAAAAAAAAAAAAA*=")), "/items/0/vec"},
      {Post(item(Encoded({1, nan, 2}))), "/items/0/vec"},
      {Post(item(Encoded({1, 2, infinity}))), "/items/0/vec"},
      {Post(item(Encoded(v), R"(,"norm":5.1)")), "/items/0/norm"},
      {Post(item(Base64(swapped), R"(,"norm":5)")), "/items/0/norm"},
      {Post(item(Encoded(v), R"(,"dur_ms":0)")), "/items/0/dur_ms"},
      {Post(item(Encoded(v), R"(,"weight":1)")), "/items/0/weight"},
      {Post(Vector(now_ms_ + 3'600'000, v)), "/items/0/t_ms"},
      {Post(Vector(now_ms_ - 700'000, v)), "/items/0/t_ms"},
      {Post(Vector(now_ms_, {1, 2}), "clip", 2), "/dim"},
  };
  for (const auto& [body, field] : wrong) {
    const Answer refused = Do("POST", "/v1/rooms/r/embeddings", body);
    EXPECT_EQ(refused.status, 400) << body << refused.body;
    EXPECT_EQ(refused.Text("field"), field) << body << refused.body;
  }
  const Answer taken = Do("POST", "/v1/rooms/r/embeddings",
                          Post(R"({"t_ms":)" + std::to_string(now_ms_ + 1'000) + R"(,"vec":")" +
                               Encoded(v) + R"(","norm":5})"));
  EXPECT_EQ(taken.status, 200) << taken.body;
}

TEST_F(MomentRoutesTest, KeysNeedTheScopes) {
  StartServer();
  const auto keys = KeyStore::Open(directory_.path() + "/keys.json").value();
  key_ = keys->Create("", {"rooms:read"}, "").value();
  server_.reset();
  engine_.reset();
  EXPECT_EQ(Do("GET", "/v1/rooms/r/moments").status, 404);
  EXPECT_EQ(Do("POST", "/v1/rooms/r/moments", Record(0)).status, 403);
  EXPECT_EQ(Do("DELETE", "/v1/rooms/r/moments").status, 403);
  EXPECT_EQ(Do("POST", "/v1/rooms/r/embeddings", "{}").status, 403);
}

TEST(Base64Test, AgreesWithTheRfcAndTakesNothingElse) {
  // RFC 4648, section 10.
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(Base64(bytes), text);
    EXPECT_EQ(FromBase64(text), bytes);
  }
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  for (size_t length = 0; length <= 256; ++length)
    EXPECT_EQ(FromBase64(Base64(all.substr(0, length))), all.substr(0, length));
  for (const char* wrong :
       {"Z", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm9v\n", "Zm_v"})
    EXPECT_FALSE(FromBase64(wrong)) << wrong;
}

}  // namespace
}  // namespace heed::server
