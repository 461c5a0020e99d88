// Sequences from files, their splits, ranking metrics, and a planted chain learned from a recipe.
#include "train/sequences.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "train/experiment.h"
#include "train/sequence_trainer.h"
#include "train/test_files.h"

namespace heed::train {
namespace {

using Format = SequenceSpec::Format;

std::string ErrorOf(const SequenceSpec& spec, const TestFolder& folder) {
  const auto data = ReadSequences(spec, folder.path());
  return data.ok() ? "" : data.status().message();
}

TEST(Sequences, PairsAndListsReadTheSame) {
  const TestFolder folder;
  folder.Write("pairs.txt", "u a\nv b\nu\tb\r\n\nu c\nu a\nv c\n");
  folder.Write("lists.txt", "u a b c a\nv  b c\n");
  const auto pairs = ReadSequences({.format = Format::kPairs, .path = "pairs.txt"}, folder.path());
  const auto lists = ReadSequences({.format = Format::kLists, .path = "lists.txt"}, folder.path());
  ASSERT_TRUE(pairs.ok()) << pairs.status().message();
  ASSERT_TRUE(lists.ok()) << lists.status().message();
  for (const SequenceData* data : {&pairs.value(), &lists.value()}) {
    EXPECT_EQ(data->catalog.ids, (std::vector<std::string>{"a", "b", "c"}));
    EXPECT_EQ(data->sequences, (std::vector<std::vector<uint32_t>>{{0, 1, 2, 0}, {1, 2}}));
    // u: learns a b, valid c, test a; v is too short to be judged.
    EXPECT_EQ(data->train_lengths, (std::vector<uint32_t>{2, 2}));
    EXPECT_EQ(data->refit_lengths, (std::vector<uint32_t>{3, 2}));
    ASSERT_EQ(data->valid.size(), 1u);
    EXPECT_EQ(data->valid[0].target, 2u);
    EXPECT_EQ(data->test[0].target, 0u);
    EXPECT_EQ(data->Prefix(data->test[0]).size(), 3u);
    EXPECT_EQ(data->Counts(data->train_lengths), (std::vector<uint32_t>{1, 2, 1}));
  }
}

TEST(Sequences, SessionsHoldOutTheNewestAndReadTestCases) {
  const TestFolder folder;
  folder.Write("train.txt", "a b\nb c d\n");
  folder.Write("test.txt", "d\ta b\n");
  const auto read = ReadSequences({.format = Format::kSessions,
                                   .path = "train.txt",
                                   .test_path = "test.txt",
                                   .valid_share = 0.5},
                                  folder.path());
  ASSERT_TRUE(read.ok()) << read.status().message();
  const SequenceData& data = read.value();
  EXPECT_EQ(data.train_lengths, (std::vector<uint32_t>{2, 0, 0}));
  EXPECT_EQ(data.refit_lengths, (std::vector<uint32_t>{2, 3, 0}));
  ASSERT_EQ(data.valid.size(), 2u);
  EXPECT_EQ(data.valid[1].length, 2u);
  ASSERT_EQ(data.test.size(), 1u);
  EXPECT_EQ(data.catalog.ids[data.test[0].target], "d");
}

TEST(Sequences, MistakesNameFileAndLine) {
  const TestFolder folder;
  folder.Write("pairs.txt", "u a\nu a b\n");
  folder.Write("lists.txt", "u a\nu b\n");
  folder.Write("none.txt", "\n");
  folder.Write("good.txt", "u a b c\n");
  folder.Write("test.txt", "a b\n");
  folder.Write("strangers.txt", "w a\n");
  folder.Write("broken.json", "{\"a\": [1, 2],\n \"b\": 3}");
  EXPECT_NE(ErrorOf({.path = "pairs.txt"}, folder).find("pairs.txt:2: expected 'user item'"),
            std::string::npos);
  EXPECT_NE(ErrorOf({.format = Format::kLists, .path = "lists.txt"}, folder)
                .find("lists.txt:2: user 'u' has a line already"),
            std::string::npos);
  EXPECT_NE(ErrorOf({.path = "none.txt"}, folder).find("no sequences"), std::string::npos);
  EXPECT_NE(ErrorOf({.path = "absent.txt"}, folder).find("cannot be opened"), std::string::npos);
  EXPECT_NE(
      ErrorOf({.format = Format::kSessions, .path = "good.txt", .test_path = "test.txt"}, folder)
          .find("test.txt:1: expected target<TAB>"),
      std::string::npos);
  EXPECT_NE(
      ErrorOf({.format = Format::kLists, .path = "good.txt", .negatives_path = "strangers.txt"},
              folder)
          .find("strangers.txt:1: user 'w' has no sequence"),
      std::string::npos);
  EXPECT_NE(
      ErrorOf({.format = Format::kLists, .path = "good.txt", .attributes_path = "broken.json"},
              folder)
          .find("broken.json:2: "),
      std::string::npos);
}

TEST(Sequences, AttributesKeepRepeatsAndLeaveOutUnknownItems) {
  const TestFolder folder;
  folder.Write("lists.txt", "u a b c\n");
  folder.Write("of.json", R"({"b": [7, 7, "x"], "z": [1], "a": []})");
  const auto read = ReadSequences(
      {.format = Format::kLists, .path = "lists.txt", .attributes_path = "of.json"}, folder.path());
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read.value().catalog.attributes, 2u);
  EXPECT_EQ(read.value().catalog.attribute_offsets, (std::vector<uint32_t>{0, 0, 3, 3}));
  EXPECT_EQ(read.value().catalog.attribute_numbers, (std::vector<uint32_t>{0, 0, 1}));
}

TEST(Sequences, NegativesAreDistinctAndUntouched) {
  SequenceData data;
  for (int i = 0; i < 50; ++i) data.catalog.ids.push_back(std::to_string(i));
  data.sequences = {{1, 2, 3}};
  const SequenceCase one{0, 2, 3};
  std::vector<uint32_t> drawn = DrawNegatives(data, one, 40, 7);
  EXPECT_EQ(drawn, DrawNegatives(data, one, 40, 7));
  EXPECT_NE(drawn, DrawNegatives(data, one, 40, 8));
  std::sort(drawn.begin(), drawn.end());
  EXPECT_EQ(std::unique(drawn.begin(), drawn.end()), drawn.end());
  for (const uint32_t own : {1u, 2u, 3u}) {
    EXPECT_FALSE(std::binary_search(drawn.begin(), drawn.end(), own));
  }
  EXPECT_EQ(DrawNegatives(data, one, 1000, 7).size(), 47u);  // all there are
}

TEST(RankingMetric, MeansOverCases) {
  const std::vector<uint32_t> ranks = {1, 3, 11};
  const auto value = [&](const char* text) {
    return Measure(ranks, RankingMetric::Parse(text).value());
  };
  EXPECT_DOUBLE_EQ(value("HR@10"), 2.0 / 3);
  EXPECT_DOUBLE_EQ(value("P@20"), 1.0);
  EXPECT_DOUBLE_EQ(value("NDCG@10"), (1.0 + 0.5) / 3);
  EXPECT_DOUBLE_EQ(value("MRR@20"), (1.0 + 1.0 / 3 + 1.0 / 11) / 3);
  for (const char* wrong : {"HR", "HR@", "HR@0", "HR@x", "NDGC@10", "@10"}) {
    EXPECT_FALSE(RankingMetric::Parse(wrong).ok()) << wrong;
  }
  EXPECT_NE(RankingMetric::Parse("NDGC@10").status().message().find("did you mean 'NDCG'"),
            std::string::npos);
}

TEST(Ranks, AModelThatCannotTellItemsApartGetsNoCredit) {
  SequenceData data;
  for (int i = 0; i < 20; ++i) data.catalog.ids.push_back(std::to_string(i));
  data.sequences = {{1, 2, 3}};
  model::NextItemConfig config;
  config.width = 4;
  config.init_deviation = 0.0f;  // all items alike
  const auto model = model::NextItemModel::Create(config, data.catalog, 1);
  ASSERT_TRUE(model.ok());
  const std::vector<SequenceCase> cases = {{0, 2, 3}};
  EXPECT_EQ(Ranks(*model.value(), data, cases, {}).value(), std::vector<uint32_t>{20});
  EXPECT_EQ(Ranks(*model.value(), data, cases, {{5, 6}}).value(), std::vector<uint32_t>{3});
}

constexpr const char* kRecipe = R"(
name = "chain"
kind = "next_item"
[data]
format = "lists"
file = "chain.txt"
[judge]
negatives = 20
[next_item]
width = 16
layers = 1
hidden = 16
max_length = 8
dropout = 0.1
[train]
loss = "sampled_softmax"
negatives = 16
batch_size = 32
epochs = 12
patience = 12
rate = 0.01
windows = "all"
stop_metric = "HR@1"
[[baseline]]
metric = "HR@1"
value = 0.5
[[baseline]]
metric = "MRR@10"
value = 0.5
)";

