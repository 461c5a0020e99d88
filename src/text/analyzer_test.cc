// Word lists, and the analyzer where no model is loaded or a made-up one. Trained models: train/comments_test.cc.
#include "text/analyzer.h"

#include <fstream>

#include "base/random.h"
#include "text/normalize.h"
#include "text/test_data.h"

namespace heed::text {
namespace {

std::string ListsPath() { return SourcePath("src/text/data/word_lists.toml"); }

std::shared_ptr<const WordLists> Parse(const std::string& lists) {
  auto parsed = WordLists::Parse("version = \"1\"\n" + lists, "l.toml");
  EXPECT_TRUE(parsed.ok()) << parsed.status().ToString();
  return parsed.value();
}

const std::string kPrice = "[[list]]\nname = \"price\"\nterms = [\"多少钱\"]\n";
const std::string kGood = "[[list]]\nname = \"good\"\nterms = [\"好看\"]\nunless = [\"不好看\"]\n";

TEST(WordLists, HitsKeepTheirBytesAndLongerPhrasesHideThem) {
  const auto lists = Parse(kPrice + kGood);
  const std::string text = "好 看吗？多少錢";
  const auto hits = lists->Find(text);
  ASSERT_EQ(hits.size(), 2u);
  EXPECT_EQ(text.substr(hits[0].begin, hits[0].end - hits[0].begin), "多少錢");
  EXPECT_EQ(text.substr(hits[1].begin, hits[1].end - hits[1].begin), "好 看");
  EXPECT_TRUE(lists->Find("不好看").empty());
  EXPECT_EQ(lists->Find("不好看，好看").size(), 1u);
}

TEST(WordLists, ATokenDependsOnTheNameAlone) {
  size_t prefix = 0;
  const std::string both = Parse(kPrice + kGood)->WithTokens("多少钱", &prefix);
  EXPECT_EQ(both, Parse(kPrice)->WithTokens("多少钱"));
  EXPECT_EQ(both.substr(prefix), "多少钱");
  EXPECT_EQ(prefix, 8u);  // one list, the mark before the text
  EXPECT_EQ(Normalize(both), both);
}

TEST(WordLists, MistakesNameTheLine) {
  const auto error = [](const std::string& lists) {
    return WordLists::Parse("version = \"1\"\n" + lists, "l.toml").status().message();
  };
  EXPECT_NE(error(kPrice + kPrice).find("l.toml:6: list 'price' comes twice"), std::string::npos);
  EXPECT_NE(error(kPrice + "polarty = 1\n").find("unknown key 'polarty'"), std::string::npos);
  EXPECT_NE(error("[[list]]\nname = \"a\"\nterms = [\" \"]\n").find("without letters"),
            std::string::npos);
}

TEST(Analyzer, WordListsAloneAnswerWithTheirWords) {
  const auto analyzer = Analyzer::Load({.word_lists = ListsPath()});
  ASSERT_TRUE(analyzer.ok()) << analyzer.status().ToString();
  const std::string text = "这件多少钱呀";
  const CommentAnalysis price = analyzer.value()->Analyze(text);
  EXPECT_EQ(price.intent.name, "price");
  EXPECT_GE(price.asks, Analyzer::kAsks);
  ASSERT_FALSE(price.intent.reasons.empty());
  EXPECT_EQ(price.intent.reasons[0].words, "多少钱");
  EXPECT_EQ(price.sentiment.name, "neutral");

  EXPECT_EQ(analyzer.value()->Analyze("客服不理人，差评").sentiment.name, "negative");
  EXPECT_EQ(analyzer.value()->Analyze("加V看同款").intent.name, "spam");
  EXPECT_EQ(analyzer.value()->Analyze("臭骗子 不得好死").offence.name, "offensive");
  EXPECT_EQ(analyzer.value()->Analyze("晚上好").offence.name, "clean");
  const CommentAnalysis nothing = analyzer.value()->Analyze("");
  EXPECT_EQ(nothing.intent.name, "chat");
  EXPECT_EQ(nothing.asks, 0);
}

TEST(Analyzer, RulesAreWorthWhatTheLabelsSay) {
  const auto lists = WordLists::ReadFile(ListsPath()).value();
  double asking = 0, asks = 0, insults = 0, offends = 0;
  for (const std::string which : {"train", "valid"}) {
    for (const LabelledComment& comment : Labelled(which)) {
      bool asked = false, insulted = false;
      for (const WordLists::Hit& hit : lists->Find(comment.text)) {
        asked = asked || lists->all()[hit.list].name == "asking";
        insulted = insulted || lists->all()[hit.list].offence;
      }
      asking += asked;
      asks += asked && comment.asks();
      insults += insulted;
      offends += insulted && comment.offence;
    }
  }
  std::printf("asking %.0f of %.0f, offence %.0f of %.0f\n", asks, asking, offends, insults);
  EXPECT_NEAR(asks / asking, static_cast<double>(Analyzer::kAskingPrecision), 0.05);
  EXPECT_NEAR(offends / insults, static_cast<double>(Analyzer::kInsultPrecision), 0.1);
}

TEST(Analyzer, OtherClassesAndListsAreRefused) {
  ClassifierConfig config;
  config.labels = {"buy", "sell"};
  config.admit_after = 1;
  const auto classifier = Classifier::Create(config, 1).value();
  TextBatch batch;
  classifier->Append("a", &batch);
  classifier->CountNgrams(batch);
  const std::string path = testing::TempDir() + "other.heed";
  ASSERT_TRUE(classifier->Save(path).ok());
  const Status status = Analyzer::Load({.word_lists = ListsPath(), .intent_model = path}).status();
  EXPECT_NE(status.message().find("class 'buy' is not one of this model's"), std::string::npos);
  EXPECT_FALSE(Analyzer::Load({.word_lists = "/nonexistent"}).ok());

  const std::string lists = testing::TempDir() + "lists.toml";
  std::ofstream(lists) << "version = \"1\"\n" << kPrice << "intent = \"prices\"\n";
  EXPECT_NE(Analyzer::Load({.word_lists = lists}).status().message().find("no intent 'prices'"),
            std::string::npos);
}

// A list's token is learned like an n-gram, and explained with the list's words in the text.
TEST(Analyzer, AModelTrainedWithTokensIsRecognised) {
  const auto lists = WordLists::ReadFile(ListsPath()).value();
  ClassifierConfig config;
  config.labels = {"price", "chat"};
  config.admit_after = 1;
  config.width = 8;
  config.heads = 2;
  config.members = 1;
  config.temperature = 1;
  const auto classifier = Classifier::Create(config, 1).value();
  const std::vector<std::string> texts = {"多少钱", "啥价", "咋卖", "晚上好", "哈哈", "今天好冷"};
  TextBatch batch;
  for (const std::string& text : texts) classifier->Append(lists->WithTokens(text), &batch);
  classifier->CountNgrams(batch);
  const std::vector<uint32_t> at = {0, 1, 2, 3, 4, 5}, labels = {0, 0, 0, 1, 1, 1};
  Random random(1);
  for (int i = 0; i < 60; ++i) {
    classifier->TrainStep(batch, at, labels, {.table_rate = 0.02f, .dense_rate = 0.02f}, random);
  }
  const std::string path = testing::TempDir() + "tokens.heed";
  ASSERT_TRUE(classifier->Save(path).ok());
  const auto analyzer = Analyzer::Load({.word_lists = ListsPath(), .intent_model = path});
  ASSERT_TRUE(analyzer.ok()) << analyzer.status().ToString();
  // Words never trained on: only the list's token can know them.
  const std::string text = "那双几钱";
  const CommentAnalysis answer = analyzer.value()->Analyze(text);
  EXPECT_EQ(answer.intent.name, "price");
  const auto reason =
      std::find_if(answer.intent.reasons.begin(), answer.intent.reasons.end(),
                   [](const Reason& r) { return r.words.find("[price]") != std::string::npos; });
  ASSERT_NE(reason, answer.intent.reasons.end());
  EXPECT_EQ(text.substr(reason->begin, reason->end - reason->begin), "几钱");
  EXPECT_GT(reason->contribution, 0);

  const CommentAnalysis quick = analyzer.value()->Analyze(text, /*with_reasons=*/false);
  EXPECT_EQ(quick.intent.name, answer.intent.name);
  EXPECT_NEAR(quick.intent.probability, answer.intent.probability, 1e-5);
  EXPECT_NEAR(quick.asks, answer.asks, 1e-5);
  EXPECT_TRUE(quick.intent.reasons.empty());
}

}  // namespace
}  // namespace heed::text
