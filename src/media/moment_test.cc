#include "media/moment.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/file.h"
#include "base/random.h"
#include "media/moment_file.h"
#include "media/moment_json.h"
#include "media/running_norm.h"

namespace heed::media {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Moment Example(uint64_t seed) {
  Random random(seed);
  Moment moment;
  moment.room = "r\"1\\\n主播";
  moment.epoch = static_cast<uint32_t>(seed);
  moment.second = -3 + static_cast<int64_t>(seed);
  moment.wall_ms = 1'764'000'000'000;
  moment.lag_ms = 850;
  moment.mode = "reduced";
  moment.frames = 4;
  for (const MomentFeatureInfo& info : Features()) {
    if (random.Uniform() < 0.5)
      moment.values.Set(info.feature, info.low + random.Uniform() * (info.high - info.low));
    if (random.Uniform() < 0.3) moment.z.SetUnbounded(info.feature, random.Uniform() * 16 - 8);
  }
  moment.of(Modality::kPicture) = {.ok = true, .cover = 0.8f, .age_ms = 120};
  moment.of(Modality::kVoice) = {.ok = true, .cover = 1, .age_ms = 0};
  moment.screen_text = "抢购价 ¥99.00\n库存50件";
  return moment;
}

TEST(Moment, FeaturesHaveNamesAndRanges) {
  std::set<std::string_view> names;
  for (const MomentFeatureInfo& info : Features()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_LT(info.low, info.high) << info.name;
    EXPECT_GT(info.resolution, 0) << info.name;
    EXPECT_EQ(FeatureByName(info.name), info.feature);
    EXPECT_EQ(&InfoOf(info.feature), &info);
  }
  EXPECT_FALSE(FeatureByName("vis.unknown"));
}

TEST(Moment, OnlyNumbersEnter) {
  MomentValues values;
  EXPECT_FALSE(values.Set(Feature::kMotion, kNan));
  EXPECT_FALSE(values.Set(Feature::kMotion, kInfinity));
  EXPECT_FALSE(values.Set(Feature::kMotion, -kInfinity));
  EXPECT_FALSE(values.SetUnbounded(Feature::kMotion, 1e300)) << "no float holds it";
  EXPECT_FALSE(values.Get(Feature::kMotion));
  EXPECT_TRUE(values.Set(Feature::kMotion, 1e300));
  EXPECT_EQ(values.Get(Feature::kMotion), 255.0f);
  EXPECT_TRUE(values.Set(Feature::kMotion, 0));
  EXPECT_EQ(values.Get(Feature::kMotion), 0.0f) << "a measured zero is a value";
}

TEST(Moment, JsonSaysWhatItHolds) {
  simdjson::dom::parser parser;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Moment moment = Example(seed);
    const std::string line = MomentToJson(moment);
    EXPECT_EQ(line.find('\n'), line.npos);
    simdjson::dom::element json;
    ASSERT_EQ(parser.parse(line).get(json), simdjson::SUCCESS) << line;
    EXPECT_EQ(json["room"].get_string().value(), moment.room);
    EXPECT_EQ(json["t"].get_int64().value(), moment.second);
    EXPECT_EQ(json["text"].get_string().value(), moment.screen_text);
    EXPECT_EQ(json["mod"]["picture"]["mode"].get_string().value(), "reduced");
    EXPECT_EQ(json["mod"]["picture"]["age_ms"].get_int64().value(), 120);
    EXPECT_TRUE(json["mod"]["face"]["age_ms"].is_null());
    for (const MomentFeatureInfo& info : Features()) {
      const auto field = json["f"][info.name];
      const auto value = moment.values.Get(info.feature);
      if (value) {
        EXPECT_EQ(static_cast<float>(field.get_double().value()), *value) << info.name;
      } else {
        EXPECT_TRUE(field.is_null()) << info.name;
      }
      EXPECT_EQ(json["z"][info.name].error() == simdjson::SUCCESS,
                moment.z.Get(info.feature).has_value());
    }
  }
  Moment odd;
  odd.room = "\xff\x01";
  odd.of(Modality::kVoice).cover = std::numeric_limits<float>::quiet_NaN();
  simdjson::dom::element json;
  EXPECT_EQ(parser.parse(MomentToJson(odd)).get(json), simdjson::SUCCESS) << MomentToJson(odd);
}

