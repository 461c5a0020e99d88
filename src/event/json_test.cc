#include "event/json.h"

#include <gtest/gtest.h>

#include <set>

#include "event/json_scan.h"
#include "event/test_support.h"

namespace heed::event {
namespace {

constexpr size_t kMany = 1000;

// A good event with `data` in place of its own, and its type.
std::string Text(std::string_view type = "like", std::string_view data = R"({"count":1})",
                 std::string_view id = "e1") {
  return R"({"v":"1","id":")" + std::string(id) + R"(","type":")" + std::string(type) +
         R"(","ts":1764000000000,"tenant":"t","room":"r","session":"s",)" +
         R"("src":{"platform":"p","adapter":"a"},"data":)" + std::string(data) + "}";
}

std::string Replaced(std::string text, std::string_view what, std::string_view with) {
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), with);
}

// "field: message" of a refused event, or "accepted".
std::string Refusal(std::string_view text) {
  const auto event = JsonReader().ReadOne(text);
  if (event.ok()) return "accepted";
  EXPECT_EQ(event.status().code(), Code::kInvalidArgument);
  return event.status().field() + ": " + event.status().message();
}

ReadResult Body(std::string_view body, size_t max_events = kMany) {
  auto result = JsonReader().ReadBody(body, max_events);
  EXPECT_TRUE(result.ok()) << result.status().ToString();
  return result.ok() ? std::move(result).value() : ReadResult();
}

TEST(Json, ReadsEveryExampleAndWritesItBack) {
  const std::vector<Event> events = Examples();
  ASSERT_EQ(events.size(), 79u);
  std::set<std::string_view> types;
  JsonReader reader;
  for (const Event& event : events) {
    types.insert(TypeName(event.data));
    const std::string text = ToJson(event);
    const auto again = reader.ReadOne(text);
    ASSERT_TRUE(again.ok()) << again.status().ToString() << "\n" << text;
    EXPECT_EQ(again.value(), event);
  }
  EXPECT_EQ(types.size(), 54u);
}

TEST(Json, ReadsValuesIntoTheirMembers) {
  const auto read = JsonReader().ReadOne(
      R"({"data":{"order_id":"o1","amount_cents":9900.0,"currency":"CNY",
          "lines":[{"product_id":"p1","qty":2,"amount_cents":9900,"gift":true}], "shop":{"a":1.0}},
          "v":"1","id":"ex","type":"order.pay","ts":1764000000000,"seq":7,"tenant":"t1",
          "room":"r1","session":"s1","src":{"platform":"demo","adapter":"x","raw_type":"live_order:3"},
          "actor":{"id":"h:u2","kind":"viewer","personalize":false}})");
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  const Event& event = read.value();
  EXPECT_EQ(event.id, "ex");
  EXPECT_EQ(event.ts, 1764000000000);
  EXPECT_EQ(event.recv_ts, std::nullopt);
  EXPECT_EQ(event.seq, 7);
  EXPECT_EQ(event.src.raw_type, "live_order:3");
  ASSERT_TRUE(event.actor.has_value());
  EXPECT_EQ(event.actor->kind, ActorKind::kViewer);
  EXPECT_EQ(event.actor->personalize, false);
  const auto& pay = std::get<OrderPay>(event.data);
  EXPECT_EQ(pay.amount_cents, 9900);
  ASSERT_EQ(pay.lines->size(), 1u);
  EXPECT_EQ(pay.lines->front().qty, 2);
  EXPECT_EQ(pay.lines->front().extra.text, R"({"gift":true})");
  EXPECT_EQ(pay.extra.text, R"({"shop":{"a":1.0}})");
  EXPECT_EQ(
      ToJson(event),
      R"({"v":"1","id":"ex","type":"order.pay","ts":1764000000000,"seq":7,"tenant":"t1",)"
      R"("room":"r1","session":"s1","src":{"platform":"demo","adapter":"x",)"
      R"("raw_type":"live_order:3"},"actor":{"id":"h:u2","kind":"viewer","personalize":false},)"
      R"("data":{"order_id":"o1","amount_cents":9900,"currency":"CNY","lines":[)"
      R"({"product_id":"p1","qty":2,"amount_cents":9900,"gift":true}],"shop":{"a":1.0}}})");
}

