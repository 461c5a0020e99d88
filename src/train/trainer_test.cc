#include "train/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/random.h"
#include "train/calibration.h"
#include "train/evaluate.h"
#include "train/input_drift.h"
#include "train/ranker_experiment.h"
#include "train/recipe.h"
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

TEST(Trainer, KeepsHowItsTrainingRowsWereDistributed) {
  Arena arena;
  arena.options.epochs = 1;
  const TrainResult result = arena.Train();
  const auto psi = [&](Split split) {
    model::Batch batch;
    arena.data->FillBatch({}, arena.data->samples_of(split), &batch);
    InputDrift drift(arena.data->schema(), ~uint32_t{0});
    drift.Add(*result.ranker, batch);
    double most = 0;
    for (const auto& numeric : drift.numerics(*result.ranker)) most = std::max(most, numeric.psi);
    return most;
  };
  ASSERT_FALSE(arena.data->schema().numerics.empty());
  EXPECT_LT(psi(Split::kTrain), 1e-6);
  EXPECT_GT(psi(Split::kTest), 1e-3);  // rates move as the past grows
}

TEST(Trainer, LearnsThroughAProjection) {
  for (const model::PoolKind kind : {model::PoolKind::kDot, model::PoolKind::kDin}) {
    Arena arena;
    arena.options.epochs = 12;
    arena.config.projection = 8;
    arena.config.pool.kind = kind;
    const auto report = Evaluate(*arena.Train().ranker, *arena.data, {});
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    EXPECT_GT(report.value().tasks[0].metrics.auc, 0.70);
  }
}

// Predicted over observed, of the test rows.
double Pcoc(const Arena& arena, const TrainResult& result, size_t task) {
  const auto predicted =
      Predict(*result.ranker, *arena.data, {}, arena.data->samples_of(Split::kTest));
  double sum = 0, ones = 0;
  for (size_t i = 0; i < predicted.value()[task].labels.size(); ++i) {
    sum += static_cast<double>(predicted.value()[task].probabilities[i]);
    ones += static_cast<double>(predicted.value()[task].labels[i]);
  }
  return sum / ones;
}

TEST(Trainer, WeightsOfClassesAreTakenOutAgain) {
  Arena arena(3000);
  arena.options.calibrate = false;
  const double plain[] = {Pcoc(arena, arena.Train(), 0), Pcoc(arena, arena.Train(), 1)};
  arena.options.positive_weights = {6.0f, 1.0f};
  TrainResult weighted = arena.Train();
  for (size_t t = 0; t < 2; ++t) EXPECT_NEAR(Pcoc(arena, weighted, t), plain[t], 0.12) << t;
  // Without the correction the first task's would be far too high, the other's as before.
  weighted.ranker->SetCalibration({1.0f, 1.0f}, {0.0f, 0.0f});
  EXPECT_GT(Pcoc(arena, weighted, 0), plain[0] + 0.3);
  EXPECT_NEAR(Pcoc(arena, weighted, 1), plain[1], 0.12);
  arena.options.positive_weights = {1.0f};
  EXPECT_EQ(heed::train::Train(*arena.data, arena.config, arena.options).status().field(),
            "positive_weights");
}

// One task of the world's two.
class OneTask : public Examples {
 public:
  explicit OneTask(const Examples& data) : data_(data), schema_(data.schema()) {
    schema_.tasks.resize(1);
  }
  const model::Schema& schema() const override { return schema_; }
  const std::vector<uint32_t>& samples_of(Split split) const override {
    return data_.samples_of(split);
  }
  void FillBatch(const View& view, std::span<const uint32_t> samples,
                 model::Batch* batch) const override {
    data_.FillBatch(view, samples, batch);
    for (size_t n = 0; n < samples.size(); ++n) batch->labels[n] = batch->labels[2 * n];
    batch->labels.resize(samples.size());
  }
  float label(uint32_t sample, size_t task) const override { return data_.label(sample, task); }
  uint32_t group(uint32_t sample) const override { return data_.group(sample); }
  void NumericScaling(const View& view, std::span<const uint32_t> samples, std::vector<float>* mean,
                      std::vector<float>* deviation) const override {
    data_.NumericScaling(view, samples, mean, deviation);
  }

 private:
  const Examples& data_;
  model::Schema schema_;
};

