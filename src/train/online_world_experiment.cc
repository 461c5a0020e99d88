#include "train/online_world_experiment.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <functional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "train/evaluate.h"
#include "train/online_recipe.h"
#include "train/ranker_recipe.h"
#include "train/recipe.h"
#include "train/stream_world.h"

namespace heed::train {
namespace {

// Regret: what the predictions lose, in nats a row, to the true probabilities. It has no noise of clicks.
constexpr char kRecovery[] =
    "rows to recover";  // online, from the drift; NaN: not within the stream
constexpr char kBefore[] = "regret before the drift, frozen";
constexpr char kFrozen[] = "regret at the end, frozen";
constexpr char kOnline[] = "regret at the end, online";
// Mean prediction over mean true probability, in the second half of the stream.
constexpr char kLedger[] = "pcoc, ledger";
constexpr char kShort[] = "pcoc, short window";
constexpr char kLong[] = "pcoc, whole window";

struct OnlineWorld {
  StreamWorldOptions world;
  double learn_every_s = 1;
  uint32_t window_rows = 2'000;  // regret is a mean over so many
  double margin = 0.01;          // recovered: within so many nats of the regret before the drift
  OnlineOptions online;
};

double Regret(double truth, double predicted) {
  const double q = std::clamp(predicted, 1e-7, 1 - 1e-7);
  return truth * std::log(truth / q) + (1 - truth) * std::log((1 - truth) / (1 - q));
}

class OnlineWorldRecipe final : public Experiment {
 public:
  OnlineWorldRecipe(RecipeHead head, OnlineWorld spec, model::RankerConfig ranker,
                    const TrainOptions& options)
      : Experiment(head.name, head.folder),
        head_(std::move(head)),
        spec_(std::move(spec)),
        ranker_(std::move(ranker)),
        options_(options) {}

  Result<TrainSummary> Train(const ExperimentRun& run,
                             const std::string& model_path) const override {
    const StreamWorld world(spec_.world, Seed(run));
    HEED_ASSIGN_OR_RETURN(const TrainResult trained, Fit(world, run));
    HEED_RETURN_IF_ERROR(trained.ranker->Save(model_path));
    return TrainSummary{trained.steps, trained.best_epochs, trained.best_metric, trained.stopped};
  }

  Result<ExperimentResult> Reproduce(const ExperimentRun& run) const override {
    const auto start = std::chrono::steady_clock::now();
    const StreamWorld world(spec_.world, Seed(run));
    HEED_ASSIGN_OR_RETURN(const TrainResult trained, Fit(world, run));
    ExperimentResult result{.name = name(), .figures = head_.baselines, .seed = Seed(run)};
    result.stopped = trained.stopped;
    HEED_ASSIGN_OR_RETURN(
        const std::vector<Predictions> frozen,
        Predict(*trained.ranker, world, View{}, world.samples_of(Split::kTest), 1));
    HEED_ASSIGN_OR_RETURN(const std::vector<float> online,
                          Stream(*trained.ranker, world, spec_.online, run));
    for (Figure& figure : result.figures) {
      if (figure.metric == kShort || figure.metric == kLong) {
        // The same learner without corrections: once as early, once waiting for all there is to know.
        OnlineOptions other = spec_.online;
        LabelWindow& window = other.ledger.windows[0];
        (figure.metric == kShort ? window.correction_ms : window.window_ms) =
            figure.metric == kShort ? window.window_ms : window.correction_ms;
        HEED_ASSIGN_OR_RETURN(const std::vector<float> predicted,
                              Stream(*trained.ranker, world, other, run));
        figure.value = Pcoc(world, predicted);
      } else if (figure.metric == kLedger) {
        figure.value = Pcoc(world, online);
      } else {
        figure.value = OfDrift(figure.metric, world, frozen[0].probabilities, online);
      }
    }
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
  }

 private:
  uint64_t Seed(const ExperimentRun& run) const { return run.seed != 0 ? run.seed : options_.seed; }

  Result<TrainResult> Fit(const StreamWorld& world, const ExperimentRun& run) const {
    TrainOptions options = options_;
    options.seed = Seed(run);
    model::RankerConfig config = ranker_;
    config.schema = world.schema();
    return heed::train::Train(world, config, options, run.progress, run.stop);
  }