TEST(Json, CarriesExtensionsUntouched) {
  const auto read =
      JsonReader().ReadOne(Text("x.appointment.made", R"({ "n" : [1, -0.0, 1e5, "\u00e9\n"] })"));
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  const auto& extension = std::get<Extension>(read.value().data);
  EXPECT_EQ(extension.type, "x.appointment.made");
  EXPECT_EQ(extension.data.text, "{\"n\":[1,-0.0,1e+05,\"\xC3\xA9\\n\"]}");
  EXPECT_EQ(TypeName(read.value().data), "x.appointment.made");
  EXPECT_EQ(Refusal(Text("x.a", "[]")), "/data: expected an object, found a list");
  EXPECT_TRUE(Refusal(Text("x.", "{}")).starts_with("/type: "));
  EXPECT_TRUE(Refusal(Text("x.a\\n", "{}")).starts_with("/type: "));
}

TEST(Json, SaysWhereAndWhatIsWrong) {
  EXPECT_EQ(Refusal(Text("like", R"({"count":0})")),
            "/data/count: expected an integer of at least 1, found 0");
  EXPECT_EQ(Refusal(Text("like", "{}")), "/data/count: missing; expected an integer of at least 1");
  EXPECT_EQ(Refusal(Text("like", R"({"count":"1"})")),
            "/data/count: expected an integer of at least 1, found \"1\"");
  EXPECT_EQ(Refusal(Text("like", R"({"count":1.5})")),
            "/data/count: expected an integer of at least 1, found 1.5");
  EXPECT_EQ(Refusal(Text("stream.end", R"({"reason":"bored"})")),
            "/data/reason: expected one of host, platform, error, timeout, found \"bored\"");
  EXPECT_EQ(Refusal(Text("order.create", R"({"order_id":"o","lines":[]})")),
            "/data/lines: expected a list of at least 1 item, found an empty list");
  EXPECT_EQ(Refusal(Text("order.create", R"({"order_id":"o","lines":[{"product_id":"p",)"
                                         R"("qty":0,"amount_cents":1}]})")),
            "/data/lines/0/qty: expected an integer of at least 1, found 0");
  EXPECT_EQ(Refusal(Text("lottery.draw",
                         R"({"lottery_id":"l","winner_ids":["a",""],"seed":"s","entrants":2})")),
            "/data/winner_ids/1: expected a string of 1 to 128 characters, found an empty string");
  EXPECT_EQ(
      Refusal(Text("order.pay", R"({"order_id":"o","amount_cents":1,"currency":"cny"})")),
      "/data/currency: expected a currency of three capital letters, like CNY, found \"cny\"");
  EXPECT_EQ(Refusal(Text("attention.sample", R"({"a":1.25})")),
            "/data/a: expected a number of at least 0 and at most 1, found 1.25");
  EXPECT_EQ(Refusal(Text("like", "null")), "/data: expected an object, found null");
  EXPECT_EQ(
      Refusal(Text("liek")),
      "/type: expected one of the 54 event types of LCE v1, or x.<name> of a-z, 0-9, _ and ., "
      "found \"liek\"");
  EXPECT_EQ(Refusal(Replaced(Text(), R"("v":"1")", R"("v":1)")),
            "/v: expected the string \"1\", the version of the event format, found 1");
  EXPECT_TRUE(
      Refusal(Replaced(Text(), "{", R"({"a~/b":1,)")).starts_with("/a~0~1b: unknown member"));
  EXPECT_EQ(Refusal(Replaced(Text(), R"("room":"r",)", "")),
            "/room: missing; expected a string of 1 to 128 characters");
  EXPECT_EQ(Refusal("[]"), ": expected an event, an object, found a list");
  EXPECT_EQ(Refusal(Text("like", R"({"count":1})", std::string(129, 'a'))),
            "/id: expected a string of 1 to 128 characters, found one of 129");
}

