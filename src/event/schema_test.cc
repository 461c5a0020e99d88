// The reader agrees with the JSON Schema: on every mutation of an example both accept, or both
// refuse and name the same place, but for the differences json.h states.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "event/codec.h"
#include "event/json.h"
#include "event/layout.h"
#include "event/schema_judge.h"
#include "event/test_support.h"

namespace heed::event {
namespace {

namespace json = boost::json;

const json::value& Schema() {
  static const json::value schema = json::parse(ReadSourceFile("docs/spec/events.schema.json"));
  return schema;
}

size_t Below(size_t n) { return *rc::gen::inRange<size_t>(0, n); }

std::string Repeat(std::string_view piece, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += piece;
  return text;
}

json::value Nested(size_t levels) {
  json::value value = 1;
  for (size_t i = 0; i < levels; ++i) value = json::array{value};
  return value;
}

// Values at and just beyond the edges of the schema's rules, then every type's name.
const std::vector<json::value>& Replacements() {
  static const auto values = [] {
    std::vector<json::value> all{nullptr,
                                 true,
                                 false,
                                 0,
                                 1,
                                 -1,
                                 5'000'000,
                                 5'000'001,
                                 INT64_MAX,
                                 uint64_t{1} << 63,
                                 1.0,
                                 1.5,
                                 0.0,
                                 -0.0,
                                 -0.5,
                                 1.0000001,
                                 3e15,
                                 1e300,
                                 -1e300,
                                 0x1p63,
                                 1e-300,
                                 1'764'000'000,
                                 1'764'000'000'000,
                                 1'764'000'000'000.0,
                                 1'764'000'000'000'000,
                                 99'999'999'999,
                                 100'000'000'000,
                                 100'000'000'000'000,
                                 100'000'000'000'001,
                                 "",
                                 "1",
                                 "x",
                                 "CNY",
                                 "cny",
                                 "CNYX",
                                 "\n",
                                 "a\"b\\c/d\u0001",
                                 "x.appointment",
                                 "x.",
                                 "X.a",
                                 "x.a b",
                                 "x.\xC3\xA9",
                                 "like",
                                 "order.pay",
                                 "guide.suggest",
                                 "nope",
                                 "host",
                                 "viewer",
                                 json::array{},
                                 json::object{},
                                 json::array{1},
                                 json::array{"a", "b"}};
    all.emplace_back(json::array{json::object{}});
    all.emplace_back(json::object{{"a", json::object{{"b", 1.0}}}});
    for (const size_t chars : {128, 129, 2000, 2001}) {
      all.emplace_back(Repeat("a", chars));
      all.emplace_back(Repeat("\xE7\xA7\x8B", chars));      // three bytes each
      all.emplace_back(Repeat("\xF0\x9F\x98\x80", chars));  // four
    }
    for (const size_t levels : {20, 27, 28, 29, 30, 31, 32, 33, 40}) all.push_back(Nested(levels));
    for (const auto& name : kTypeNames) all.emplace_back(name);
    return all;
  }();
  return values;
}

size_t EdgeCount() { return Replacements().size() - kTypes; }

// Every value inside `value`, itself first.
void Collect(json::value& value, std::vector<json::value*>& out) {
  out.push_back(&value);
  if (auto* object = value.if_object()) {
    for (auto& member : *object) Collect(member.value(), out);
  } else if (auto* array = value.if_array()) {
    for (auto& item : *array) Collect(item, out);
  }
}

void ChangeObject(json::object& object) {
  const std::vector<std::string> names{"more",  "a/b",   "c~d", "\xE7\xA7\x8B", "",
                                       "lines", "extra", "qty", "late"};
  if (object.empty() || Below(3) == 0) {
    object[names[Below(names.size())]] = Replacements()[Below(Replacements().size())];
    return;
  }
  const std::string name = (object.begin() + Below(object.size()))->key();
  if (Below(2) == 0) {
    object.erase(name);
  } else {
    object[name] = Replacements()[Below(Replacements().size())];
  }
}

void Mutate(json::value& event) {
  std::vector<json::value*> places;
  Collect(event, places);
  json::value& place = *places[Below(places.size())];
  if (place.is_object() && Below(8) != 0) {
    ChangeObject(place.get_object());
  } else if (place.is_array() && Below(3) != 0) {
    auto& array = place.get_array();
    if (array.empty() || Below(2) == 0) {
      array.push_back(array.empty() ? Replacements()[Below(Replacements().size())] : array[0]);
    } else {
      array.erase(array.begin() + Below(array.size()));
    }
  } else {
    place = Replacements()[Below(Replacements().size())];
  }
}

// Accepted means that nothing is lost on any way out and back.
void CheckRoundTrips(const Event& event) {
  JsonReader reader;
  const std::string text = ToJson(event);
  const auto again = reader.ReadOne(text);
  RC_ASSERT(again.ok());
  RC_ASSERT(again.value() == event);
  RC_ASSERT(ToJson(again.value()) == text);
  std::string bytes, bytes_again;
  Encode(event, bytes);
  const auto decoded = Decode(bytes);
  RC_ASSERT(decoded.ok());
  RC_ASSERT(decoded.value() == event);
  Encode(decoded.value(), bytes_again);
  RC_ASSERT(bytes == bytes_again);
}

// Why reader and schema disagree about `event`, or nothing.
std::string Disagreement(JsonReader& reader, const json::value& event) {
  const std::string text = json::serialize(event);
  const Judgement judgement = Judge(Schema(), event);
  const auto read = reader.ReadOne(text);
  const Status status = read.status();
  const auto fair = [&] {
    if (read.ok()) return judgement.errors.empty() && judgement.stated.empty();
    return judgement.errors.contains(status.field()) || judgement.stated.contains(status.field());
  };
  if (fair()) return {};
  std::string report = text + "\nreader: " + status.ToString();
  for (const auto& pointer : judgement.errors) report += "\nschema refuses " + pointer;
  for (const auto& pointer : judgement.stated) report += "\nstated " + pointer;
  return report;
}

// Several faults at once, and what is accepted survives every way out and back.
RC_GTEST_PROP(Schema, AgreesOnMutatedExamples, ()) {
  json::value event = json::parse(ExampleTexts()[Below(ExampleTexts().size())]);
  const size_t mutations = Below(4);
  for (size_t i = 0; i < mutations; ++i) Mutate(event);
  JsonReader reader;
  const std::string disagreement = Disagreement(reader, event);
  RC_LOG() << disagreement << "\n";
  RC_ASSERT(disagreement.empty());
  const auto read = reader.ReadOne(json::serialize(event));
  RC_CLASSIFY(!read.ok(), "refused");
  if (read.ok()) CheckRoundTrips(read.value());
}

// One example of each type.
std::vector<json::value> OneOfEachType() {
  std::vector<json::value> events;
  std::set<std::string> types;
  for (const std::string& text : ExampleTexts()) {
    json::value event = json::parse(text);
    if (types.emplace(event.at("type").as_string()).second) events.push_back(std::move(event));
  }
  return events;
}

// Every value at an edge of the rules, in every place of every type.
TEST(Schema, AgreesOnEverySingleChange) {
  JsonReader reader;
  size_t changes = 0, accepted = 0;
  const auto expect_agreement = [&](const json::value& event) {
    const std::string disagreement = Disagreement(reader, event);
    ++changes;
    accepted += reader.ReadOne(json::serialize(event)).ok() ? 1 : 0;
    return disagreement.empty() ? testing::AssertionSuccess()
                                : testing::AssertionFailure() << disagreement;
  };
  for (json::value& event : OneOfEachType()) {
    // Found anew for each place, because a change frees what was below it.
    const auto places = [&] {
      std::vector<json::value*> all;
      Collect(event, all);
      return all;
    };
    for (size_t at = 0; at < places().size(); ++at) {
      json::value& place = *places()[at];
      const json::value before = place;
      for (size_t i = 0; i < EdgeCount(); ++i) {
        place = Replacements()[i];
        ASSERT_TRUE(expect_agreement(event));
      }
      place = before;
    }
  }
  // Without each member of the envelope and of the objects in it.
  for (const json::value& event : OneOfEachType()) {
    for (const auto& [name, member] : event.as_object()) {
      json::value less = event;
      less.as_object().erase(name);
      ASSERT_TRUE(expect_agreement(less));
      if (!member.is_object()) continue;
      for (const auto& [inner, value] : member.get_object()) {
        less = event;
        less.at(name).as_object().erase(inner);
        ASSERT_TRUE(expect_agreement(less));
      }
    }
  }
  EXPECT_GT(changes, 50'000u);
  EXPECT_GT(accepted, 5'000u);
}

std::set<std::string> Strings(const json::value& array) {
  std::set<std::string> all;
  for (const auto& item : array.as_array()) all.emplace(item.as_string());
  return all;
}

// Names, order and requiredness of one layout against one object schema.
template <typename T>
void ExpectSameMembers(const json::value& schema, const std::set<std::string>& elsewhere = {}) {
  SCOPED_TRACE(std::string(kLayout<T>.label));
  std::vector<std::string> named, listed(kFieldNames<T>.begin(), kFieldNames<T>.end());
  for (const auto& [name, rule] : schema.at("properties").as_object()) {
    if (!elsewhere.contains(name)) named.emplace_back(name);
  }
  EXPECT_EQ(listed, named);
  const auto required = Strings(schema.at("required"));
  for (size_t i = 0; i < listed.size(); ++i) {
    EXPECT_EQ((kRequired<T> >> i & 1) != 0, required.contains(listed[i])) << listed[i];
  }
}

TEST(Schema, FieldListsFollowIt) {
  const auto& rules = Schema().at("allOf").as_array();
  ASSERT_EQ(rules.size(), kTypes);
  [&]<size_t... I>(std::index_sequence<I...>) {
    const auto check = [&]<size_t N>() {
      using T = std::variant_alternative_t<N, AnyData>;
      EXPECT_EQ(rules[N].at("if").at("properties").at("type").at("const").as_string(),
                std::string(kLayout<T>.label));
      ExpectSameMembers<T>(rules[N].at("then").at("properties").at("data"));
    };
    (check.template operator()<I>(), ...);
  }
  (std::make_index_sequence<kTypes>());
  const auto& envelope = Schema().at("properties");
  ExpectSameMembers<Event>(Schema(), {"v", "type", "data"});
  ExpectSameMembers<Source>(envelope.at("src"));
  ExpectSameMembers<Actor>(envelope.at("actor"));
  ExpectSameMembers<Flags>(envelope.at("flags"));
}

// The evaluator is only a judge if it refuses something for every keyword.
TEST(Schema, EvaluatorRefuses) {
  const auto refused = [](const char* schema, const char* value) {
    return !Judge(json::parse(schema), json::parse(value)).errors.empty();
  };
  EXPECT_TRUE(refused(R"({"type":"integer"})", "1.5"));
  EXPECT_FALSE(refused(R"({"type":"integer"})", "1.0"));
  EXPECT_TRUE(refused(R"({"type":"integer"})", "true"));
  EXPECT_TRUE(refused(R"({"minimum":0})", "-1"));
  EXPECT_TRUE(refused(R"({"exclusiveMinimum":0})", "0"));
  EXPECT_TRUE(refused(R"({"maximum":1})", "2"));
  EXPECT_TRUE(refused(R"({"minLength":1})", "\"\""));
  EXPECT_TRUE(refused(R"({"maxLength":1})", "\"ab\""));
  EXPECT_FALSE(refused(R"({"maxLength":1})", "\"\xE7\xA7\x8B\""));
  EXPECT_TRUE(refused(R"({"minItems":1})", "[]"));
  EXPECT_TRUE(refused(R"({"pattern":"^[A-Z]{3}$"})", "\"CNY1\""));
  EXPECT_TRUE(refused(R"({"enum":["a"]})", "\"b\""));
  EXPECT_TRUE(refused(R"({"const":"1"})", "1"));
  EXPECT_TRUE(refused(R"({"required":["a"]})", "{}"));
  EXPECT_TRUE(refused(R"({"properties":{},"additionalProperties":false})", R"({"a":1})"));
  EXPECT_TRUE(refused(R"({"items":{"type":"string"}})", "[1]"));
  EXPECT_TRUE(refused(R"({"anyOf":[{"type":"string"},{"minimum":3}]})", "2"));
  EXPECT_TRUE(refused(R"({"allOf":[{"type":"string"}]})", "2"));
  EXPECT_TRUE(refused(R"({"if":{"const":1},"then":{"type":"string"}})", "1"));
  EXPECT_FALSE(refused(R"({"if":{"const":1},"then":{"type":"string"}})", "2"));
}

}  // namespace
}  // namespace heed::event