  // What the learner predicts of each row of the stream when it is shown.
  Result<std::vector<float>> Stream(const model::Ranker& trained, const StreamWorld& world,
                                    const OnlineOptions& options, const ExperimentRun& run) const {
    HEED_ASSIGN_OR_RETURN(const std::unique_ptr<OnlineTrainer> trainer,
                          OnlineTrainer::Create(trained.Copy(), options));
    using Click = std::pair<int64_t, uint64_t>;  // when it is known, example
    std::priority_queue<Click, std::vector<Click>, std::greater<>> clicks;
    const auto every_ms = static_cast<int64_t>(spec_.learn_every_s * 1e3);
    int64_t next_ms = 0;
    std::vector<float> predicted;
    model::Scores scores;
    uint64_t example = 0;
    for (const uint32_t sample : world.samples_of(Split::kTest)) {
      if (run.stop != nullptr && *run.stop) return Status(Code::kDeadlineExceeded, "stopped");
      const StreamWorld::Row& row = world.row(sample);
      for (; !clicks.empty() && clicks.top().first <= row.ts; clicks.pop()) {
        HEED_RETURN_IF_ERROR(trainer->Add({.kind = Feedback::Kind::kPositive,
                                           .example = clicks.top().second,
                                           .ts = clicks.top().first,
                                           .tasks = 1}));
      }
      if (row.ts >= next_ms) {
        trainer->Learn(row.ts, UINT32_MAX);
        next_ms = row.ts + every_ms;
      }
      auto features = std::make_shared<model::Batch>();
      world.FillBatch(View{}, {&sample, 1}, features.get());
      features->labels.clear();
      HEED_RETURN_IF_ERROR(trainer->live().Forward(*features, false, &scores));
      predicted.push_back(scores.probabilities[0]);
      Feedback shown{.kind = Feedback::Kind::kShown, .example = ++example, .ts = row.ts};
      shown.viewer = example;
      shown.features = std::move(features);
      HEED_RETURN_IF_ERROR(trainer->Add(shown));
      if (row.clicked) clicks.emplace(row.ts + row.delay_ms, example);
    }
    if (trainer->alarm() != Alarm::kNone) {
      return Status(Code::kUnavailable,
                    "learning stopped: " + std::string(AlarmName(trainer->alarm())));
    }
    return predicted;
  }

  double Pcoc(const StreamWorld& world, const std::vector<float>& predicted) const {
    const std::vector<uint32_t>& samples = world.samples_of(Split::kTest);
    double mean = 0, truth = 0;
    for (size_t i = samples.size() / 2; i < samples.size(); ++i) {
      mean += predicted[i];
      truth += world.row(samples[i]).probability;
    }
    return mean / truth;
  }

  // Mean regret over the `window_rows` that end at row `end` of the stream.
  double RegretAt(const StreamWorld& world, const std::vector<float>& predicted, size_t end) const {
    const std::vector<uint32_t>& samples = world.samples_of(Split::kTest);
    const size_t n = std::min<size_t>(spec_.window_rows, end);
    double sum = 0;
    for (size_t i = end - n; i < end; ++i) {
      sum += Regret(world.row(samples[i]).probability, static_cast<double>(predicted[i]));
    }
    return sum / static_cast<double>(std::max<size_t>(n, 1));
  }

  double OfDrift(const std::string& metric, const StreamWorld& world,
                 const std::vector<float>& frozen, const std::vector<float>& online) const {
    const size_t drift = spec_.world.drift_at, end = online.size();
    const double before = RegretAt(world, frozen, drift);
    if (metric == kBefore) return before;
    if (metric == kFrozen) return RegretAt(world, frozen, end);
    if (metric == kOnline) return RegretAt(world, online, end);
    // From the first window that lies behind the drift altogether.
    for (size_t at = drift + spec_.window_rows; at <= end; at += 100) {
      if (RegretAt(world, online, at) <= before + spec_.margin) {
        return static_cast<double>(at - drift);
      }
    }
    return std::nan("");
  }

  RecipeHead head_;
  OnlineWorld spec_;
  model::RankerConfig ranker_;
  TrainOptions options_;
};

}  // namespace

Result<std::unique_ptr<Experiment>> ParseOnlineWorldExperiment(const RecipeText& recipe) {
  HEED_ASSIGN_OR_RETURN(const TomlTable root, TomlTable::Parse(recipe.text, recipe.file_name));
  root.Choice("kind", {"online_world"}, 0);
  RecipeHead head =
      ReadRecipeHead(root, {kRecovery, kBefore, kFrozen, kOnline, kLedger, kShort, kLong});
  OnlineWorld spec;
  StreamWorldOptions& world = spec.world;
  const TomlTable table = root.Table("world");
  world.train_rows = table.Count("train_rows", world.train_rows, 100, 10'000'000);
  world.stream_rows = table.Count("stream_rows", world.stream_rows, 100, 10'000'000);
  world.kinds = table.Count("kinds", world.kinds, 1, 100'000);
  world.items = table.Count("items", world.items, 1, 100'000);
  world.gain = table.Number("gain", world.gain, -100, 100);
  world.bias = table.Number("bias", world.bias, -100, 100);
  world.rows_per_s = table.Number("rows_per_s", world.rows_per_s, 1e-6, 1e6);
  world.drift_at = table.Count("drift_at", 0, 0, world.stream_rows);
  world.drift_share = table.Number("drift_share", world.drift_share, 0, 1);
  world.delay_s = table.Number("delay_s", world.delay_s, 1e-6, 1e9);
  model::RankerConfig ranker = ReadRanker(root.Table("ranker"));
  const TrainOptions options = ReadTrain(root.Table("train"), {"click"});
  const TomlTable online = root.Table("online");
  spec.learn_every_s = online.Number("learn_every_s", spec.learn_every_s, 0, 1e9);
  spec.window_rows = root.Count("window_rows", spec.window_rows, 1);
  spec.margin = root.Number("margin", spec.margin, 0, 10);
  spec.online = ReadOnline(online, 1);
  HEED_RETURN_IF_ERROR(root.Finish());
  return std::unique_ptr<Experiment>(std::make_unique<OnlineWorldRecipe>(
      std::move(head), std::move(spec), std::move(ranker), options));
}

}  // namespace heed::train