// 30 items in a ring; the next is the neighbour, or one time in ten any.
std::string Ring() {
  Random random(5);
  std::string text;
  for (int user = 0; user < 200; ++user) {
    text += std::to_string(user);
    uint64_t item = random.Below(30);
    for (uint64_t t = 0, n = 4 + random.Below(12); t < n; ++t) {
      text += " i" + std::to_string(item);
      item = random.Chance(0.1) ? random.Below(30) : (item + 1) % 30;
    }
    text += "\n";
  }
  return text;
}

TEST(NextItemExperiment, LearnsAPlantedChainFromARecipe) {
  const TestFolder folder;
  folder.Write("chain.txt", Ring());
  const auto experiment = LoadExperiment(folder.Write("chain.toml", kRecipe));
  ASSERT_TRUE(experiment.ok()) << experiment.status().message();
  ExperimentRun run{.folder = folder.path()};
  size_t reports = 0;
  run.progress = [&](const TrainProgress&) { ++reports; };
  const auto result = experiment.value()->Reproduce(run);
  ASSERT_TRUE(result.ok()) << result.status().message();
  ASSERT_EQ(result.value().figures.size(), 2u);
  EXPECT_GT(result.value().figures[0].value, 0.75);  // nine in ten is all there is to know
  EXPECT_GT(reports, 0u);
  // The same seed gives the same model, and the model file is one that loads.
  const std::string a = folder.path() + "/a.heed", b = folder.path() + "/b.heed";
  ASSERT_TRUE(experiment.value()->Train(run, a).ok());
  ASSERT_TRUE(experiment.value()->Train(run, b).ok());
  const auto first = model::NextItemModel::Load(a), second = model::NextItemModel::Load(b);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first.value()->Serialize(), second.value()->Serialize());
}