TEST(Json, RefusesTimesInAnotherUnit) {
  const auto with = [](const char* ts) { return Refusal(Replaced(Text(), "1764000000000", ts)); };
  const std::string expected =
      "/ts: expected a time in milliseconds since the epoch (UTC), an integer, found ";
  EXPECT_EQ(with("1764000000"), expected + "1764000000, which looks like seconds");
  EXPECT_EQ(with("1764000000000000"), expected + "1764000000000000, which looks like microseconds");
  EXPECT_EQ(with("1764000000000000000"),
            expected + "1764000000000000000, which looks like nanoseconds");
  EXPECT_EQ(with("\"2025-11-24T16:00:00\""), expected + "\"2025-11-24T16:00:00\"");
  EXPECT_EQ(with("1764000000.5"), expected + "1764000000.5");
  EXPECT_EQ(with("100000000000"), "accepted");
  EXPECT_EQ(with("99999999999"), expected + "99999999999, which looks like seconds");
  EXPECT_EQ(with("100000000000000"), "accepted");
  EXPECT_EQ(with("100000000000001"), expected + "100000000000001, which looks like microseconds");
  EXPECT_TRUE(Refusal(Text("coupon.issue", R"({"coupon_id":"c","qty":1,"expires_ts":1764000000})"))
                  .starts_with("/data/expires_ts: "));
  EXPECT_TRUE(Refusal(Text("stream.start", R"({"title":"","planned_end_ts":0})"))
                  .starts_with("/data/planned_end_ts: "));
}

TEST(Json, RefusesMembersThatStandTwice) {
  const std::string twice = ": the member stands twice in one object";
  EXPECT_EQ(Refusal(Replaced(Text(), "{", R"({"room":"r",)")), "/room" + twice);
  EXPECT_EQ(Refusal(Replaced(Text(), "{", R"({"v":"1",)")), "/v" + twice);
  EXPECT_EQ(Refusal(Text("like", R"({"count":1,"count":1})")), "/data/count" + twice);
  EXPECT_EQ(Refusal(Text("like", R"({"count":1,"a":1,"\u0061":1})")), "/data/a" + twice);
  EXPECT_EQ(Refusal(Text("like", R"({"count":1,"more":[{"b":1,"b":2}]})")),
            "/data/more/0/b" + twice);
  std::string many = R"({"count":1)";
  for (int i = 0; i < 40; ++i) many += ",\"k" + std::to_string(i) + "\":0";
  EXPECT_EQ(Refusal(Text("like", many + "}")), "accepted");
  EXPECT_EQ(Refusal(Text("like", many + R"(,"k39":0})")), "/data/k39" + twice);
}

TEST(Json, RefusesWhatItsTypesCannotHold) {
  const auto with = [](const char* value) {
    return Refusal(Text("like", R"({"count":1,"more":{"deep":[)" + std::string(value) + "]}}"));
  };
  EXPECT_EQ(with("9223372036854775807"), "accepted");
  EXPECT_EQ(with("-9223372036854775808"), "accepted");
  EXPECT_EQ(with("9223372036854775808"),
            "/data/more/deep/0: the integer 9223372036854775808 does not fit 64 signed bits");
  EXPECT_TRUE(with("18446744073709551616").starts_with("/data/more/deep/0: the integer "));
  EXPECT_TRUE(with("-9223372036854775809").starts_with("/data/more/deep/0: the integer "));
  EXPECT_TRUE(with("1e400").starts_with("/data/more/deep/0: the number 1e400 is beyond"));
  EXPECT_EQ(with("1e-400"), "accepted");
  EXPECT_TRUE(with(R"("\ud83d")").starts_with("/data/more/deep/0: half of a surrogate pair"));
  EXPECT_TRUE(with(R"("\udc00x")").starts_with("/data/more/deep/0: half of a surrogate pair"));
  EXPECT_EQ(with(R"("\ud83d\ude00")"), "accepted");
  EXPECT_TRUE(with("\"\xFF\"").starts_with("/data/more/deep/0: not UTF-8"));
  EXPECT_TRUE(with("\"\xED\xA0\x80\"").starts_with("/data/more/deep/0: not UTF-8"));
  EXPECT_TRUE(with("NaN").starts_with("/data/more/deep/0: not JSON: expected a value, found 'N'"));
  EXPECT_EQ(Refusal(Text("like", R"({"count":1e300})")),
            "/data/count: expected an integer of at least 1, found 1e+300, which does not fit 64 "
            "signed bits");
  const auto nested = [](size_t lists) {
    return Refusal(
        Text("x.deep", R"({"a":)" + std::string(lists, '[') + std::string(lists, ']') + "}"));
  };
  EXPECT_EQ(nested(30), "accepted");
  EXPECT_TRUE(nested(31).ends_with("nested deeper than 32 levels"));
  EXPECT_TRUE(nested(5000).starts_with("/data/a/0"));
}

