// Amounts: what is made of them in a data set, in batch training, in judging and in online learning.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "base/random.h"
#include "train/dataset.h"
#include "train/evaluate.h"
#include "train/online_for_test.h"
#include "train/test_files.h"
#include "train/trainer.h"

namespace heed::train {
namespace {

constexpr const char* kSpec = R"(name = "orders"
time = "ts"
user = "user"
item = "item"
[split]
by = "share"
train = 0.8
valid = 0.0
test = 0.2
[[file]]
path = "orders.csv"
[[label]]
name = "order"
[[label]]
name = "cents"
column = "paid"
kind = "value"
huber_delta = 5000
loss_weight = 4
given = "order"
[[field]]
columns = ["user"]
[[field]]
columns = ["item"]
side = "candidate"
)";

// Items 0-4 cost 1,000 cents, items 5-9 cost 9,000; the cheap ones are bought four times as often.
std::string Orders(size_t rows) {
  Random random(1);
  std::string csv = "user,item,ts,order,paid\n";
  for (size_t i = 0; i < rows; ++i) {
    const uint64_t item = random.Below(10);
    const bool order = random.Chance(item < 5 ? 0.4 : 0.1);
    const double cents = (item < 5 ? 1'000 : 9'000) * random.Uniform(0.9, 1.1);
    csv += "u" + std::to_string(random.Below(20)) + ",i" + std::to_string(item) + "," +
           std::to_string(1'000'000 + i) + "," + (order ? "1," : "0,") +
           (order ? std::to_string(static_cast<int>(cents)) : "") + "\n";
  }
  return csv;
}

TEST(Values, AreLearnedFromTheRowsThatHaveThemAndServedAsExpected) {
  const TestFolder folder;
  folder.Write("orders.csv", Orders(12'000));
  const auto spec = LoadDatasetSpec(folder.Write("orders.toml", kSpec));
  ASSERT_TRUE(spec.ok()) << spec.status().ToString();
  auto data = Dataset::Load(spec.value(), folder.path());
  ASSERT_TRUE(data.ok()) << data.status().ToString();
  ASSERT_EQ(data.value()->schema().tasks[1].kind, model::TaskKind::kValue);
  model::RankerConfig config;
  config.schema = data.value()->schema();
  config.embedding_width = 4;
  config.hidden = {16};
  TrainOptions options;
  options.epochs = 6;
  options.batch_size = 64;
  options.calibrate = false;
  options.optimizer.dense_rate = options.optimizer.table_rate = 0.01f;
  const auto trained = Train(*data.value(), config, options);
  ASSERT_TRUE(trained.ok()) << trained.status().ToString();
  const std::vector<uint32_t>& test = data.value()->samples_of(Split::kTest);
  const auto predicted = Predict(*trained.value().ranker, *data.value(), {}, test);
  ASSERT_TRUE(predicted.ok());
  // p E[cents | order]: about .4 x 1,000 or .1 x 9,000.
  double cheap = 0, dear = 0, cheap_rows = 0, dear_rows = 0;
  for (size_t i = 0; i < test.size(); ++i) {
    const float expected = predicted.value()[1].probabilities[i];
    EXPECT_NEAR(expected,
                predicted.value()[0].probabilities[i] * 5'000 * predicted.value()[1].scores[i],
                1.0f);
    const bool is_dear = predicted.value()[1].scores[i] > 1.0f;
    (is_dear ? dear : cheap) += static_cast<double>(expected);
    (is_dear ? dear_rows : cheap_rows) += 1;
  }
  EXPECT_NEAR(cheap / cheap_rows, 400, 80);
  EXPECT_NEAR(dear / dear_rows, 900, 180);
  EXPECT_NEAR(dear_rows / (dear_rows + cheap_rows), 0.5, 0.05);
  const auto report = Evaluate(*trained.value().ranker, *data.value(), {});
  ASSERT_TRUE(report.ok());
  ASSERT_TRUE(report.value().tasks[1].value.has_value());
  EXPECT_FALSE(report.value().tasks[0].value.has_value());
  EXPECT_NEAR(report.value().tasks[1].value->pcoc, 1.0, 0.2);
  EXPECT_GE(report.value().tasks[1].value->revenue_capture, 0.0);
  // The dear half brings 900 of 1,300.
  EXPECT_GT(RevenueCapture(predicted.value()[1].probabilities, predicted.value()[1].labels, 0.5),
            0.6);
}

TEST(Values, WhatADescriptionMayNotSayIsRefused) {
  const TestFolder folder;
  const auto refuses = [&](const std::string& from, const std::string& to,
                           const std::string& message) {
    std::string text = kSpec;
    text.replace(text.find(from), from.size(), to);
    const auto spec = LoadDatasetSpec(folder.Write("bad.toml", text));
    ASSERT_FALSE(spec.ok()) << to;
    EXPECT_NE(spec.status().ToString().find(message), std::string::npos)
        << spec.status().ToString();
  };
  refuses("huber_delta = 5000", "", "huber_delta");
  refuses("given = \"order\"", "given = \"ordr\"", "unknown label 'ordr'");
  refuses("given = \"order\"", "at_least = 3", "neither 'at_least'");
  refuses("kind = \"value\"", "kind = \"sum\"", "binary or value");
  std::string text = Orders(10);
  text += "u1,i1,2000000,1,-5\n";
  folder.Write("orders.csv", text);
  const auto data =
      Dataset::Load(LoadDatasetSpec(folder.Write("orders.toml", kSpec)).value(), folder.path());
  ASSERT_FALSE(data.ok());
  EXPECT_NE(data.status().ToString().find("orders.csv:12: label column 'paid' is below 0"),
            std::string::npos)
      << data.status().ToString();
}

TEST(Values, RevenueCaptureByHand) {
  // Of 200 rows the best 1 % are two. The order found is in one of them: 30 of 30 + 50 + 20.
  std::vector<float> predicted(200, 1.0f), values(200, std::nanf(""));
  predicted[7] = 9.0f, values[7] = 30.0f;
  predicted[8] = 8.0f;
  predicted[50] = 7.0f, values[50] = 50.0f;
  values[60] = 20.0f;
  EXPECT_DOUBLE_EQ(RevenueCapture(predicted, values, 0.01), 0.30);
  EXPECT_DOUBLE_EQ(RevenueCapture(predicted, values, 0.015), 0.80);
  EXPECT_DOUBLE_EQ(RevenueCapture(predicted, values, 1.0), 1.0);
  EXPECT_DOUBLE_EQ(RevenueCapture(std::vector<float>(200, 1.0f), values, 0.01), 0.0);
  EXPECT_TRUE(std::isnan(RevenueCapture(predicted, std::vector<float>(200, 0.0f), 0.01)));
  const ValueMetrics m = MeasureValue(
      {.scores = predicted, .probabilities = predicted, .labels = values, .groups = {}});
  EXPECT_EQ(m.rows, 200);
  EXPECT_EQ(m.paid, 3);
  EXPECT_DOUBLE_EQ(m.revenue_capture, 0.30);
  EXPECT_DOUBLE_EQ(m.pcoc, (197 + 9 + 8 + 7) / 100.0);
}

TEST(Values, TheLedgerTellsAmountsAndNeverTheirAbsence) {
  Random random(1);
  LabelLedger ledger({.windows = {{100, 300}, {100, 300}}, .value_tasks = 2});
  const auto features = std::make_shared<model::Batch>(
      model::RandomBatch(model::SmallConfig().schema, {.requests = 1, .labels = false}, random));
  for (uint64_t id = 1; id <= 3; ++id) ledger.Shown(id, 0, features, {0.5f, 0.5f});
  ledger.Positive(1, 3, 10, 70.0f);
  ledger.Advance(101, nullptr);
  ledger.Positive(2, 3, 200,
                  80.0f);  // late: its first task is a correction, the amount is just new
  ledger.Positive(1, 3, 210, 99.0f);  // the first one counts
  std::string told;
  LabelLedger::Due due;
  while (ledger.Take(&due)) {
    told += std::to_string(due.id) + "." + std::to_string(due.task);
    if (due.task == 1) told += "=" + std::to_string(static_cast<int>(due.example->worth));
    EXPECT_TRUE(due.task == 0 || due.step == LabelLedger::Step::kPositive);
    told += " ";
  }
  EXPECT_EQ(told, "1.0 1.1=70 2.0 3.0 2.1=80 ");
  LabelLedger again({.windows = {{100, 300}, {100, 300}}, .value_tasks = 2});
  const model::Schema schema = model::SmallConfig().schema;
  ASSERT_TRUE(again.Restore(schema, ledger.Serialize(schema)).ok());
  EXPECT_EQ(again.Serialize(schema), ledger.Serialize(schema));
}

// Whoever clicks pays 300 or 100, by the item; the rest pay nothing, which is no amount.
TEST(Values, AreLearnedOnline) {
  model::RankerConfig config = model::SmallConfig();
  config.init_deviation = 0.3f;
  config.schema.tasks.push_back({"amount", 1.0f, 0.0f, model::TaskKind::kValue, 200.0f, "click"});
  OnlineOptions options = Options();
  options.ledger.windows.push_back({3'000, 5'000});
  options.optimizer.table_rate = options.optimizer.dense_rate = 0.02f;
  auto made = OnlineTrainer::Create(std::move(model::Ranker::Create(config, 7)).value(), options);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  OnlineTrainer& trainer = *made.value();
  Stream stream(3);
  const auto amount = [](const Feedback& shown) {
    return shown.features->candidate_keys[0] % 4 == 0 ? 300.0f : 100.0f;
  };
  int64_t ts = 0;
  // As it should be judged: by what was said when it was shown.
  std::vector<float> expected, brought;
  double off_before = 0, clicks = 0;
  for (int i = 0; i < 6'000; ++i) {
    ts += 100;
    const Feedback shown = stream.Show(ts);
    model::Scores said;
    ASSERT_TRUE(trainer.live().Forward(*shown.features, false, &said).ok());
    expected.push_back(said.probabilities[2]);
    brought.push_back(stream.clicked() ? amount(shown) : std::nanf(""));
    Feed(&trainer, shown);
    if (stream.clicked()) {
      Feedback positive = stream.Positive(ts + 10, 1 | 4);
      positive.worth = amount(shown);
      clicks += 1;
      off_before += static_cast<double>(
          std::abs(said.probabilities[2] / said.probabilities[0] - positive.worth));
      Feed(&trainer, positive);
    }
    trainer.Learn(ts, 4);
  }
  const ProgressiveValues::Metrics judged = trainer.values().Measured(2);
  EXPECT_EQ(judged.amounts, clicks);
  EXPECT_NEAR(judged.mean_absolute_error, off_before / clicks, 1e-3);
  EXPECT_GT(judged.huber, 0);
  // Windows of 3,000 ms have ended for all but the last 30; of those the last 5,000.
  const auto last = [](std::vector<float> all) {
    all.resize(all.size() - 30);
    all.erase(all.begin(), all.end() - 5'000);
    return all;
  };
  const ValueMetrics exact = MeasureValue(
      {.scores = {}, .probabilities = last(expected), .labels = last(brought), .groups = {}});
  EXPECT_EQ(judged.shown.rows, exact.rows);
  EXPECT_EQ(judged.shown.paid, exact.paid);
  EXPECT_NEAR(judged.shown.pcoc, exact.pcoc, 1e-6);
  EXPECT_NEAR(judged.shown.revenue_capture, exact.revenue_capture, 1e-6);
  EXPECT_NEAR(exact.pcoc, 1.0, 0.2);
  double off = 0, clicked = 0;
  for (int i = 0; i < 300; ++i) {
    const Feedback shown = stream.Show(ts);
    if (!stream.clicked()) continue;
    model::Scores scores;
    ASSERT_TRUE(trainer.live().Forward(*shown.features, false, &scores).ok());
    off += std::abs(200.0 * static_cast<double>(scores.logits[2]) -
                    static_cast<double>(amount(shown)));
    clicked += 1;
    EXPECT_NEAR(scores.probabilities[2],
                scores.probabilities[0] * 200.0f * std::max(scores.logits[2], 0.0f), 1e-2f);
  }
  EXPECT_LT(off / clicked, 60.0) << "a constant is off by about 100";
  EXPECT_EQ(trainer.stats().alarm, Alarm::kNone);
  EXPECT_EQ(trainer.progressive().Measured(2).rows, 0);
  // An amount that comes after its window counts as what its example brought after all.
  Feed(&trainer, stream.Show(ts));
  trainer.Learn(ts + 4'000, 100);
  const double before = trainer.values().Measured(2).shown.paid;
  Feedback late = stream.Positive(ts + 4'500, 1 | 4);
  late.worth = 50'000.0f;
  Feed(&trainer, late);
  trainer.Learn(ts + 4'600, 100);
  EXPECT_EQ(trainer.values().Measured(2).shown.paid, before + 1);
  // And restored it goes on alike.
  auto again = OnlineTrainer::Restore(trainer.Serialize(), options);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_TRUE(again.value()->Serialize() == trainer.Serialize());
}

}  // namespace
}  // namespace heed::train