TEST(NextItemExperiment, StopsWhenAsked) {
  const TestFolder folder;
  folder.Write("chain.txt", Ring());
  const auto experiment = LoadExperiment(folder.Write("chain.toml", kRecipe));
  ASSERT_TRUE(experiment.ok());
  const std::atomic<bool> stop{true};
  const auto result = experiment.value()->Reproduce({.folder = folder.path(), .stop = &stop});
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result.value().stopped);
}

TEST(NextItemExperiment, MistakesInTheRecipeNameTheirLine) {
  const TestFolder folder;
  const auto error = [&](const std::string& from, const std::string& to) {
    std::string text = kRecipe;
    text.replace(text.find(from), from.size(), to);
    return LoadExperiment(folder.Write("wrong.toml", text)).status().message();
  };
  EXPECT_NE(error("layers = 1", "layer = 1").find("wrong.toml:11"), std::string::npos);
  EXPECT_NE(error("layers = 1", "heads = 3").find("multiple of 'heads'"), std::string::npos);
  EXPECT_NE(error("\"HR@1\"\n[[", "\"HT@1\"\n[[").find("did you mean 'HR'"), std::string::npos);
  EXPECT_NE(error("layers = 1", "attributes = true").find("attributes_file"), std::string::npos);
  EXPECT_NE(error("sampled_softmax", "sampled_sofmax").find("did you mean"), std::string::npos);
}

TEST(NextItemExperiment, EveryBuiltInRecipeParses) {
  for (const char* name : {"s3rec-lastfm", "s3rec-beauty", "sasrec-video", "diginetica"}) {
    EXPECT_TRUE(BuiltinExperiment(name).ok()) << BuiltinExperiment(name).status().message();
  }
}

}  // namespace
}  // namespace heed::train
