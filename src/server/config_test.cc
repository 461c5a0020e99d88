#include "server/config.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "base/metrics.h"

namespace heed {
namespace {

std::string Message(std::string_view text, const Environment& environment = {}) {
  return ParseConfig(text, "heed.toml", environment).status().message();
}

// HEED_REGENERATE=1 base_test writes the file anew after a change of the table.
TEST(ConfigTest, TheAnnotatedFileIsTheDefaults) {
  const char* root = std::getenv("HEED_SOURCE_DIR");
  ASSERT_NE(root, nullptr) << "run through ctest";
  const std::string path = std::string(root) + "/heed.toml";
  if (std::getenv("HEED_REGENERATE") != nullptr) std::ofstream(path) << ConfigToToml(Config());
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), ConfigToToml(Config()));
  const auto loaded = LoadConfig(path, {});
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  EXPECT_EQ(ConfigToToml(loaded.value()), ConfigToToml(Config()));
  EXPECT_EQ(loaded.value().server.address, "127.0.0.1");
}

TEST(ConfigTest, EveryKindOfValueSurvivesTheFile) {
  Config config;
  config.server.address = "::1";
  config.server.port = 0;
  config.server.compress_responses = false;
  config.engine.directory = "a \"quoted\\\" place";
  config.engine.exploration = 0.1;
  config.engine.max_candidates = 77;
  config.log.level = "warn";
  const auto back = ParseConfig(ConfigToToml(config), "x", {});
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(ConfigToToml(back.value()), ConfigToToml(config));
  EXPECT_EQ(back.value().engine.directory, config.engine.directory);
  EXPECT_EQ(back.value().engine.exploration, 0.1);
  EXPECT_EQ(back.value().engine.max_candidates, 77u);
}

TEST(ConfigTest, MistakesNameFileLineAndTheNearestName) {
  EXPECT_EQ(Message("[server]\n\nprot = 1\n"),
            "heed.toml:3: unknown key 'prot' in [server] (did you mean 'port'?)");
  EXPECT_EQ(Message("[sever]\nport = 1\n"),
            "heed.toml:1: unknown section or key 'sever' (did you mean 'server'?)");
  EXPECT_EQ(Message("[server]\nport = \"80\"\n"),
            "heed.toml:2: server.port must be a whole number");
  EXPECT_EQ(Message("[server]\nport = 65536\n"),
            "heed.toml:2: server.port must be between 0 and 65535");
  EXPECT_EQ(Message("[engine]\nexploration = nan\n"),
            "heed.toml:2: engine.exploration must be between 0 and 1");
  EXPECT_EQ(Message("[server]\naddress = 5\n"),
            "heed.toml:2: server.address must be a text in quotes");
  EXPECT_EQ(Message("[server]\ncompress_responses = 1\n"),
            "heed.toml:2: server.compress_responses must be true or false");
  EXPECT_EQ(Message("server = 5\n"),
            "heed.toml:1: 'server' is a section: write [server] on its own line");
  EXPECT_NE(Message("[log]\nlevel = \"inof\"\n").find("did you mean 'info'"), std::string::npos);
  EXPECT_NE(Message("[server]\nport = = 2\n").find("heed.toml:2: not TOML"), std::string::npos)
      << Message("[server]\nport = = 2\n");
  EXPECT_NE(Message("[server]\ntls_key = \"k.pem\"\n").find("both or neither"), std::string::npos);
  EXPECT_EQ(ParseConfig("[server]\nport = -1\n", "f", {}).status().field(), "server.port");
  EXPECT_EQ(LoadConfig("/nowhere/heed.toml", {}).status().code(), Code::kIo);
}

TEST(ConfigTest, TheEnvironmentWinsAndIsCheckedToo) {
  const auto config = ParseConfig("[server]\nport = 1\n", "f",
                                  {{"HEED_SERVER_PORT", "2"},
                                   {"HEED_ENGINE_EXPLORATION", "0.25"},
                                   {"HEED_SERVER_COMPRESS_RESPONSES", "false"},
                                   {"HEED_ENGINE_DIRECTORY", "/d"},
                                   {"HEED_DATA", "/not/ours"}});
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config.value().server.port, 2);
  EXPECT_EQ(config.value().engine.exploration, 0.25);
  EXPECT_FALSE(config.value().server.compress_responses);
  EXPECT_EQ(config.value().engine.directory, "/d");
  EXPECT_EQ(Message("", {{"HEED_SERVER_PORT", "80x"}}),
            "environment variable HEED_SERVER_PORT: server.port must be a whole number");
  EXPECT_EQ(Message("", {{"HEED_SERVER_PRT", "80"}}),
            "unknown environment variable HEED_SERVER_PRT (did you mean 'HEED_SERVER_PORT'?)");
}

TEST(MetricsTest, TextHoldsWhatWasCounted) {
  Metrics metrics;
  const Counter hits = metrics.AddCounter("hits_total", "Hits", {{"route", "/a"}});
  hits.Add(3);
  metrics.AddCounter("hits_total", "Hits", {{"route", "/a"}}).Add();  // the same number
  metrics.AddCounter("hits_total", "Hits", {{"route", "/b"}}).Add(9);
  const Histogram latency = metrics.AddHistogram("seconds", "Latency", {0.1, 1});
  latency.Observe(0.5);
  const Gauge depth = metrics.AddGauge("depth", "Queue");
  metrics.BeforeScrape([depth] { depth.Set(7); });
  Counter().Add();  // counts nothing, and does not fall over
  const std::string text = metrics.Text();
  for (const char* line :
       {"hits_total{route=\"/a\"} 4\n", "hits_total{route=\"/b\"} 9\n", "depth 7\n",
        "seconds_bucket{le=\"0.1\"} 0\n", "seconds_bucket{le=\"1\"} 1\n", "seconds_count 1\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

}  // namespace
}  // namespace heed
