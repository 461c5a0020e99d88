#include "train/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/random.h"
#include "train/calibration.h"
#include "train/evaluate.h"
#include "train/recipe.h"
#include "train/reproduce.h"
#include "train/test_files.h"
#include "train/test_world.h"

namespace heed::train {
namespace {

struct Arena {
  TestFolder folder;
  std::unique_ptr<Dataset> data;
  model::RankerConfig config;
  TrainOptions options;

  explicit Arena(size_t rows = 1500) {
    auto loaded = LoadWorld(MakeWorld(1, rows), folder);
    EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
    data = std::move(loaded).value();
    config.schema = data->schema();
    config.embedding_width = 4;
    config.attention_heads = 1;
    config.attention_width = 4;
    config.hidden = {8};
    options.batch_size = 64;
    options.epochs = 3;
    options.patience = 10;
    options.optimizer.dense_rate = options.optimizer.table_rate = 0.01f;
  }
  TrainResult Train(const ProgressCallback& progress = {},
                    const std::atomic<bool>* stop = nullptr) {
    auto result = heed::train::Train(*data, config, options, progress, stop);
    EXPECT_TRUE(result.ok()) << result.status().ToString();
    return std::move(result).value();
  }
};

TEST(Trainer, LearnsWhatTheWorldHides) {
  Arena arena;
  arena.options.epochs = 8;
  const TrainResult result = arena.Train();
  const auto report = Evaluate(*result.ranker, *arena.data, {});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  // A user's taste is a coin of .8 / .2; knowing it exactly gives AUC .8.
  EXPECT_GT(report.value().tasks[0].metrics.auc, 0.70);
  EXPECT_EQ(report.value().rows, arena.data->samples_of(Split::kTest).size());
}

TEST(Trainer, SameSeedSameBytes) {
  Arena arena(600);
  const std::string a = arena.Train().ranker->Serialize(), b = arena.Train().ranker->Serialize();
  EXPECT_EQ(a, b);
  arena.options.seed = 2;
  EXPECT_NE(a, arena.Train().ranker->Serialize());
}

TEST(Trainer, KeepsTheBestEvaluationAndStopsByPatience) {
  Arena arena(600);
  arena.options.epochs = 40;  // far into overfitting
  arena.options.patience = 3;
  arena.options.optimizer.dense_rate = arena.options.optimizer.table_rate = 0.05f;
  const TrainResult result = arena.Train();
  ASSERT_GE(result.valid.size(), 4u);
  EXPECT_LT(result.valid.back().epochs, 40);
  size_t best = 0;
  for (size_t i = 1; i < result.valid.size(); ++i) {
    if (result.valid[i].metric > result.valid[best].metric) best = i;
  }
  EXPECT_EQ(result.valid.size(), best + 1 + 3);  // three without a gain, then the end
  EXPECT_EQ(result.steps, result.valid[best].step);
  EXPECT_EQ(result.best_metric, result.valid[best].metric);
  // The returned ranker is that one: it scores as it did then.
  EvaluateOptions on_valid;
  on_valid.split = Split::kValid;
  const auto report = Evaluate(*result.ranker, *arena.data, on_valid);
  const double mean =
      (report.value().tasks[0].metrics.auc + report.value().tasks[1].metrics.auc) / 2;
  EXPECT_NEAR(mean, result.best_metric, 1e-9);
}

TEST(Trainer, RefitTrainsAsManyEpochsOnMoreRows) {
  Arena arena(600);
  arena.options.epochs = 2;
  arena.options.refit = true;
  uint64_t refit_steps = 0;
  const TrainResult result = arena.Train([&](const TrainProgress& progress) {
    if (progress.phase == "refit") refit_steps = progress.steps;
  });
  const size_t train = arena.data->samples_of(Split::kTrain).size();
  const size_t all = train + arena.data->samples_of(Split::kValid).size();
  const auto per_epoch = [](size_t rows) { return static_cast<double>((rows + 63) / 64); };
  EXPECT_EQ(static_cast<double>(result.steps), std::round(result.best_epochs * per_epoch(all)));
  EXPECT_GT(static_cast<double>(result.steps), result.best_epochs * per_epoch(train));
  EXPECT_EQ(result.valid.size(), 2u);
  EXPECT_GE(result.rows_seen, 2 * train + all);
  arena.options.refit = false;
  EXPECT_NE(result.ranker->Serialize(), arena.Train().ranker->Serialize());
}

TEST(Trainer, AdmissionCountsTheWholeSetFirst) {
  Arena arena(600);
  arena.options.epochs = 1;
  const uint64_t every_key = arena.Train().ranker->parameter_count();
  arena.config.admit_after = 40;  // more often than any item, less often than a user or a kind
  const auto result = arena.Train();
  EXPECT_LT(result.ranker->parameter_count(), every_key);
  arena.config.admit_after = 1000000;
  EXPECT_LT(arena.Train().ranker->parameter_count(), result.ranker->parameter_count());
}

TEST(Trainer, StopFlagReturnsTheBestSoFar) {
  Arena arena(600);
  arena.options.epochs = 1000;
  arena.options.patience = 1000;
  arena.options.refit = true;
  std::atomic<bool> stop{false};
  const TrainResult result = arena.Train(
      [&](const TrainProgress& progress) { stop = stop || !std::isnan(progress.valid); }, &stop);
  EXPECT_TRUE(result.stopped);
  EXPECT_EQ(result.valid.size(), 1u);
  EXPECT_TRUE(Evaluate(*result.ranker, *arena.data, {}).ok());
}

TEST(Trainer, BadOptionsAreRefused) {
  Arena arena(300);
  arena.options.stop_task = "clik";
  EXPECT_EQ(Train(*arena.data, arena.config, arena.options).status().message(),
            "'stop_task' names no label: 'clik' (did you mean 'click'?)");
  arena.options.stop_task = "";
  arena.config.schema.tasks.pop_back();
  EXPECT_FALSE(Train(*arena.data, arena.config, arena.options).ok());
}

TEST(Evaluate, OtherSchemaIsNamed) {
  Arena arena(300);
  arena.options.epochs = 1;
  model::RankerConfig other = arena.config;
  other.schema.fields[1].name = "sort";
  other.schema.sequences[0].query_fields[1] = "sort";
  const auto ranker = model::Ranker::Create(other, 1);
  ASSERT_TRUE(ranker.ok()) << ranker.status().ToString();
  EXPECT_EQ(Evaluate(*ranker.value(), *arena.data, {}).status().message(),
            "the model was made for another data set: field 2 is 'sort' in the model and 'kind' in "
            "the data set");
}

TEST(Evaluate, SegmentsIntervalsAndRanking) {
  Arena arena(900);
  const TrainResult result = arena.Train();
  EvaluateOptions options;
  options.segment_by = "kind";
  options.bootstrap = 50;
  options.ranking = {1, 5};
  const auto report = Evaluate(*result.ranker, *arena.data, options);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  const TaskReport& task = report.value().tasks[0];
  ASSERT_EQ(task.segments.size(), 2u);
  EXPECT_EQ(task.segments[0].metrics.rows + task.segments[1].metrics.rows, task.metrics.rows);
  EXPECT_LE(task.intervals->auc.low, task.metrics.auc);
  EXPECT_GE(task.intervals->auc.high, task.metrics.auc);
  EXPECT_LE(task.ranking[0].metrics.hit_rate, task.ranking[1].metrics.hit_rate);
}

TEST(Evaluate, PredictionsDoNotDependOnThreads) {
  Arena arena(3000);  // several batches
  arena.options.epochs = 1;
  const TrainResult result = arena.Train();
  std::vector<uint32_t> all(arena.data->samples());
  std::iota(all.begin(), all.end(), 0u);
  const auto one = Predict(*result.ranker, *arena.data, {}, all, 1);
  const auto three = Predict(*result.ranker, *arena.data, {}, all, 3);
  ASSERT_TRUE(one.ok() && three.ok());
  EXPECT_EQ(one.value()[0].scores, three.value()[0].scores);
  EXPECT_EQ(one.value()[1].groups, three.value()[1].groups);
}

TEST(Calibration, FindsTheTrueLine) {
  Random random(4);
  std::vector<float> logits, labels;
  for (int i = 0; i < 20000; ++i) {
    const double logit = 2 * random.Normal();
    const double p = 1 / (1 + std::exp(-(0.5 * logit - 1)));
    logits.push_back(static_cast<float>(logit));
    labels.push_back(random.Chance(p) ? 1.0f : 0.0f);
  }
  labels[0] = std::nanf("");
  const Calibration fit = FitPlatt(logits, labels);
  EXPECT_NEAR(fit.scale, 0.5, 0.03);
  EXPECT_NEAR(fit.shift, -1, 0.05);
}

TEST(Calibration, ShiftAloneMeetsTheMean) {
  const std::vector<float> logits(1000, 0.3f);
  std::vector<float> labels(1000, 0.0f);
  std::fill(labels.begin(), labels.begin() + 200, 1.0f);
  const float shift = FitShift(logits, labels, 2.0f);
  EXPECT_NEAR(1 / (1 + std::exp(-(0.6 + shift))), 0.2, 0.003);
}

TEST(Calibration, SeparableRowsStayFinite) {
  const std::vector<float> logits = {-2, -1, 1, 2}, labels = {0, 0, 1, 1};
  const Calibration fit = FitPlatt(logits, labels);
  EXPECT_GT(fit.scale, 0);
  EXPECT_LT(fit.scale, 10);
  const std::vector<float> ones = {1, 1, 1, 1};
  EXPECT_LT(std::abs(FitPlatt(logits, ones).shift), 10);
}

TEST(Trainer, CalibrationMovesPcocToOne) {
  Arena arena(3000);
  arena.options.epochs = 2;
  const TrainResult result = arena.Train();
  EvaluateOptions on_valid;
  on_valid.split = Split::kValid;
  const auto report = Evaluate(*result.ranker, *arena.data, on_valid);
  EXPECT_NEAR(report.value().tasks[0].metrics.pcoc, 1, 0.02);
}

// ---- Recipes ----

constexpr char kRecipe[] = R"(name = "world"
dataset = "world.toml"
drop = ["gap"]
[ranker]
embedding_width = 4
attention_heads = 1
attention_width = 4
hidden = [8]
[train]
batch_size = 64
epochs = 1
refit = true
[train.optimizer]
tables = "adagrad"
table_rate = 0.05
[[baseline]]
setting = "online"
task = "click"
metric = "auc"
value = 0.6
[[baseline]]
setting = "frozen"
task = "like"
metric = "gauc"
value = 0.5
)";

TEST(Recipe, IsReadAndReproduced) {
  const TestFolder folder;
  ASSERT_TRUE(LoadWorld(MakeWorld(3, 900), folder).ok());  // writes rows.csv
  folder.Write("world.toml", WorldSpec());
  const auto recipe = LoadRecipe(folder.Write("recipe.toml", kRecipe));
  ASSERT_TRUE(recipe.ok()) << recipe.status().ToString();
  EXPECT_EQ(recipe.value().train.optimizer.tables, model::OptimizerConfig::Kind::kAdagrad);
  EXPECT_EQ(recipe.value().train.optimizer.dense, model::OptimizerConfig::Kind::kAdam);
  EXPECT_EQ(recipe.value().ranker.hidden, (std::vector<uint32_t>{8}));
  for (const model::FieldSpec& field : recipe.value().ranker.schema.fields) {
    EXPECT_NE(field.name, "gap");
  }
  const auto result = Reproduce(recipe.value(), folder.path(), 5);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result.value().reports.size(), 2u);
  EXPECT_EQ(result.value().value, result.value().reports[0].tasks[0].metrics.auc);
  EXPECT_EQ(result.value().figures[1].value, result.value().reports[1].tasks[1].metrics.gauc);
  const std::string json = ToJson(result.value());
  EXPECT_TRUE(json.starts_with(R"({"name":"world","metric":"click auc, online","value":0.)"))
      << json;
  EXPECT_NE(json.find(R"("seed":5,)"), std::string::npos) << json;
  EXPECT_NE(json.find(R"({"metric":"like gauc, frozen","value":0.)"), std::string::npos) << json;
}