TEST(Moment, ALineOfJsonReadsBack) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const Moment moment = Example(seed);
    const std::string line = MomentToJson(moment);
    const Result<Moment> read = MomentFromJson(line, UnknownNames::kRefuse);
    ASSERT_TRUE(read.ok()) << read.status().ToString() << read.status().field() << line;
    Moment same = read.value();
    for (const MomentFeatureInfo& info : Features()) {
      const auto z = moment.z.Get(info.feature);
      ASSERT_EQ(same.z.Get(info.feature).has_value(), z.has_value());
      if (z) {
        EXPECT_NEAR(*same.z.Get(info.feature), *z, 0.00051) << info.name;
      }
    }
    same.z = moment.z;
    EXPECT_TRUE(same == moment) << line;
    EXPECT_EQ(MomentToJson(read.value()), line);
  }
  const Result<Moment> least =
      MomentFromJson(R"({"v":1,"t":-1,"f":{"new":"x"},"mod":{"smell":1}})");
  ASSERT_TRUE(least.ok()) << least.status().ToString();
  EXPECT_EQ(least.value().values.measured(), 0u);
  EXPECT_FALSE(least.value().of(Modality::kVoice).ok);
}

TEST(Moment, WhatIsNoRecordIsRefusedWithItsPlace) {
  const std::string head = R"({"v":1,"epoch":0,"t":0,)";
  const std::pair<std::string, const char*> wrong[] = {
      {"", ""},
      {"[]", ""},
      {"{\"v\":1,\"epoch\":0,\"t\":0,\"text\":\"\xff\"}", ""},
      {R"({"epoch":0,"t":0})", "/v"},
      {R"({"v":2,"epoch":0,"t":0})", "/v"},
      {R"({"v":1,"epoch":-1,"t":0})", "/epoch"},
      {R"({"v":1,"epoch":4294967296,"t":0})", "/epoch"},
      {R"({"v":1,"epoch":0,"t":0.5})", "/t"},
      {R"({"v":1,"epoch":0,"t":1e300})", "/t"},
      {R"({"v":1,"epoch":0,"t":"0"})", "/t"},
      {head + R"("wall_ms":-1})", "/wall_ms"},
      {head + R"("room":5})", "/room"},
      {head + R"("a/b~":5})", "/a~1b~0"},
      {head + R"("mod":{"smell":{}}})", "/mod/smell"},
      {head + R"("mod":{"voice":5}})", "/mod/voice"},
      {head + R"("mod":{"voice":{"ok":2}}})", "/mod/voice/ok"},
      {head + R"("mod":{"voice":{"cover":1.5}}})", "/mod/voice/cover"},
      {head + R"("mod":{"voice":{"frames":1}}})", "/mod/voice/frames"},
      {head + R"("mod":{"picture":{"age_ms":-1}}})", "/mod/picture/age_ms"},
      {head + R"("f":[]})", "/f"},
      {head + R"("f":{"vis.unknown":1}})", "/f/vis.unknown"},
      {head + R"("f":{"vis.motion":256}})", "/f/vis.motion"},
      {head + R"("f":{"vis.motion":1e999}})", "/f/vis.motion"},
      {head + R"("f":{"vis.motion":"1"}})", "/f/vis.motion"},
      {head + R"("z":{"vis.motion":8.5}})", "/z/vis.motion"},
      {head + R"("text":")" + std::string(64'001, 'a') + "\"}", "/text"},
  };
  for (const auto& [line, field] : wrong) {
    const Result<Moment> read = MomentFromJson(line, UnknownNames::kRefuse);
    ASSERT_FALSE(read.ok()) << line.substr(0, 100);
    EXPECT_EQ(read.status().code(), Code::kInvalidArgument) << line.substr(0, 100);
    EXPECT_EQ(read.status().field(), field) << line.substr(0, 100) << read.status().message();
  }
}

TEST(Moment, ProxiesCanBeTakenOut) {
  for (const Feature feature : Proxies()) {
    const std::string name(InfoOf(feature).name);
    EXPECT_NE(name.find("_proxy"), std::string::npos) << name;
  }
  EXPECT_EQ(Proxies().size(), 2u);
  MomentValues values;
  EXPECT_TRUE(values.Set(Feature::kSmileProxy, 1));
  values.Clear(Feature::kSmileProxy);
  EXPECT_TRUE(values == MomentValues());
}

