// The analyzer as a whole on the labelled comments: models trained by their recipes, question mining behind
// them. Figures in docs/text.md.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "base/file.h"
#include "text/analyzer.h"
#include "text/labelled_comments.h"
#include "text/lint_lines.h"
#include "text/lint_model.h"
#include "text/questions.h"
#include "train/experiment.h"
#include "train/test_files.h"

namespace heed::train {
namespace {

using text::LabelledComment;

std::string Root() {
  return std::getenv("HEED_SOURCE_DIR");  // NOLINT(concurrency-mt-unsafe): one thread
}

std::vector<LabelledComment> Labelled(const std::string& which) {
  auto read = text::ReadLabelledComments(Root() + "/src/text/data/comments_" + which + ".tsv");
  EXPECT_TRUE(read.ok()) << read.status().ToString();
  return std::move(read).value();
}

// Without `valid`, the valid rooms take no part at all.
std::string Train(const std::string& recipe, bool valid, const TestFolder& folder) {
  std::string toml = ReadWholeFile(Root() + "/examples/recipes/" + recipe + ".toml").value();
  if (!valid) {
    const size_t end = toml.find("split = \"valid\"\n"), begin = toml.rfind("[[data.file]]", end);
    EXPECT_NE(end, std::string::npos);
    toml.erase(begin, end + 16 - begin);
  }
  const auto experiment = ParseExperiment({toml, recipe + ".toml", {}});
  EXPECT_TRUE(experiment.ok()) << experiment.status().ToString();
  std::string path = folder.path() + "/" + recipe + ".heed";
  const auto trained =
      experiment.value()->Train({.folder = Root() + "/src/text/data", .seed = 1}, path);
  EXPECT_TRUE(trained.ok()) << trained.status().ToString();
  return path;
}

std::unique_ptr<text::Analyzer> Trained(bool valid, const TestFolder& folder) {
  auto analyzer =
      text::Analyzer::Load({.word_lists = Root() + "/src/text/data/word_lists.toml",
                            .intent_model = Train("comment-intent", valid, folder),
                            .sentiment_model = Train("comment-sentiment", valid, folder),
                            .offence_model = ""});
  EXPECT_TRUE(analyzer.ok()) << analyzer.status().ToString();
  return std::move(analyzer).value();
}

double MacroF1(const std::vector<std::pair<std::string, std::string>>& said_is) {
  std::map<std::string, double> said, is, both;
  for (const auto& [a, b] : said_is) {
    ++said[a];
    ++is[b];
    if (a == b) ++both[a];
  }
  double sum = 0;
  for (const auto& [label, count] : is) sum += 2 * both[label] / (said[label] + count);
  return sum / static_cast<double>(is.size());
}

// 95 % by resampling comments: rooms are too few to resample.
std::pair<double, double> Interval(const std::vector<std::pair<std::string, std::string>>& pairs) {
  Random random(1);
  std::vector<double> values;
  for (int i = 0; i < 1000; ++i) {
    std::vector<std::pair<std::string, std::string>> sample;
    for (size_t k = 0; k < pairs.size(); ++k) sample.push_back(pairs[random.Below(pairs.size())]);
    values.push_back(MacroF1(sample));
  }
  std::sort(values.begin(), values.end());
  return {values[25], values[974]};
}

struct Figures {
  double question_recall = 0, question_precision = 0, intent_f1 = 0, sentiment_f1 = 0;
  double purity = 0, calibration_error = 0;
};

Figures Measure(const text::Analyzer& analyzer, const std::vector<LabelledComment>& comments,
                const std::string& name) {
  std::vector<std::string> background;
  for (const LabelledComment& comment : Labelled("train")) background.push_back(comment.text);
  auto lists = text::WordLists::ReadFile(Root() + "/src/text/data/word_lists.toml");
  const auto meaning = std::make_shared<const text::QuestionMeaning>(lists.value(), background);
  std::map<std::string, std::unique_ptr<text::QuestionMiner>> rooms;
  std::map<std::string, std::map<std::string, double>> clusters;
  std::vector<std::pair<std::string, std::string>> intents, sentiments;
  double asked = 0, found = 0, right = 0;
  struct Bin {
    double n = 0, probability = 0, right = 0;
  };
  std::vector<Bin> bins(10);
  int64_t t_ms = 0;
  for (const LabelledComment& comment : comments) {
    const text::CommentAnalysis answer = analyzer.Analyze(comment.text);
    intents.emplace_back(answer.intent.name, comment.intent);
    sentiments.emplace_back(answer.sentiment.name, comment.sentiment);
    Bin& bin = bins[std::min<size_t>(9, static_cast<size_t>(answer.intent.probability * 10))];
    ++bin.n;
    bin.probability += static_cast<double>(answer.intent.probability);
    bin.right += answer.intent.name == comment.intent ? 1 : 0;
    const bool asks = answer.asks >= text::Analyzer::kAsks;
    if (comment.asks()) ++asked;
    if (asks) ++found;
    if (asks && comment.asks()) ++right;
    if (!asks) continue;
    ++t_ms;
    auto& miner = rooms[comment.room];
    if (miner == nullptr)
      miner = std::make_unique<text::QuestionMiner>(meaning, text::QuestionConfig());
    const uint64_t id = miner->Add({comment.text, static_cast<uint64_t>(t_ms), t_ms});
    if (id != 0) {
      ++clusters[comment.room + std::to_string(id)]
                [comment.asks() ? comment.cluster : "no question"];
    }
  }
  Figures figures;
  figures.question_recall = right / asked;
  figures.question_precision = right / found;
  figures.intent_f1 = MacroF1(intents);
  figures.sentiment_f1 = MacroF1(sentiments);
  double mined = 0, pure = 0;
  for (const auto& [cluster, labels] : clusters) {
    double most = 0;
    for (const auto& [label, count] : labels) {
      mined += count;
      if (label != "no question") most = std::max(most, count);
    }
    pure += most;
  }
  figures.purity = pure / mined;
  for (const Bin& bin : bins) {
    figures.calibration_error +=
        std::abs(bin.probability - bin.right) / static_cast<double>(comments.size());
  }
  const auto [low, high] = Interval(intents);
  std::printf(
      "%s, %zu comments: questions recall %.3f precision %.3f; intent macro-F1 %.3f [%.3f, %.3f]; "
      "sentiment macro-F1 %.3f; calibration error %.3f; purity of mined clusters %.3f\n",
      name.c_str(), comments.size(), figures.question_recall, figures.question_precision,
      figures.intent_f1, low, high, figures.sentiment_f1, figures.calibration_error,
      figures.purity);
  std::map<std::string, std::map<std::string, int>> confusion;
  for (const auto& [said, is] : intents) ++confusion[is][said];
  for (const auto& [is, row] : confusion) {
    std::printf("  %s:", is.c_str());
    for (const auto& [said, count] : row) std::printf(" %s %d", said.c_str(), count);
    std::printf("\n");
  }
  return figures;
}

// Rooms that chose the settings, judged by models that have not seen them.
TEST(Comments, ValidRooms) {
  const TestFolder folder;
  Measure(*Trained(false, folder), Labelled("valid"), "valid");
  text::AnalyzerFiles files{.word_lists = Root() + "/src/text/data/word_lists.toml"};
  Measure(*text::Analyzer::Load(files).value(), Labelled("valid"), "valid, word lists alone");
}

TEST(Comments, RoomsHeldOut) {
  const TestFolder folder;
  const auto analyzer = Trained(true, folder);
  const std::vector<LabelledComment> comments = Labelled("held_out");
  ASSERT_GE(comments.size(), 150u);
  const Figures figures = Measure(*analyzer, comments, "held out");
  EXPECT_GE(figures.question_recall, 0.9);
  EXPECT_GE(figures.purity, 0.8);
  text::AnalyzerFiles files{.word_lists = Root() + "/src/text/data/word_lists.toml"};
  const auto lists_alone = text::Analyzer::Load(files).value();
  const Figures rules = Measure(*lists_alone, comments, "held out, word lists alone");
  EXPECT_GT(figures.intent_f1, rules.intent_f1);
}

// The packs with the ear beside them.
void MeasureLint(const std::string& model, const std::string& which, double* recall,
                 double* alarms) {
  const auto packs = text::LintPacks::Open(Root() + "/examples/compliance");
  const auto ear = text::LintModel::Load(model);
  ASSERT_TRUE(packs.ok() && ear.ok());
  double violations = 0, found = 0, heard = 0, neutral = 0, alarmed = 0;
  std::vector<float> calm;
  for (const text::LabelledLine& line : text::LintLines(Root() + "/src/text/data", which)) {
    auto hits = packs.value()->current()->Check(line.text, 1'795'000'000'000);
    const bool by_packs = !hits.empty();
    ear.value()->Check(line.text, &hits);
    for (const text::LintHit& hit : hits) {
      EXPECT_LT(hit.begin, hit.end);
      EXPECT_LE(hit.end, line.text.size());
    }
    (line.violation ? violations : neutral) += 1;
    if (line.violation) {
      found += hits.empty() ? 0 : 1;
      heard += !hits.empty() && !by_packs ? 1 : 0;
    } else {
      alarmed += hits.empty() ? 0 : 1;
      calm.push_back(ear.value()->Violation(line.text));
    }
  }
  std::sort(calm.begin(), calm.end());
  *recall = found / violations;
  *alarms = alarmed / neutral;
  std::printf(
      "%s: packs and model, recall %.3f of %.0f (%.0f by the model alone), false alarms %.3f of "
      "%.0f; "
      ".97 of neutral lines below %.3f\n",
      which.c_str(), *recall, violations, heard, *alarms, neutral,
      static_cast<double>(calm[calm.size() * 97 / 100]));
}

TEST(LintModel, HearsWhatThePacksDoNotKnow) {
  const TestFolder folder;
  double recall = 0, alarms = 0;
  MeasureLint(Train("lint-lines", false, folder), "valid", &recall, &alarms);
  MeasureLint(Train("lint-lines", true, folder), "held_out", &recall, &alarms);
  EXPECT_GE(recall, 0.95);
  EXPECT_LE(alarms, 0.05);
  const auto wrong = text::LintModel::Load(Train("comment-sentiment", true, folder));
  EXPECT_NE(wrong.status().message().find("'neutral' and 'violation'"), std::string::npos);
}

TEST(Comments, ReasonsLieInTheTextAndTheirWeightsSumToOne) {
  const TestFolder folder;
  const auto analyzer = Trained(true, folder);
  for (const LabelledComment& comment : Labelled("valid")) {
    const text::CommentAnalysis answer = analyzer->Analyze(comment.text);
    for (const text::TextLabel* label : {&answer.intent, &answer.sentiment}) {
      float sum = 0;
      for (const text::Reason& reason : label->reasons) {
        EXPECT_LE(reason.begin, reason.end);
        EXPECT_LE(reason.end, comment.text.size());
        sum += reason.weight;
      }
      EXPECT_NEAR(sum, 1, 1e-4) << comment.text;
      EXPECT_GT(label->probability, 0);
      EXPECT_LE(label->probability, 1);
    }
  }
}

}  // namespace
}  // namespace heed::train
