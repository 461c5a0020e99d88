// The parts below the server: JSON, gzip, routes, keys, problems.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/json.hpp>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "server/gzip.h"
#include "server/json.h"
#include "server/keys.h"
#include "server/problem.h"
#include "server/router.h"
#include "server/test_server.h"

namespace heed::server {
namespace {

TEST(JsonTest, StringsAlwaysComeOutAsJson) {
  const auto written = [](std::string_view text) {
    std::string out;
    AppendJsonString(out, text);
    return out;
  };
  EXPECT_EQ(written("直播 a/b"), "\"直播 a/b\"");
  EXPECT_EQ(written("a\"b\\c\n\t\x01"), R"("a\"b\\c\n\t\u0001")");
  EXPECT_EQ(written("\xFF\xC0\x80|\xED\xA0\x80|\xF5\x80\x80\x80|\xE7\x9B"),
            "\"\uFFFD\uFFFD\uFFFD|\uFFFD\uFFFD\uFFFD|\uFFFD\uFFFD\uFFFD\uFFFD|\uFFFD\uFFFD\"");
  Random random(1);
  for (int round = 0; round < 2'000; ++round) {  // any bytes: strict UTF-8 JSON
    std::string bytes(random.Below(12), '\0');
    for (char& c : bytes) c = static_cast<char>(random.Below(256));
    boost::json::error_code error;
    boost::json::parse(written(bytes), error);
    EXPECT_FALSE(error) << written(bytes);
  }
  std::string numbers;
  AppendNumber(numbers, std::numeric_limits<double>::quiet_NaN());
  AppendNumber(numbers, std::numeric_limits<float>::infinity());
  AppendNumber(numbers, 0.1f);
  EXPECT_EQ(numbers, "nullnull0.1");
}

TEST(JsonTest, WhatIsNotJsonIsRefusedWithThePlace) {
  for (const char* text : {"", "{", "{\"a\":NaN}", "{\"a\":01}", "[1,]", "{'a':1}", "{} x",
                           "{\"a\":\"\xFF\"}", "nul", "[1e999999999999]x"})
    EXPECT_EQ(ParseJson(text).status().code(), Code::kInvalidArgument) << text;
  EXPECT_NE(ParseJson("{\n\"a\": oops}").status().message().find("line 2"), std::string::npos);
  EXPECT_FALSE(ParseJson(std::string(100'000, '[')).ok());  // depth is limited
}

TEST(JsonTest, ObjectReaderNamesTheFirstMistake) {
  const auto field = [](std::string_view text) {
    const boost::json::value value = ParseJson(text).value();
    ObjectReader reader(value);
    reader.Text("user", true);
    reader.Integer("limit", 10, 1, 500);
    reader.Flag("explain", false);
    reader.Texts("candidates", 3);
    const Status status = reader.Finish();
    return status.ok() ? "ok" : status.field();
  };
  EXPECT_EQ(field(R"({"user":"u","limit":500,"explain":true,"candidates":["a","b","c"]})"), "ok");
  EXPECT_EQ(field(R"({"user":"u"})"), "ok");
  EXPECT_EQ(field(R"({})"), "/user");
  EXPECT_EQ(field(R"({"user":5})"), "/user");
  EXPECT_EQ(field(R"({"user":""})"), "/user");
  EXPECT_EQ(field(R"({"user":null})"), "/user");
  EXPECT_EQ(field(R"({"user":"u","limit":0})"), "/limit");
  EXPECT_EQ(field(R"({"user":"u","limit":1.5})"), "/limit");
  EXPECT_EQ(field(R"({"user":"u","limit":99999999999999999999})"), "/limit");
  EXPECT_EQ(field(R"({"user":"u","limit":"10"})"), "/limit");
  EXPECT_EQ(field(R"({"user":"u","explain":1})"), "/explain");
  EXPECT_EQ(field(R"({"user":"u","candidates":"a"})"), "/candidates");
  EXPECT_EQ(field(R"({"user":"u","candidates":["a",7]})"), "/candidates/1");
  EXPECT_EQ(field(R"({"user":"u","candidates":["a","b","c","d"]})"), "/candidates");
  EXPECT_EQ(field(R"({"user":"u","a/b~":1})"), "/a~1b~0");
  EXPECT_EQ(field(R"({"usr":"u"})"), "/user");
  EXPECT_EQ(field(R"([1])"), "");
}

TEST(JsonTest, DocumentsAreSplitAsTheyStand) {
  const auto split = [](std::string_view body) {
    const auto out = SplitDocuments(body, 3);
    EXPECT_TRUE(out.ok()) << out.status().ToString();
    std::vector<std::string> texts;
    if (out.ok()) texts.assign(out.value().begin(), out.value().end());
    return texts;
  };
  using Texts = std::vector<std::string>;
  EXPECT_EQ(split(R"( [ {"a":"],["} , [1, 2],"x\"," ] )"),
            (Texts{R"({"a":"],["})", "[1, 2]", R"("x\",")"}));
  EXPECT_EQ(split("[]"), Texts{});
  EXPECT_EQ(split("{\"a\":1.0}\n{\"b\":\"\\n\"}\r\n\n"), (Texts{"{\"a\":1.0}", R"({"b":"\n"})"}));
  EXPECT_EQ(split("{\n \"a\": 1\n}"), (Texts{"{\n \"a\": 1\n}"}));
  for (const char* body : {"", " \n", "{", "[1,", "{}]", "[1]\n[2]", "{}\n[2]", "{}\n{\"a\":nan}"})
    EXPECT_EQ(SplitDocuments(body, 3).status().code(), Code::kInvalidArgument) << body;
  EXPECT_NE(SplitDocuments("{}\n{\"a\":nan}", 3).status().message().find("line 2"),
            std::string::npos);
  EXPECT_EQ(SplitDocuments("[1,2,3,4]", 3).status().code(), Code::kTooLarge);
  EXPECT_EQ(SplitDocuments("{}{}{}{}", 3).status().code(), Code::kTooLarge);
}

TEST(GzipTest, RoundTripsAndKeepsToItsLimit) {
  Random random(3);
  for (const size_t size : {0ul, 1ul, 100ul, 4'095ul, 4'096ul, 4'097ul, 300'000ul}) {
    std::string text(size, 'a');
    for (char& c : text) c = static_cast<char>('a' + random.Below(8));
    const std::string packed = Gzip(text);
    EXPECT_EQ(Gunzip(packed, size).value(), text);
    EXPECT_EQ(Gunzip(packed + Gzip("tail"), size + 4).value(), text + "tail");  // two members
    if (size > 0) {
      EXPECT_EQ(Gunzip(packed, size - 1).status().code(), Code::kTooLarge);
    }
    for (size_t cut = 0; cut < std::min<size_t>(packed.size(), 64); ++cut)
      EXPECT_EQ(Gunzip(packed.substr(0, cut), size).status().code(), Code::kInvalidArgument) << cut;
    std::string damaged = packed;
    damaged[packed.size() - 6] = static_cast<char>(damaged[packed.size() - 6] ^ 1);  // the checksum
    EXPECT_FALSE(Gunzip(damaged, size).ok());
  }
}

TEST(RouterTest, FindsByMethodAndPath) {
  std::vector<Route> routes(3);
  routes[0].pattern = "/";
  routes[1].pattern = "/a/{id}/b";
  routes[2].pattern = "/a/{id}/b";
  routes[2].method = Method::kPut;
  const Router router(std::move(routes));
  EXPECT_EQ(router.Find(Method::kGet, "/").route, &router.routes()[0]);
  EXPECT_EQ(router.Find(Method::kHead, "/a/7/b").params, std::vector<std::string>{"7"});
  EXPECT_EQ(router.Find(Method::kPut, "/a/7/b").route, &router.routes()[2]);
  EXPECT_EQ(router.Find(Method::kDelete, "/a/7/b").allow, "GET, HEAD, PUT");
  for (const char* path : {"", "a", "//", "/a", "/a/7", "/a//b", "/a/7/b/", "/a/7/c", "*"}) {
    const Router::Match match = router.Find(Method::kGet, path);
    EXPECT_TRUE(match.route == nullptr && match.allow.empty()) << path;
  }
}

TEST(KeyStoreTest, KeepsOnlyHashesAndSeesOtherWriters) {
  const TempDirectory directory;
  const std::string path = directory.path() + "/data/keys.json";
  const auto store = KeyStore::Open(path).value();
  EXPECT_TRUE(store->empty());
  const std::string key =
      store->Create("till \"7\"", {"events:write", "recommend"}, "shop").value();
  EXPECT_EQ(key.size(), 5u + 8 + 64);
  EXPECT_TRUE(key.starts_with("heed_"));

  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  std::ifstream in(path);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(text.find(key.substr(13)), std::string::npos) << "the secret must not be in the file";

  const auto other = KeyStore::Open(path).value();  // as another process
  const ApiKey found = other->Check(key).value();
  EXPECT_EQ(found.name, "till \"7\"");
  EXPECT_EQ(found.tenant, "shop");
  EXPECT_EQ(found.id, key.substr(5, 8));
  EXPECT_TRUE(found.Allows("recommend"));
  EXPECT_FALSE(found.Allows("models"));
  const std::string second = other->Create("", {"admin"}, "").value();
  EXPECT_NE(second, key);
  EXPECT_EQ(store->Check(second).status().code(), Code::kUnauthenticated);  // not read again yet
  ASSERT_TRUE(store->Refresh().ok());
  EXPECT_TRUE(store->Check(second).value().Allows("models"));
  EXPECT_EQ(store->List().size(), 2u);

  ASSERT_TRUE(other->Revoke(found.id).ok());
  EXPECT_EQ(other->Revoke(found.id).code(), Code::kNotFound);
  ASSERT_TRUE(store->Refresh().ok());
  EXPECT_FALSE(store->Check(key).ok());
  EXPECT_TRUE(store->Check(second).ok());

  for (const std::string& wrong :
       {std::string(), std::string("heed_"), key + "0", key.substr(1), std::string(77, '\0')})
    EXPECT_EQ(store->Check(wrong).status().code(), Code::kUnauthenticated);
  EXPECT_EQ(store->Create("", {"evnts:write"}, "").status().field(), "scopes");
  EXPECT_FALSE(store->Create("", {}, "").ok());
}

TEST(KeyStoreTest, ADamagedFileLocksRatherThanUnlocks) {
  const TempDirectory directory;
  const std::string path = directory.path() + "/keys.json";
  const auto store = KeyStore::Open(path).value();
  const std::string key = store->Create("", {"admin"}, "").value();
  for (const char* text : {"", "{", "{\"version\":2,\"keys\":[]}", "{\"version\":1}",
                           "{\"version\":1,\"keys\":[{\"id\":\"a\"}]}", "[]"}) {
    std::ofstream(path) << text;
    EXPECT_EQ(KeyStore::Open(path).status().code(), Code::kCorruption) << text;
    EXPECT_FALSE(store->Refresh().ok());
    EXPECT_TRUE(store->Check(key).ok());  // what was read before stays
  }
}

TEST(ProblemTest, HidesWhatBrokeInside) {
  Request request;
  request.id = "r";
  request.path = "/x";
  const Response internal = Refuse(request, IoError("/secret/path: no space"));
  EXPECT_EQ(internal.status, 503);
  EXPECT_EQ(internal.body.find("secret"), std::string::npos);
  EXPECT_EQ(Refuse(request, Corruption("snapshot 12")).body.find("snapshot"), std::string::npos);
  const Response overloaded = Refuse(request, Status(Code::kOverloaded, "the queue is full"));
  EXPECT_EQ(overloaded.status, 429);
  EXPECT_EQ(overloaded.headers.at(0).first, "Retry-After");
  const auto body = boost::json::parse(
      Refuse(request, InvalidArgument("must be \"so\"", "/a"), "\"errors\":[]").body);
  EXPECT_EQ(body.at("field").as_string(), "/a");
  EXPECT_EQ(body.at("detail").as_string(), "must be \"so\"");
  EXPECT_TRUE(body.at("errors").is_array());
}

}  // namespace
}  // namespace heed::server
