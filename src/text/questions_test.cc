#include "text/questions.h"

#include <map>
#include <set>

#include "base/random.h"
#include "text/normalize.h"
#include "text/test_data.h"

namespace heed::text {
namespace {

std::shared_ptr<const WordLists> Lists() {
  static const auto lists = [] {
    auto read = WordLists::ReadFile(SourcePath("src/text/data/word_lists.toml"));
    EXPECT_TRUE(read.ok()) << read.status().ToString();
    return read.value();
  }();
  return lists;
}

std::shared_ptr<const QuestionMeaning> Meanings() {
  static const auto meaning = [] {
    std::vector<std::string> background;
    for (const LabelledComment& comment : Labelled("train")) background.push_back(comment.text);
    return std::make_shared<const QuestionMeaning>(Lists(), background);
  }();
  return meaning;
}

// Of the labelled questions of each room, asked one after another.
struct Agreement {
  double purity = 0;                 // share of questions in their found cluster's largest label
  double precision = 0, recall = 0;  // B-cubed (Bagga & Baldwin 1998)
  double found = 0, labelled = 0;    // clusters
};

Agreement Judge(const std::vector<LabelledComment>& comments, const QuestionConfig& config) {
  std::map<std::string, std::unique_ptr<QuestionMiner>> rooms;
  std::map<std::string, std::map<std::string, double>> by_found, by_label;
  std::vector<std::pair<std::string, std::string>> questions;  // found, label
  int64_t t_ms = 0;
  for (const LabelledComment& comment : comments) {
    if (!comment.asks()) continue;
    auto& miner = rooms[comment.room];
    if (miner == nullptr) miner = std::make_unique<QuestionMiner>(Meanings(), config);
    t_ms += 1000;
    const uint64_t id = miner->Add({comment.text, static_cast<uint64_t>(t_ms), t_ms});
    // One without meaning is alone.
    const std::string found = comment.room + (id == 0 ? "?" + comment.text : std::to_string(id));
    const std::string label = comment.room + comment.cluster;
    ++by_found[found][label];
    ++by_label[label][found];
    questions.emplace_back(found, label);
  }
  Agreement agreement;
  const auto total = [](const std::map<std::string, double>& counts) {
    double sum = 0;
    for (const auto& [name, count] : counts) sum += count;
    return sum;
  };
  const auto n = static_cast<double>(questions.size());
  for (const auto& [found, labels] : by_found) {
    double most = 0;
    for (const auto& [label, count] : labels) most = std::max(most, count);
    agreement.purity += most / n;
  }
  for (const auto& [found, label] : questions) {
    agreement.precision += by_found[found][label] / total(by_found[found]) / n;
    agreement.recall += by_label[label][found] / total(by_label[label]) / n;
  }
  agreement.found = static_cast<double>(by_found.size());
  agreement.labelled = static_cast<double>(by_label.size());
  return agreement;
}

TEST(Questions, ClustersOfTheLabelledRooms) {
  for (const std::string which : {"train", "valid", "held_out"}) {
    const Agreement a = Judge(Labelled(which), {});
    std::printf(
        "%s: purity %.3f, B-cubed precision %.3f recall %.3f, %.0f clusters found, %.0f labelled\n",
        which.c_str(), a.purity, a.precision, a.recall, a.found, a.labelled);
    EXPECT_GE(a.purity, 0.8) << which;
    // Purity alone would be 1 for clusters of one.
    EXPECT_GE(a.recall, 0.55) << which;
  }
}

TEST(Questions, OneWhoAsksAHundredTimesCountsOnce) {
  QuestionMiner miner(Meanings(), {});
  for (int i = 0; i < 100; ++i) miner.Add({"多少钱", 1, i});
  miner.Add({"包邮吗", 2, 200});
  miner.Add({"新疆包邮吗", 3, 201});
  const auto clusters = miner.Clusters(300);
  ASSERT_EQ(clusters.size(), 2u);
  EXPECT_EQ(clusters[0].viewers, 2u);  // postage first
  EXPECT_EQ(clusters[1].comments, 100u);
  EXPECT_EQ(clusters[1].viewers, 1u);
  EXPECT_EQ(clusters[1].text, "多少钱");
}

TEST(Questions, AnsweredOnesComeLastUntilAskedAgain) {
  QuestionMiner miner(Meanings(), {});
  const uint64_t price = miner.Add({"这个多少钱", 1, 1000});
  EXPECT_EQ(miner.Add({"咋卖的", 2, 2000}), price);
  const uint64_t ship = miner.Add({"今天拍几天能到", 3, 3000});
  EXPECT_NE(ship, price);
  EXPECT_EQ(miner.Clusters(4000)[0].id, price);

  EXPECT_EQ(miner.HostSaid("这款的价格呢是两件九十九块钱", 5000), std::vector<uint64_t>{price});
  auto clusters = miner.Clusters(6000);
  EXPECT_EQ(clusters[0].id, ship);
  EXPECT_EQ(clusters[1].waiting, 0u);
  EXPECT_EQ(clusters[1].answered_ms, 5000);

  miner.Add({"多少钱啊", 4, 7000});
  miner.Add({"价格多少", 5, 7500});
  clusters = miner.Clusters(8000);
  EXPECT_EQ(clusters[0].id, price);
  EXPECT_EQ(clusters[0].waiting, 2u);
  EXPECT_EQ(clusters[0].viewers, 4u);
  EXPECT_TRUE(miner.MarkAnswered(price, 8500));
  EXPECT_FALSE(miner.MarkAnswered(99, 8500));
  EXPECT_EQ(miner.Clusters(9000)[0].id, ship);
}

TEST(Questions, BuyersAmongThemAreCounted) {
  QuestionMiner miner(Meanings(), {});
  miner.Add({"多少钱", 1, 1000});
  miner.Add({"多少钱", 2, 1000});
  miner.WantsToBuy(2, 1500, Interest::kClicked);
  miner.WantsToBuy(2, 1600, Interest::kOrdered);
  miner.WantsToBuy(3, 1500, Interest::kCarted);  // asked nothing
  const QuestionCluster cluster = miner.Clusters(2000)[0];
  EXPECT_EQ(cluster.buying, 1u);
  EXPECT_EQ(cluster.clicked, 1u);
  EXPECT_EQ(cluster.carted, 0u);
  EXPECT_EQ(cluster.ordered, 1u);
}

TEST(Questions, AClusterKnowsItsNameAndWhatWasShown) {
  QuestionMiner miner(Meanings(), {});
  EXPECT_EQ(miner.Add({"多少钱", 1, 1000, 77, "cup"}), 77u);
  EXPECT_EQ(miner.Add({"价格多少", 2, 2000, 78, "dress"}), 77u);
  EXPECT_EQ(miner.Add({"多少钱啊", 2, 1500, 79, "cup"}), 77u);  // late: not what was asked last
  EXPECT_EQ(miner.Clusters(3000)[0].product, "dress");
  EXPECT_EQ(miner.ClusterOf("这个多少钱"), 77u);
  EXPECT_EQ(miner.ClusterOf("包邮吗"), 0u);
}

TEST(Questions, TheWindowForgets) {
  QuestionMiner miner(Meanings(), {.window_ms = 1000});
  const uint64_t old = miner.Add({"多少钱", 1, 0});
  miner.Add({"包邮吗", 2, 900});
  ASSERT_EQ(miner.Clusters(1001).size(), 1u);
  EXPECT_EQ(miner.Clusters(1001)[0].text, "包邮吗");
  EXPECT_NE(miner.Add({"多少钱", 1, 1100}), old);
  EXPECT_TRUE(miner.Clusters(5000).empty());
}

TEST(Questions, MemoryIsBounded) {
  QuestionMiner miner(Meanings(), {.max_questions = 50, .max_clusters = 8});
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (int k = 0; k < 4; ++k) {
      AppendUtf8(static_cast<char32_t>(0x4E00 + random.Below(5000)), &text);
    }
    text += "吗";
    miner.Add({text, random.Below(100), i});
    const auto clusters = miner.Clusters(i);
    size_t comments = 0;
    for (const auto& cluster : clusters) {
      EXPECT_GT(cluster.comments, 0u);
      comments += cluster.comments;
    }
    ASSERT_LE(comments, 50u);
    ASSERT_LE(clusters.size(), 8u);
  }
  EXPECT_EQ(miner.Add({"？？？", 1, 3000}), 0u);  // asks nothing
}

}  // namespace
}  // namespace heed::text