TEST(Json, ReadsBodiesOfEveryShape) {
  EXPECT_EQ(Body(Text()).events.size(), 1u);
  EXPECT_EQ(Body("  \n" + Text() + "\n\n").events.size(), 1u);
  EXPECT_EQ(Body(" [" + Text() + ",\n" + Text() + "]\n").positions, (std::vector<size_t>{0, 1}));
  EXPECT_EQ(Body(" [ ]").events.size(), 0u);
  EXPECT_EQ(Body(Text() + "\r\n\r\n  \n" + Text() + "\r\n").positions, (std::vector<size_t>{0, 1}));
  // One object over several lines is one event.
  EXPECT_EQ(
      Body(Replaced(Text(), R"("src":{"platform":"p",)", "\n\"src\":\n{\n \"platform\":\"p\",\n"))
          .events.size(),
      1u);
}

TEST(Json, RejectsWrongElementsAlone) {
  const ReadResult result =
      Body("[" + Text() + ",17," + Text("like", "{}", "bad") + "," + Text() + ",[]]");
  EXPECT_EQ(result.positions, (std::vector<size_t>{0, 3}));
  ASSERT_EQ(result.rejected.size(), 3u);
  EXPECT_EQ(result.rejected[0].index, 1u);
  EXPECT_EQ(result.rejected[0].status.message(), "expected an event, an object, found 17");
  EXPECT_EQ(result.rejected[1].index, 2u);
  EXPECT_EQ(result.rejected[1].id, "bad");
  EXPECT_EQ(result.rejected[1].status.field(), "/data/count");
  EXPECT_EQ(result.rejected[2].index, 4u);
}

TEST(Json, RejectsOneNumberOutOfRangeAlone) {
  const ReadResult result = Body("[" + Text() + ", " + Text("like", R"({"count":1e999})") + " ,\n" +
                                 Text("like", R"({"count":0})") + "," + Text() + "]");
  EXPECT_EQ(result.positions, (std::vector<size_t>{0, 3}));
  ASSERT_EQ(result.rejected.size(), 2u);
  EXPECT_EQ(result.rejected[0].index, 1u);
  EXPECT_EQ(result.rejected[0].status.field(), "/data/count");
  EXPECT_EQ(result.rejected[1].index, 2u);
}

TEST(Json, RejectsWrongLinesAlone) {
  const std::string good = Text();
  const ReadResult result =
      Body(good + "\n\n" + good.substr(0, 40) + "\n5\n" + good + "\n{\"v\":}\n");
  EXPECT_EQ(result.positions, (std::vector<size_t>{0, 3}));
  ASSERT_EQ(result.rejected.size(), 3u);
  EXPECT_EQ(result.rejected[0].index, 1u);
  EXPECT_NE(result.rejected[0].status.message().find("(line 3, byte 41)"), std::string::npos);
  EXPECT_EQ(result.rejected[1].index, 2u);
  EXPECT_EQ(result.rejected[2].index, 4u);
  EXPECT_EQ(result.rejected[2].status.field(), "/v");
  // A broken first line does not hide that the body is lines.
  EXPECT_EQ(Body(good.substr(0, 40) + "\n" + good).positions, (std::vector<size_t>{1}));
  EXPECT_EQ(Body("{\"a\" 1}\n\n" + good).positions, (std::vector<size_t>{1}));
}