TEST(MomentFile, IsReadWholeInEitherForm) {
  std::string file = MomentFileHeader(), lines;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    AppendMoment(Example(seed), &file);
    lines += MomentToJson(Example(seed)) + (seed % 2 == 0 ? "\n" : "\r\n\n");
  }
  const auto binary = ReadMoments(file, "f"), text = ReadMoments(lines, "f");
  ASSERT_TRUE(binary.ok() && text.ok()) << text.status().ToString();
  EXPECT_EQ(binary.value().size(), 20u);
  ASSERT_EQ(text.value().size(), 20u);
  EXPECT_TRUE(text.value()[7].values == binary.value()[7].values);
  EXPECT_NE(ReadMoments("\n{\"v\":1,\"epoch\":0,\"t\":1}\n{", "f").status().message().find("f:3"),
            std::string::npos);
}

TEST(MomentFile, ComesBackWhole) {
  std::string file = MomentFileHeader();
  for (uint64_t seed = 0; seed < 50; ++seed) AppendMoment(Example(seed), &file);
  auto reader = MomentFileReader::Open(file);
  ASSERT_TRUE(reader.ok());
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const auto next = reader.value().Next();
    ASSERT_TRUE(next.ok()) << next.status().ToString();
    ASSERT_TRUE(next.value().has_value());
    EXPECT_TRUE(*next.value() == Example(seed)) << seed;
  }
  EXPECT_FALSE(reader.value().Next().value().has_value());
}

TEST(MomentFile, TheWorkedExampleReads) {
  const char* root = std::getenv("HEED_SOURCE_DIR");  // NOLINT(concurrency-mt-unsafe)
  if (root == nullptr) GTEST_SKIP() << "HEED_SOURCE_DIR is not set";
  const auto page = ReadWholeFile(std::string(root) + "/docs/formats/moment_file.md");
  ASSERT_TRUE(page.ok()) << page.status().ToString();
  const std::string& text = page.value();
  const size_t begin = text.find("```\n", text.find("Worked example")) + 4;
  std::istringstream hex(text.substr(begin, text.find("```", begin) - begin));
  std::string file;
  for (std::string byte; hex >> byte;) file += static_cast<char>(std::stoi(byte, nullptr, 16));
  auto reader = MomentFileReader::Open(file);
  ASSERT_TRUE(reader.ok()) << reader.status().ToString();
  const auto next = reader.value().Next();
  ASSERT_TRUE(next.ok()) << next.status().ToString();
  Moment expected;
  expected.room = "r";
  expected.epoch = 1;
  expected.second = 2;
  expected.mode = "full";
  expected.frames = 5;
  expected.of(Modality::kPicture) = {.ok = true, .cover = 1, .age_ms = 40};
  expected.values.Set(Feature::kMotion, 2.5);
  EXPECT_TRUE(*next.value() == expected);
  EXPECT_FALSE(reader.value().Next().value().has_value());
}

TEST(MomentFile, OtherVersionsColumnsAreMatchedByName) {
  // As a version would write it that has two features, one of them unknown here.
  std::string file = "HEEDMOM1";
  ByteWriter header(file);
  header.Varint(1);
  header.String("picture");
  header.Varint(2);
  header.String("vis.of_tomorrow");
  header.String("vis.motion");
  header.Fixed(Crc32(file));
  std::string record;
  ByteWriter writer(record);
  writer.String("room");
  writer.Varint(7);
  writer.Signed(12);
  writer.Signed(0);
  writer.Signed(0);
  writer.String("full");
  writer.Varint(5);
  writer.Fixed(uint8_t{1});
  writer.Fixed(1.0f);
  writer.Signed(40);
  writer.Fixed(uint8_t{3});
  writer.Fixed(99.0f);
  writer.Fixed(2.5f);
  writer.Fixed(uint8_t{0});
  writer.String("");
  AppendFramed(record, &file);
  auto reader = MomentFileReader::Open(file);
  ASSERT_TRUE(reader.ok());
  const auto next = reader.value().Next();
  ASSERT_TRUE(next.ok()) << next.status().ToString();
  EXPECT_EQ(next.value()->values.measured(), 1u);
  EXPECT_EQ(next.value()->values.Get(Feature::kMotion), 2.5f);
  EXPECT_EQ(next.value()->of(Modality::kPicture).age_ms, 40);
}

