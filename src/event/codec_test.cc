#include "event/codec.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <limits>
#include <sstream>

#include "event/json.h"
#include "event/layout.h"
#include "event/test_support.h"

namespace heed::event {
namespace {

std::string Encoded(const Event& event) {
  std::string bytes;
  Encode(event, bytes);
  return bytes;
}

Event Read(const std::string& text) {
  auto event = JsonReader().ReadOne(text);
  EXPECT_TRUE(event.ok()) << event.status().ToString();
  return event.ok() ? std::move(event).value() : Event();
}

// Small, with one of everything the format has: both presence words, a list, raw JSON, extra members.
Event Sample() {
  return Read(
      R"({"v":"1","id":"e","type":"guide.suggest","ts":1764000000000,"tenant":"t","room":"r",
      "session":"s","src":{"platform":"p","adapter":"a","shard":3},"flags":{"test":true},
      "data":{"decision_id":"d","policy":"p","policy_version":"7","action":"A","prob":0.5,
      "candidates":[{"action":"A","prob":0.5},{"action":"B","prob":0.5,"score":1}],
      "features":{"a":[1,"x"]},"reasons":[{"feature":"f","value":null,"text":"w"}],"mode":"auto",
      "expires_ts":1764000000001}})");
}

std::string Refusal(std::string_view bytes) {
  const auto event = Decode(bytes);
  if (event.ok()) return "accepted";
  EXPECT_EQ(event.status().code(), Code::kCorruption);
  return event.status().field() + ": " + event.status().message();
}

TEST(Codec, KeepsEveryExample) {
  for (const Event& event : Examples()) {
    const std::string bytes = Encoded(event);
    const auto decoded = Decode(bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.status().ToString() << "\n" << ToJson(event);
    EXPECT_EQ(decoded.value(), event);
    EXPECT_EQ(Encoded(decoded.value()), bytes);
    EXPECT_LT(bytes.size(), ToJson(event).size());
  }
}

TEST(Codec, AppendsToWhatIsThere) {
  std::string bytes = "before";
  Encode(Sample(), bytes);
  EXPECT_EQ(bytes, "before" + Encoded(Sample()));
}

TEST(Codec, RefusesEveryPrefixAndEveryTail) {
  const std::string bytes = Encoded(Sample());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(Refusal(std::string_view(bytes).substr(0, size)), "accepted") << size;
  }
  EXPECT_EQ(Refusal(bytes + '\0'), ": bytes after the end of the event");
}

TEST(Codec, HoldsStoredEventsToTheRules) {
  const auto changed = [](auto change) {
    Event event = Sample();
    change(event, std::get<GuideSuggest>(event.data));
    return Refusal(Encoded(event));
  };
  using E = Event;
  using G = GuideSuggest;
  EXPECT_EQ(changed([](E&, G&) {}), "accepted");
  EXPECT_EQ(changed([](E& e, G&) { e.id = ""; }),
            "/id: expected a string of 1 to 128 characters, found an empty string");
  EXPECT_EQ(changed([](E& e, G&) { e.room = "\xFF"; }), "/room: not UTF-8");
  EXPECT_TRUE(changed([](E& e, G&) { e.ts = 1764000000; }).ends_with("which looks like seconds"));
  EXPECT_EQ(changed([](E& e, G&) { e.seq = -1; }), "/seq: an integer beyond 63 bits");
  EXPECT_EQ(changed([](E&, G& g) { g.prob = 0; }),
            "/data/prob: expected a number above 0 and at most 1, found 0");
  EXPECT_EQ(
      changed([](E&, G& g) { g.candidates[1].score = std::numeric_limits<double>::infinity(); }),
      "/data/candidates/1/score: a number that is not finite");
  EXPECT_EQ(changed([](E&, G& g) { g.candidates.clear(); }),
            "/data/candidates: expected a list of at least 1 item, found an empty list");
  EXPECT_EQ(changed([](E&, G& g) { g.mode = static_cast<GuideMode>(3); }),
            "/data/mode: a choice beyond the list");
  EXPECT_EQ(changed([](E&, G& g) { g.features.text = ""; }), "/data/features: not JSON");
  EXPECT_EQ(changed([](E&, G& g) { g.features.text = "[]"; }),
            "/data/features: expected an object");
  EXPECT_EQ(changed([](E&, G& g) { g.features.text = "{ }"; }),
            "/data/features: JSON not in its minified form");
  EXPECT_EQ(changed([](E&, G& g) { g.features.text = R"({"a":1,"a":1})"; }),
            "/data/features/a: the member stands twice in one object");
  EXPECT_EQ(changed([](E&, G& g) { g.extra.text = "{}"; }),
            "/data: extra members must be an object that is not empty");
  EXPECT_EQ(changed([](E&, G& g) { g.extra.text = R"({"prob":1})"; }),
            "/data/prob: a member that the schema names stands among the extra ones");
  EXPECT_EQ(changed([](E& e, G&) {
              e.data = Extension{"like", {"{}"}};
            }),
            "/data: not an extension type");
  EXPECT_EQ(changed([](E& e, G&) { e.data = Extension{"x.a", {"{}"}}; }), "accepted");
}

TEST(Codec, RefusesUnknownVersionsAndTypes) {
  std::string bytes = Encoded(Sample());
  bytes[0] = 2;
  EXPECT_EQ(Refusal(bytes), ": format version 2 is not known here");
  bytes[0] = 1;
  bytes[1] = 54;
  EXPECT_EQ(Refusal(bytes), ": event type 54 is not known here");
  bytes[1] = 47;
  EXPECT_EQ(Refusal(bytes), "accepted");
  bytes[2] = 1;  // the envelope has no extra members
  EXPECT_EQ(Refusal(bytes), ": a member that this version does not know");
}

// The stored code of a type never changes.
TEST(Codec, TypeCodesAreTheSchemasOrder) {
  EXPECT_EQ(kTypeNames[0], "stream.start");
  EXPECT_EQ(kTypeNames[5], "viewer.enter");
  EXPECT_EQ(kTypeNames[12], "like");
  EXPECT_EQ(kTypeNames[26], "order.pay");
  EXPECT_EQ(kTypeNames[47], "guide.suggest");
  EXPECT_EQ(kTypeNames[53], "attention.sample");
  Event event = Sample();
  event.data = Extension{"x.a", {"{}"}};
  EXPECT_EQ(static_cast<unsigned char>(Encoded(event)[1]), 255);
}

// Whatever happens to stored bytes, Decode refuses them or gives an event that is these bytes.
RC_GTEST_PROP(Codec, AcceptsOnlyWhatItWouldWrite, ()) {
  static const std::vector<Event> events = Examples();
  std::string bytes = Encoded(events[*rc::gen::inRange<size_t>(0, events.size())]);
  const int changes = *rc::gen::inRange(1, 4);
  for (int i = 0; i < changes && !bytes.empty(); ++i) {
    const size_t at = *rc::gen::inRange<size_t>(0, bytes.size());
    switch (*rc::gen::inRange(0, 4)) {
      case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << *rc::gen::inRange(0, 8))); break;
      case 1: bytes[at] = *rc::gen::arbitrary<char>(); break;
      case 2: bytes.erase(at, 1); break;
      default: bytes.insert(at, 1, *rc::gen::arbitrary<char>());
    }
  }
  const auto decoded = Decode(bytes);
  RC_CLASSIFY(decoded.ok(), "still an event");
  if (!decoded.ok()) {
    RC_ASSERT(decoded.status().code() == Code::kCorruption);
    return;
  }
  RC_ASSERT(Encoded(decoded.value()) == bytes);
  const auto read = JsonReader().ReadOne(ToJson(decoded.value()));
  RC_ASSERT(read.ok());
  RC_ASSERT(read.value() == decoded.value());
}

// ---- docs/formats/event.md, "A worked example"

std::string Block(const std::string& page, const std::string& fence) {
  const size_t section = page.find("## A worked example");
  const size_t begin = page.find("```" + fence + "\n", section);
  EXPECT_NE(begin, std::string::npos) << fence;
  const size_t first = begin + 4 + fence.size();
  return page.substr(first, page.find("```", first) - first);
}

std::string BytesOf(const std::string& hex) {
  std::string bytes;
  std::istringstream lines(hex);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream pairs(line.substr(0, line.find('#')));
    for (std::string pair; pairs >> pair;) {
      bytes.push_back(static_cast<char>(std::stoi(pair, nullptr, 16)));
    }
  }
  return bytes;
}

TEST(Codec, WritesTheDocumentedExample) {
  const std::string page = ReadSourceFile("docs/formats/event.md");
  const std::string bytes = BytesOf(Block(page, "hex"));
  const Event event = Read(Block(page, "json"));
  EXPECT_EQ(Encoded(event), bytes);
  const auto decoded = Decode(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(decoded.value(), event);
}

}  // namespace
}  // namespace heed::event