TEST(Json, RefusesBrokenBodiesWithThePlace) {
  const auto refused = [](const std::string& body) {
    const auto result = JsonReader().ReadBody(body, kMany);
    EXPECT_FALSE(result.ok()) << body;
    return result.ok() ? "accepted" : result.status().ToString();
  };
  EXPECT_EQ(refused(""), "invalid argument: the body is empty; expected one event or more as JSON");
  EXPECT_EQ(refused(" \r\n\t"), refused(""));
  EXPECT_EQ(refused("[" + Text() + ",\n  {\"v\":\"1\" \"id\":1}]"),
            "invalid argument at /1/v: not JSON: expected ',' or '}' after a member, found '\"' "
            "(line 2, byte 12)");
  EXPECT_EQ(refused("[1,2"),
            "invalid argument at /1: not JSON: expected ',' or ']' after an item, found the end of "
            "the text "
            "(line 1, byte 5)");
  EXPECT_EQ(
      refused("[1] x"),
      "invalid argument: not JSON: expected nothing more after the end of the value, found 'x' "
      "(line 1, byte 5)");
  EXPECT_EQ(refused("\xEF\xBB\xBF{}"),
            "invalid argument: not JSON: expected a value, found byte 0xEF (line 1, byte 1)");
  EXPECT_EQ(refused("{\n\"v\": \"1\",\n\"id\": tru\n}"),
            "invalid argument at /id: not JSON: expected true, false or null, found byte 0x0A "
            "(line 3, byte 10)");
}

TEST(Json, HoldsBodiesToTheirLimit) {
  const auto code = [](const std::string& body, size_t max_events) {
    const auto result = JsonReader().ReadBody(body, max_events);
    return result.ok() ? Code::kOk : result.status().code();
  };
  const std::string array = "[" + Text() + "," + Text() + "]";
  const std::string lines = Text() + "\n" + Text() + "\n\n";
  const std::string huge = "[" + Text() + ",1e999]";
  for (const std::string& body : {array, lines, huge}) {
    EXPECT_EQ(code(body, 2), Code::kOk);
    EXPECT_EQ(code(body, 1), Code::kTooLarge);
  }
  EXPECT_EQ(code(Text(), 0), Code::kTooLarge);
}

TEST(Json, ReusesOneReader) {
  JsonReader reader;
  const std::string big = Text("x.big", R"({"text":")" + std::string(100'000, 'x') + "\"}");
  for (const std::string& body : {Text(), big, Text(), std::string("{"), Text()}) {
    const auto result = reader.ReadBody(body, kMany);
    EXPECT_EQ(result.ok(), body != "{");
    if (result.ok()) {
      EXPECT_EQ(result.value().events.size(), 1u);
    }
  }
}

// The scan must find a fault wherever the fast parser does, or a refusal would have no place.
TEST(Json, ScanAgreesWithTheParser) {
  const std::vector<std::string> refused{
      "{",      "[",     "{]",    "[}",        "[1,]",          "{\"a\":1,}", "{\"a\"}",
      "{a:1}",  "[01]",  "[1.]",  "[.5]",      "[-]",           "[+1]",       "[1e]",
      "[1e+]",  "[tru]", "[nul",  "[\"\\x\"]", "[\"\\u12g4\"]", "[\"\t\"]",   "[\"abc",
      "[1 2]",  "1 2",   "[] []", "\"",        "[\"\\\"]",      "[\"\xC3\"]", "[\xC3\xA9]",
      "[1]\x01"};
  for (const std::string& text : refused) {
    EXPECT_TRUE(ScanJson(text).syntax.has_value()) << text;
    EXPECT_FALSE(JsonReader().ReadBody(text, kMany).ok()) << text;
  }
  for (const std::string& text : ExampleTexts()) {
    const Scan scan = ScanJson(text);
    EXPECT_FALSE(scan.syntax || scan.limit) << text;
  }
}

TEST(Json, ReadsMembersThatTheSchemaDoesNotName) {
  const Extra extra{R"({"n":3,"request_id":"d-1","\u0061":"b"})"};
  EXPECT_EQ(TextOf(extra, "request_id"), "d-1");
  EXPECT_EQ(TextOf(extra, "a"), "b");
  EXPECT_EQ(TextOf(extra, "n"), "") << "no text";
  EXPECT_EQ(TextOf(extra, "other"), "");
  EXPECT_EQ(TextOf({}, "request_id"), "");
  const RawJson object{R"({"x":1.5,"n":2,"t":"3"})"};
  EXPECT_EQ(NumberOf(object, "x"), 1.5);
  EXPECT_EQ(NumberOf(object, "n"), 2);
  EXPECT_EQ(NumberOf(object, "t"), std::nullopt) << "no number";
  EXPECT_EQ(NumberOf(object, "other"), std::nullopt);
  EXPECT_EQ(NumberOf({"[1]"}, "x"), std::nullopt);
}

}  // namespace
}  // namespace heed::event