RC_GTEST_PROP(MomentFile, DamageIsFoundAndNamed, ()) {
  std::string file = MomentFileHeader();
  const size_t begin = file.size();
  AppendMoment(Example(3), &file);
  const size_t second = file.size();
  AppendMoment(Example(4), &file);
  const bool cut = *rc::gen::arbitrary<bool>();
  const auto at = *rc::gen::inRange<size_t>(0, file.size());
  if (cut) {
    file.resize(at);
  } else {
    file[at] = static_cast<char>(file[at] ^ *rc::gen::inRange(1, 256));
  }
  auto reader = MomentFileReader::Open(file);
  if (at < begin) {
    RC_ASSERT(!reader.ok());
    return;
  }
  RC_ASSERT(reader.ok());
  // RC_ASSERT evaluates both sides of && and ||: values are only looked at where there are some.
  const auto is = [](const Result<std::optional<Moment>>& got, uint64_t seed) {
    return got.ok() && got.value() && *got.value() == Example(seed);
  };
  const auto is_end = [](const Result<std::optional<Moment>>& got) {
    return got.ok() && !got.value();
  };
  const auto first = reader.value().Next();
  if (cut && at == begin) {
    RC_ASSERT(is_end(first));
  } else if (at < second) {
    RC_ASSERT(!first.ok());
    RC_ASSERT(first.status().message().find(std::to_string(begin)) != std::string::npos);
  } else {
    RC_ASSERT(is(first, 3));
    const auto next = reader.value().Next();
    if (cut && at == second) {
      RC_ASSERT(is_end(next));
    } else {
      RC_ASSERT(!next.ok());
    }
  }
}

RC_GTEST_PROP(RunningNorm, SpreadIsThatOfSorting, ()) {
  auto values = *rc::gen::nonEmpty(rc::gen::container<std::vector<int>>(rc::gen::inRange(-50, 50)));
  std::vector<float> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  const auto median = [](std::vector<double> v) {
    std::sort(v.begin(), v.end());
    return (v[(v.size() - 1) / 2] + v[v.size() / 2]) / 2;
  };
  const double middle = median({sorted.begin(), sorted.end()});
  std::vector<double> distances;
  for (const float value : sorted) distances.push_back(std::abs(value - middle));
  const MedianAndDeviation got = RobustSpread(sorted);
  RC_ASSERT(std::abs(got.median - middle) < 1e-9);
  RC_ASSERT(std::abs(got.deviation - median(distances)) < 1e-9);
}

TEST(RunningNorm, IsAZValueThatOutliersDoNotMove) {
  RunningNorm norm;
  std::mt19937 random(5);
  std::normal_distribution<double> usual(100, 10);
  Moment moment;
  for (int i = 0; i < 600; ++i) {
    moment.values = {};
    // A third is wild: mean and variance would be useless.
    moment.values.Set(Feature::kBrightness, i % 3 == 0 ? 255 : usual(random));
    norm.Apply(&moment);
    EXPECT_EQ(moment.z.Get(Feature::kBrightness).has_value(), i >= 30) << i;
    EXPECT_FALSE(moment.z.Get(Feature::kMotion));
  }
  moment.values.Set(Feature::kBrightness, 100);
  norm.Apply(&moment);
  EXPECT_LT(std::abs(*moment.z.Get(Feature::kBrightness)), 0.7);
  moment.values.Set(Feature::kBrightness, 60);
  norm.Apply(&moment);
  EXPECT_LT(*moment.z.Get(Feature::kBrightness), -1.5);
}

TEST(RunningNorm, ForgetsWhatIsTenMinutesOldAndKeepsWithinItsLimits) {
  RunningNorm norm;
  Moment moment;
  const auto z = [&](double value) {
    moment.values = {};
    moment.values.Set(Feature::kBrightness, value);
    norm.Apply(&moment);
    return moment.z.Get(Feature::kBrightness);
  };
  for (int i = 0; i < 700; ++i) z(50);
  // No spread at all: the feature's resolution stands in, and the limit holds.
  EXPECT_FLOAT_EQ(*z(50), 0);
  EXPECT_FLOAT_EQ(*z(51), 2);
  EXPECT_FLOAT_EQ(*z(200), 8);
  for (int i = 0; i < 700; ++i) z(200);
  EXPECT_FLOAT_EQ(*z(200), 0);
  // A gap of ten minutes without the feature: it begins anew.
  moment.values = {};
  for (int i = 0; i < 601; ++i) norm.Apply(&moment);
  EXPECT_FALSE(z(200));
}

}  // namespace
}  // namespace heed::media