TEST(Recipe, ErrorsNameTheLine) {
  const auto error = [](const std::string& from, const std::string& to) {
    std::string text = kRecipe;
    text.replace(text.find(from), from.size(), to);
    return ParseRecipe(text, "r.toml",
                       [](const std::string& name) -> Result<std::string> {
                         if (name == "world.toml") return WorldSpec();
                         return NotFound(name + ": cannot be opened");
                       })
        .status()
        .message();
  };
  EXPECT_EQ(error("embedding_width", "embeding_width"),
            "r.toml:5: unknown key 'embeding_width' (did you mean 'embedding_width'?)");
  EXPECT_EQ(error("\"world.toml\"", "\"w.toml\""), "r.toml:2: w.toml: cannot be opened");
  EXPECT_EQ(error("\"gap\"", "\"gab\""),
            "r.toml:3: there is no feature 'gab' to drop (did you mean 'gap'?)");
  EXPECT_EQ(
      error("\"adagrad\"", "\"adagard\""),
      "r.toml:14: 'adagard' is not a known tables (did you mean 'adagrad'?); known are: adam, "
      "adagrad");
  EXPECT_EQ(error("epochs = 1", "epochs = 0"),
            "r.toml:11: 'epochs' is 0, not within [0.001, 10000]");
  EXPECT_EQ(
      error("task = \"like\"", "task = \"liked\""),
      "r.toml:23: 'liked' is not a known task (did you mean 'like'?); known are: click, like");
}

TEST(Recipe, BuiltinsAreWhole) {
  ASSERT_FALSE(BuiltinRecipes().empty());
  for (const std::string& name : BuiltinRecipes()) {
    const auto recipe = BuiltinRecipe(name);
    ASSERT_TRUE(recipe.ok()) << recipe.status().ToString();
    EXPECT_EQ(recipe.value().name, name);
    EXPECT_FALSE(recipe.value().baselines.empty());
    EXPECT_EQ(Reproduce(name, "/no/such/folder", 1).status().code(), Code::kNotFound);
  }
  EXPECT_NE(BuiltinRecipe("kuairant").status().message().find("did you mean 'kuairand'"),
            std::string::npos);
}

}  // namespace
}  // namespace heed::train
