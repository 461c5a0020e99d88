// /v1/text and /v1/rooms over a real engine.
#include "server/api_fixture.h"
#include "server/keys.h"

namespace heed::server {
namespace {

class RoomsTest : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    start_ts_ = heed::Clock::System().now_ms() - 120'000;
  }
  void Post(const std::string& type, const std::string& user, const std::string& data) {
    ++number_;
    const Answer answer = Do("POST", "/v1/events",
                             EventJson("e" + std::to_string(number_), type, "r", user, data,
                                       start_ts_ + 1'000 * number_));
    ASSERT_EQ(answer.status, 200) << answer.body;
  }
  void Say(const std::string& user, const std::string& text) {
    Post("comment.post", user, R"({"text":")" + text + "\"}");
  }
  void Broadcast() {
    Post("stream.start", "h", R"({"title":"t","category":"c","host_id":"h"})");
    Post("product.bind", "h",
         R"({"product_id":"cup","title":"不锈钢保温杯","price_cents":9900,"stock":7,"on":true})");
    Say("u1", "那个保温杯多少钱");
    Say("u2", "保温杯价格多少");
    Say("u2", "新疆包邮吗");
    Post("product.click", "u2", R"({"product_id":"cup","surface":"card"})");
  }
  // What is acknowledged is read a moment later.
  Answer Until(const std::string& target, const std::function<bool(const json::value&)>& right) {
    Answer answer;
    for (int tries = 0; tries < 1'000; ++tries) {
      answer = Do("GET", target);
      if (answer.status != 200 || right(answer.body)) return answer;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return answer;
  }

  int64_t start_ts_ = 0;
  int64_t number_ = 0;
};

TEST_F(RoomsTest, TextsAreAnalyzedWithTheirReasons) {
  Answer answer = Do("POST", "/v1/text/analyze", R"({"text":"165 120斤穿什么码"})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json::value& size = answer.body.at("results").at(0);
  EXPECT_EQ(size.at("intent").at("label").as_string(), "size");
  EXPECT_GT(size.at("intent").at("probability").to_number<double>(), 0.5);
  EXPECT_FALSE(size.at("intent").at("tokens").as_array().empty());
  double weights = 0;
  for (const json::value& token : size.at("intent").at("tokens").as_array()) {
    weights += token.at("weight").to_number<double>();
  }
  EXPECT_NEAR(weights, 1.0, 1e-3);
  EXPECT_TRUE(size.at("lint").as_array().empty());

  answer = Do("POST", "/v1/text/analyze",
              R"({"texts":["全网最低价","最后3件",""],"explain":false,)"
              R"("evidence":[{"kind":"stock","id":"count-7"}]})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json::array& results = answer.body.at("results").as_array();
  ASSERT_EQ(results.size(), 3u);
  const json::value& hit = results[0].at("lint").at(0);
  for (const char* member : {"pack", "version", "rule", "severity", "words"}) {
    EXPECT_FALSE(hit.at(member).as_string().empty()) << member;
  }
  EXPECT_FALSE(hit.as_object().contains("allowed_by"));
  EXPECT_EQ(results[1].at("lint").at(0).at("allowed_by").as_string(), "count-7");
  EXPECT_FALSE(results[0].at("intent").as_object().contains("tokens"));

  std::string many = R"({"texts":[)";
  for (int i = 0; i < 257; ++i) many += i > 0 ? ",\"\"" : "\"\"";
  const std::pair<std::string, const char*> wrong[] = {
      {R"({})", "/text"},
      {R"({"text":"a","texts":[]})", "/texts"},
      {R"({"text":5})", "/text"},
      {R"({"texts":[5]})", "/texts/0"},
      {R"({"texts":"a"})", "/texts"},
      {R"({"text":"a","lang":"zh"})", "/lang"},
      {R"({"text":"a","evidence":[{"kind":"stock"}]})", "/evidence/0/id"},
      {R"({"text":")" + std::string(10'001, 'a') + "\"}", "/text"},
      {many + "]}", "/texts"},
      {"[", ""},
  };
  for (const auto& [body, field] : wrong) {
    const Answer refused = Do("POST", "/v1/text/analyze", body);
    EXPECT_EQ(refused.status, 400) << body.substr(0, 80) << refused.body;
    EXPECT_EQ(refused.Text("field"), field) << body.substr(0, 80) << refused.body;
  }
}

TEST_F(RoomsTest, QuestionsAreShownWithFactsAndAnswered) {
  Broadcast();
  Answer answer = Until("/v1/rooms/r/questions", [](const json::value& body) {
    const json::array& questions = body.at("questions").as_array();
    return questions.size() == 2 && questions[0].at("buying").at("clicked").as_int64() == 1;
  });
  ASSERT_EQ(answer.status, 200) << answer.body;
  const json::value first = answer.body.at("questions").at(0);
  EXPECT_EQ(first.at("viewers").as_int64(), 2) << answer.body;
  EXPECT_EQ(first.at("product").at("id").as_string(), "cup");
  EXPECT_EQ(first.at("product").at("price_cents").as_int64(), 9'900);
  EXPECT_EQ(first.at("product").at("by").as_string(), "name");
  EXPECT_TRUE(first.at("answered_ts").is_null());
  const std::string id(first.at("id").as_string());
  answer = Do("POST", "/v1/rooms/r/questions/" + id + "/answered", R"({"by":"anna"})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_NE(std::string(answer.body.at("questions").at(0).at("id").as_string()), id);
  EXPECT_TRUE(answer.body.at("questions").at(1).at("answered_ts").is_int64());
  EXPECT_EQ(Do("GET", "/v1/rooms/r/questions?limit=1").body.at("questions").as_array().size(), 1u);

  EXPECT_EQ(Do("POST", "/v1/rooms/r/questions/12345/answered").status, 404);
  EXPECT_EQ(Do("POST", "/v1/rooms/r/questions/what/answered").status, 404);
  EXPECT_EQ(Do("POST", "/v1/rooms/r/questions/" + id + "/answered", R"({"who":"a"})").Text("field"),
            "/who");
  EXPECT_EQ(Do("GET", "/v1/rooms/r/questions?limit=0").Text("field"), "?limit");
  EXPECT_EQ(Do("GET", "/v1/rooms/nobody/questions").status, 404);
  EXPECT_EQ(Do("GET", "/v1/rooms/r/questions?tenant=other").status, 404);
}

TEST_F(RoomsTest, CommentsAreCountedAndTheHostsWordsAnswer) {
  Broadcast();
  Answer answer = Until("/v1/rooms/r/comments?words=5", [](const json::value& body) {
    return body.at("minute").at("comments").as_int64() == 3;
  });
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.body.at("minute").at("viewers").as_int64(), 2) << answer.body;
  EXPECT_LE(answer.body.at("words").as_array().size(), 5u);
  EXPECT_FALSE(answer.body.at("words").as_array().empty());
  EXPECT_TRUE(answer.body.at("lag").is_null());

  const std::string speech =
      R"({"segments":[{"begin_ms":5000,"end_ms":8000,"text":"保温杯的价格多少钱呢全网最低价"},)"
      R"({"begin_ms":8000,"end_ms":9000,"text":"然后","final":false}]})";
  answer = Do("POST", "/v1/rooms/r/transcripts", speech);
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(json::serialize(answer.body), R"({"stored":1,"duplicates":0,"partial":1})");
  EXPECT_EQ(Do("POST", "/v1/rooms/r/transcripts", speech).body.at("duplicates").as_int64(), 1);
  answer = Do("GET", "/v1/rooms/r/comments");
  EXPECT_EQ(answer.body.at("transcript").at("partial").at("text").as_string(), "然后");
  const json::value& hit = answer.body.at("lint").at(0);
  EXPECT_EQ(hit.at("source").as_string(), "host") << answer.body;
  EXPECT_FALSE(hit.at("version").as_string().empty());
  EXPECT_EQ(Do("GET", "/v1/rooms/r/comments?words=101").Text("field"), "?words");

  const std::pair<const char*, const char*> wrong[] = {
      {R"({})", "/segments"},
      {R"({"segments":[]})", "/segments"},
      {R"({"segments":[{"begin_ms":0,"end_ms":1}]})", "/segments/0/text"},
      {R"({"segments":[{"end_ms":1,"text":"a"}]})", "/segments/0/begin_ms"},
      {R"({"segments":[{"begin_ms":2,"end_ms":1,"text":"a"}]})", "/segments/0/end_ms"},
      {R"({"segments":[{"begin_ms":0,"end_ms":1,"text":"a","lang":"zh"}]})", "/segments/0/lang"},
      {R"({"segments":[{"begin_ms":0,"end_ms":1,"text":"a"}],"started_ts":5})", "/started_ts"},
      {R"({"segments":[{"begin_ms":0,"end_ms":1,"text":"a"}],"session":"x"})", "/started_ts"},
  };
  for (const auto& [body, field] : wrong) {
    const Answer refused = Do("POST", "/v1/rooms/r/transcripts", body);
    EXPECT_EQ(refused.status, 400) << body << refused.body;
    EXPECT_EQ(refused.Text("field"), field) << body << refused.body;
  }
  EXPECT_EQ(Do("POST", "/v1/rooms/new/transcripts",
               R"({"segments":[{"begin_ms":0,"end_ms":1,"text":"a"}]})")
                .Text("field"),
            "/session");

  auto client = HttpClient::Connect("127.0.0.1", server_->port());
  const std::string text = client.value().Request("GET", "/metrics", "").value().body;
  for (const char* line :
       {"heed_comments_total{result=\"read\"} 3\n", "heed_speech_segments_total 1\n",
        "heed_comment_seconds_count 3\n", "heed_comment_rooms 1\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST_F(RoomsTest, KeysNeedTheScopes) {
  StartServer();
  const auto keys = KeyStore::Open(directory_.path() + "/keys.json").value();
  key_ = keys->Create("", {"rooms:read"}, "").value();
  server_.reset();
  engine_.reset();
  EXPECT_EQ(Do("GET", "/v1/rooms/r/comments").status, 404);
  EXPECT_EQ(Do("POST", "/v1/rooms/r/transcripts", "{}").status, 403);
  EXPECT_EQ(Do("POST", "/v1/rooms/r/questions/1/answered").status, 403);
  EXPECT_EQ(Do("POST", "/v1/text/analyze", "{}").status, 403);
}

TEST_F(RoomsTest, SwitchedOffItSaysSo) {
  config_.engine.text.on = false;
  const Answer answer = Do("POST", "/v1/text/analyze", R"({"text":"a"})");
  EXPECT_EQ(answer.status, 503);
  EXPECT_NE(answer.Text("detail").find("text.on"), std::string::npos) << answer.body;
  EXPECT_EQ(Do("GET", "/v1/rooms/r/questions").status, 503);
}

}  // namespace
}  // namespace heed::server
