#include "train/moment_experiment.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "train/moment_files.h"
#include "train/moment_recovery.h"
#include "train/moment_rows.h"
#include "train/moment_trainer.h"

namespace heed::train {
namespace {

using model::MomentView;

constexpr char kEffects[] = "correlation of effects with the truth";
constexpr char kContributions[] = "correlation of contributions with the truth";
constexpr char kGain[] = "gain now, mnat/s";
constexpr char kTrueGain[] = "gain now of the true rates, mnat/s";
constexpr char kNextGain[] = "gain next minute, mnat/s";

std::string LagMetric(const std::string& modality) { return "lag error, " + modality + ", s"; }
std::string WithoutMetric(const std::string& modality) {
  return "gain now without " + modality + ", mnat/s";
}

std::vector<std::string> Metrics() {
  std::vector<std::string> all = {kEffects, kContributions, kGain, kTrueGain, kNextGain};
  for (const model::MomentModality& modality : MomentColumns()) {
    all.push_back(LagMetric(modality.name));
    all.push_back(WithoutMetric(modality.name));
  }
  return all;
}

struct MomentRecipe {
  RecipeHead head;
  bool simulated = true;  // has a section [world]
  MomentWorldOptions world;
  model::MomentAttentionConfig model;
  MomentTrainOptions train;
};

struct RoomSplit {
  std::vector<uint32_t> train, valid, test;
};
// Of ten rooms seven train, one is valid, two are test.
RoomSplit SplitRooms(size_t rooms) {
  RoomSplit split;
  for (uint32_t room = 0; room < rooms; ++room) {
    const uint32_t place = room % 10;
    (place < 7 ? split.train : place < 8 ? split.valid : split.test).push_back(room);
  }
  return split;
}

std::vector<MomentRoom> Without(std::vector<MomentRoom> rooms, size_t first_feature,
                                size_t features) {
  for (MomentRoom& room : rooms) {
    const size_t F = room.series.values.cols();
    for (size_t t = 0; t < room.series.seconds(); ++t) {
      std::fill_n(room.series.measured.begin() + static_cast<ptrdiff_t>(t * F + first_feature),
                  features, uint8_t{0});
    }
  }
  return rooms;
}

class MomentExperiment final : public Experiment {
 public:
  explicit MomentExperiment(MomentRecipe recipe)
      : Experiment(recipe.head.name, recipe.head.folder), recipe_(std::move(recipe)) {}

  // All rooms teach but one of five, which chooses the epoch.
  Result<TrainSummary> Train(const ExperimentRun& run,
                             const std::string& model_path) const override {
    std::vector<MomentRoom> rooms;
    if (recipe_.simulated) {
      rooms = MomentWorld(recipe_.model, recipe_.world, Seed(run)).TakeRooms();
    } else {
      HEED_ASSIGN_OR_RETURN(rooms, ReadMomentRooms(run.folder, recipe_.model));
    }
    RoomSplit split;
    for (uint32_t room = 0; room < rooms.size(); ++room) {
      (room % 5 == 4 ? split.valid : split.train).push_back(room);
    }
    HEED_ASSIGN_OR_RETURN(const MomentTrainResult trained, Fit(rooms, split, run));
    HEED_RETURN_IF_ERROR(trained.model->Save(model_path));
    return TrainSummary{trained.steps, trained.epochs, trained.valid, trained.stopped};
  }

  Result<ExperimentResult> Reproduce(const ExperimentRun& run) const override {
    if (!recipe_.simulated) {
      return InvalidArgument("recipe '" + name() +
                             "' has no section [world], so there is no truth to compare with; use "
                             "heed train");
    }
    const auto start = std::chrono::steady_clock::now();
    const MomentWorld world(recipe_.model, recipe_.world, Seed(run));
    const RoomSplit split = SplitRooms(world.rooms().size());
    ExperimentResult result{.name = name(), .figures = recipe_.head.baselines, .seed = Seed(run)};
    HEED_ASSIGN_OR_RETURN(const MomentTrainResult trained, Fit(world.rooms(), split, run));
    result.stopped = trained.stopped;
    const MomentRecovery found = MeasureMomentRecovery(*trained.model, world, split.test);
    std::map<std::string, double> figures = {
        {kEffects, found.effects},
        {kContributions, found.contributions},
        {kGain, Gain(world.rooms(), split.test, *trained.model, MomentView::kNow)},
        {kNextGain, Gain(world.rooms(), split.test, *trained.model, MomentView::kNext)},
        {kTrueGain, TrueGain(world, split.test)}};
    size_t first_feature = 0;
    for (size_t m = 0; m < recipe_.model.modalities.size() && !result.stopped; ++m) {
      const model::MomentModality& modality = recipe_.model.modalities[m];
      figures[LagMetric(modality.name)] = found.lag_errors_s[m];
      const std::vector<MomentRoom> rooms =
          Without(world.rooms(), first_feature, modality.features.size());
      first_feature += modality.features.size();
      if (!Asked(WithoutMetric(modality.name))) continue;
      HEED_ASSIGN_OR_RETURN(const MomentTrainResult ablated, Fit(rooms, split, run));
      figures[WithoutMetric(modality.name)] =
          Gain(rooms, split.test, *ablated.model, MomentView::kNow);
      result.stopped = ablated.stopped;
    }
    for (Figure& figure : result.figures) {
      const auto measured = figures.find(figure.metric);
      if (measured != figures.end()) figure.value = measured->second;
    }
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
  }