TEST(Trainer, LeftOutNegativesAreCorrectedFor) {
  Arena arena(12'000);
  const OneTask data(*arena.data);
  arena.config.schema = data.schema();
  arena.options.calibrate = false;
  arena.options.epochs = 1;
  const auto train = [&] {
    auto result = heed::train::Train(data, arena.config, arena.options);
    EXPECT_TRUE(result.ok()) << result.status().ToString();
    return std::move(result).value();
  };
  const auto pcoc = [&](const TrainResult& result) {
    const auto predicted = Predict(*result.ranker, data, {}, data.samples_of(Split::kTest));
    double sum = 0, ones = 0;
    for (size_t i = 0; i < predicted.value()[0].labels.size(); ++i) {
      sum += static_cast<double>(predicted.value()[0].probabilities[i]);
      ones += static_cast<double>(predicted.value()[0].labels[i]);
    }
    return sum / ones;
  };
  const TrainResult all = train();
  arena.options.negative_share = 0.2;
  TrainResult some = train();
  size_t negatives = 0;
  for (const uint32_t sample : data.samples_of(Split::kTrain))
    negatives += data.label(sample, 0) < 0.5f;
  const auto left_out = static_cast<double>(all.rows_seen - some.rows_seen);
  EXPECT_NEAR(left_out / static_cast<double>(negatives), 0.8, 0.05);
  EXPECT_NEAR(pcoc(all), 1.0, 0.12);
  EXPECT_NEAR(pcoc(some), 1.0, 0.12);
  some.ranker->SetCalibration({1.0f}, {0.0f});
  EXPECT_GT(pcoc(some), 1.4) << "the correction does nothing";
  EXPECT_EQ(heed::train::Train(*arena.data, Arena(50).config, arena.options).status().field(),
            "negative_share");
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

// A plateau cuts the rates where the valid rows stop gaining: after the cut hardly anything moves.
TEST(Trainer, APlateauCutsTheRates) {
  Arena arena(600);
  arena.options.epochs = 30;
  arena.options.patience = 30;
  arena.options.optimizer.dense_rate = arena.options.optimizer.table_rate = 0.05f;
  const TrainResult constant = arena.Train();
  arena.options.schedule = TrainOptions::Schedule::kPlateau;
  arena.options.plateau_factor = 1e-3;
  const TrainResult plateau = arena.Train();
  const auto last_move = [](const TrainResult& result) {
    const size_t n = result.valid.size();
    return std::abs(result.valid[n - 1].metric - result.valid[n - 2].metric);
  };
  EXPECT_EQ(plateau.valid[0].metric, constant.valid[0].metric);  // nothing is cut before a best
  EXPECT_LT(last_move(plateau), 1e-6);
  EXPECT_GT(last_move(constant), 1e-6);
}

TEST(Trainer, TheAverageIsWhatIsJudgedAndReturned) {
  Arena arena(600);
  const TrainResult plain = arena.Train();
  arena.options.average = 0.9;
  const TrainResult averaged = arena.Train();
  EXPECT_NE(averaged.ranker->Serialize(), plain.ranker->Serialize());
  const auto report = Evaluate(*averaged.ranker, *arena.data, {.split = Split::kValid});
  ASSERT_TRUE(report.ok());
  double sum = 0;
  for (const TaskReport& task : report.value().tasks) sum += task.metrics.auc;
  EXPECT_NEAR(sum / static_cast<double>(report.value().tasks.size()), averaged.best_metric, 1e-6);
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
  const auto experiment = LoadExperiment(folder.path() + "/recipe.toml");
  ASSERT_TRUE(experiment.ok()) << experiment.status().ToString();
  const auto result = experiment.value()->Reproduce({.folder = folder.path(), .seed = 5});
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  // The same by hand.
  const auto data = Dataset::Load(recipe.value().dataset, folder.path());
  TrainOptions options = recipe.value().train;
  options.seed = 5;
  const auto trained = Train(*data.value(), recipe.value().ranker, options);
  ASSERT_TRUE(trained.ok());
  const auto online = Evaluate(*trained.value().ranker, *data.value(), {});
  const auto frozen =
      Evaluate(*trained.value().ranker, *data.value(), {.setting = Setting::kFrozen});
  ASSERT_EQ(result.value().figures.size(), 2u);
  EXPECT_EQ(result.value().figures[0].value, online.value().tasks[0].metrics.auc);
  EXPECT_EQ(result.value().figures[1].value, frozen.value().tasks[1].metrics.gauc);
  // The model that `train` writes is the one that was judged.
  const std::string model = folder.path() + "/model.heed";
  const auto summary = experiment.value()->Train({.folder = folder.path(), .seed = 5}, model);
  ASSERT_TRUE(summary.ok()) << summary.status().ToString();
  EXPECT_EQ(model::Ranker::Load(model).value()->Serialize(), trained.value().ranker->Serialize());
  const std::string json = ToJson(result.value());
  EXPECT_TRUE(json.starts_with(R"({"name":"world","metric":"click auc, online","value":0.)"))
      << json;
  EXPECT_NE(json.find(R"("seed":5,)"), std::string::npos) << json;
  EXPECT_NE(json.find(R"({"metric":"like gauc, frozen","value":0.)"), std::string::npos) << json;
}

TEST(Recipe, ComposesARanker) {
  std::string text = kRecipe;
  const std::string from = "hidden = [8]\n";
  text.replace(text.find(from), from.size(), R"([ranker.pool]
kind = "din"
hidden = [6]
activation = "prelu"
[[ranker.block]]
kind = "mlp"
hidden = [8]
batch_norm = true
gate = true
[[ranker.block]]
kind = "cross"
rank = 2
[ranker.head]
kind = "mmoe"
experts = 2
width = 4
[[ranker.link]]
task = "like"
given = "click"
)");
  const TestFolder folder;
  ASSERT_TRUE(LoadWorld(MakeWorld(3, 600), folder).ok());  // writes rows.csv
  folder.Write("world.toml", WorldSpec());
  const auto recipe = LoadRecipe(folder.Write("recipe.toml", text));
  ASSERT_TRUE(recipe.ok()) << recipe.status().ToString();
  const model::RankerConfig& ranker = recipe.value().ranker;
  EXPECT_EQ(ranker.pool.kind, model::PoolKind::kDin);
  EXPECT_EQ(ranker.pool.activation, nn::ActivationKind::kPRelu);
  ASSERT_EQ(ranker.blocks.size(), 2u);
  EXPECT_TRUE(ranker.blocks[0].gate && ranker.blocks[0].batch_norm);
  EXPECT_EQ(ranker.blocks[1].rank, 2u);
  EXPECT_EQ(ranker.head.experts, 2u);
  const auto data = Dataset::Load(recipe.value().dataset, folder.path());
  const auto trained = Train(*data.value(), ranker, recipe.value().train);
  ASSERT_TRUE(trained.ok()) << trained.status().ToString();
  const auto report = Evaluate(*trained.value().ranker, *data.value(), {});
  EXPECT_GT(report.value().tasks[0].metrics.auc, 0.5);
}

TEST(Recipe, ReadsAProjection) {
  const TestFolder folder;
  folder.Write("world.toml", WorldSpec());
  std::string text = kRecipe;
  text.replace(text.find("hidden"), 0, "projection = 6\n");
  const auto recipe = LoadRecipe(folder.Write("recipe.toml", text));
  ASSERT_TRUE(recipe.ok()) << recipe.status().ToString();
  EXPECT_EQ(recipe.value().ranker.projection, 6u);
}

TEST(Recipe, ErrorsNameTheLine) {
  const auto error = [](const std::string& from, const std::string& to) {
    std::string text = kRecipe;
    text.replace(text.find(from), from.size(), to);
    return ParseExperiment({text, "r.toml",
                            [](const std::string& name) -> Result<std::string> {
                              if (name == "world.toml") return WorldSpec();
                              return NotFound(name + ": cannot be opened");
                            }})
        .status()
        .message();
  };
  EXPECT_EQ(error("embedding_width", "embeding_width"),
            "r.toml:5: unknown key 'embeding_width' (did you mean 'embedding_width'?)");
  EXPECT_EQ(error("[train]\n", "[[ranker.block]]\nkind = \"cross\"\n[train]\n"),
            "r.toml:8: 'hidden' belongs into the [[ranker.block]] it is meant for");
  EXPECT_EQ(error("hidden = [8]", "[[ranker.block]]\nkind = \"cros\""),
            "r.toml:9: 'cros' is not a known kind (did you mean 'cross'?); known are: mlp, cross, "
            "autoint, afm");
  EXPECT_EQ(error("hidden = [8]", "[[ranker.block]]\nkind = \"afm\"\nlayers = 2"),
            "r.toml:10: unknown key 'layers'");
  EXPECT_EQ(error("hidden = [8]", "projection = 6\n[[ranker.block]]\nkind = \"afm\""),
            "r.toml:4: autoint, afm and gates read fields, which a projection merges into one");
  EXPECT_EQ(error("hidden = [8]", "[[ranker.link]]\ntask = \"like\"\ngiven = \"clik\""),
            "r.toml:4: links 'clik', which is no task (did you mean 'click'?)");
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

TEST(Experiment, BuiltinsAreWhole) {
  ASSERT_FALSE(BuiltinExperiments().empty());
  for (const std::string& name : BuiltinExperiments()) {
    const auto experiment = BuiltinExperiment(name);
    ASSERT_TRUE(experiment.ok()) << experiment.status().ToString();
    EXPECT_EQ(experiment.value()->name(), name);
    if (experiment.value()->folder().empty()) continue;  // makes its own rows
    EXPECT_EQ(DataFolder(*experiment.value(), "/no/such/folder").status().code(), Code::kNotFound);
    EXPECT_FALSE(experiment.value()->Reproduce({.folder = "/no/such/folder"}).ok());
  }
  EXPECT_NE(BuiltinExperiment("kuairant").status().message().find("did you mean 'kuairand'"),
            std::string::npos);
}

TEST(Experiment, FindsItsFolderAmongOthers) {
  const TestFolder folder;
  const auto experiment = BuiltinExperiment("kuairand");
  ASSERT_TRUE(experiment.ok());
  EXPECT_EQ(DataFolder(*experiment.value(), folder.path()).value(), folder.path());
  std::filesystem::create_directory(folder.path() + "/kuairand");
  EXPECT_EQ(DataFolder(*experiment.value(), folder.path()).value(), folder.path() + "/kuairand");
}

TEST(Experiment, UnknownKindIsNamed) {
  const auto read = [](const std::string& name) -> Result<std::string> {
    return NotFound(name + ": cannot be opened");
  };
  EXPECT_TRUE(ParseExperiment({"kind = \"rankr\"", "r.toml", read})
                  .status()
                  .message()
                  .starts_with("r.toml:1: 'rankr' is not a known kind (did you mean 'ranker'?)"));
}

}  // namespace
}  // namespace heed::train