 private:
  bool Asked(const std::string& metric) const {
    return std::any_of(recipe_.head.baselines.begin(), recipe_.head.baselines.end(),
                       [&](const Figure& figure) { return figure.metric == metric; });
  }
  uint64_t Seed(const ExperimentRun& run) const {
    return run.seed != 0 ? run.seed : recipe_.train.seed;
  }

  Result<MomentTrainResult> Fit(const std::vector<MomentRoom>& rooms, const RoomSplit& split,
                                const ExperimentRun& run) const {
    MomentTrainOptions options = recipe_.train;
    options.seed = Seed(run);
    return TrainMoments(rooms, split.train, split.valid, recipe_.model, options, run.progress,
                        run.stop);
  }

  double Gain(const std::vector<MomentRoom>& rooms, std::span<const uint32_t> which,
              const model::MomentAttention& model, MomentView view) const {
    return 1e3 *
           MomentGain(rooms, which, view, recipe_.model.horizon_s, recipe_.train.segment_s,
                      [&](uint32_t room) { return MomentLogRates(model, rooms[room], view); });
  }
  double TrueGain(const MomentWorld& world, std::span<const uint32_t> which) const {
    return 1e3 * MomentGain(world.rooms(), which, MomentView::kNow, recipe_.model.horizon_s,
                            recipe_.train.segment_s,
                            [&](uint32_t room) { return world.log_effects(room); });
  }

  MomentRecipe recipe_;
};

}  // namespace

Result<std::unique_ptr<Experiment>> ParseMomentExperiment(const RecipeText& recipe) {
  HEED_ASSIGN_OR_RETURN(const TomlTable root, TomlTable::Parse(recipe.text, recipe.file_name));
  root.String("kind", "");
  MomentRecipe parsed;
  parsed.head = ReadRecipeHead(root, Metrics());
  const TomlTable world = root.Table("world"), model = root.Table("model"),
                  train = root.Table("train");
  parsed.simulated = root.Has("world");
  MomentWorldOptions& options = parsed.world;
  options.rooms = world.Count("rooms", options.rooms, 10, 10'000);
  options.seconds = world.Count("seconds", options.seconds, 600, 86'400);
  options.longest_lag_s = world.Count("longest_lag_s", options.longest_lag_s, 0, 60);
  options.effect = world.Number("effect", options.effect, 0, 2);
  options.seen_s = world.Number("seen_s", options.seen_s, 1, 1e6);
  options.unseen_s = world.Number("unseen_s", options.unseen_s, 0, 1e6);
  options.feature_missing = world.Number("feature_missing", options.feature_missing, 0, 1);
  model::MomentAttentionConfig& config = parsed.model;
  config.modalities = MomentColumns();
  config.look_back_s = model.Count("look_back_s", config.look_back_s, 1, 3600);
  config.horizon_s = model.Count("horizon_s", config.horizon_s, 1, 3600);
  config.encoder_width = model.Count("encoder_width", config.encoder_width, 1, 1024);
  config.fusion_width = model.Count("fusion_width", config.fusion_width, 1, 1024);
  if (model.Has("phase_knots_s")) {
    config.phase_knots_s.clear();
    for (const double knot : model.Numbers("phase_knots_s")) {
      config.phase_knots_s.push_back(static_cast<float>(knot));
    }
  }
  const auto number = [&](const char* key, float otherwise, double high) {
    return static_cast<float>(train.Number(key, static_cast<double>(otherwise), 0, high));
  };
  MomentTrainOptions& fit = parsed.train;
  fit.segment_s = train.Count("segment_s", fit.segment_s, 60, 86'400);
  fit.epochs = train.Count("epochs", fit.epochs, 1, 10'000);
  fit.patience = train.Count("patience", fit.patience, 1, 10'000);
  fit.seed = train.Count64("seed", fit.seed);
  fit.step.rate = number("rate", fit.step.rate, 10);
  fit.step.lag_rate = number("lag_rate", fit.step.lag_rate, 100);
  fit.step.l2 = number("l2", fit.step.l2, 10);
  fit.step.clip_norm = number("clip_norm", fit.step.clip_norm, 1e6);
  HEED_RETURN_IF_ERROR(root.Finish());
  if (Status right = ValidateMomentAttention(config); !right.ok()) {
    return right.Within(root.Where("model"));
  }
  return std::unique_ptr<Experiment>(std::make_unique<MomentExperiment>(std::move(parsed)));
}

}  // namespace heed::train
