// kind = "recovery": a ranker trained on rows with known attention weights (recovery_world.h), and how
// well it finds them. Needs no data.
#include "train/recovery_experiment.h"

#include <chrono>

#include "train/ranker_recipe.h"
#include "train/recipe.h"
#include "train/recovery_world.h"

namespace heed::train {
namespace {

constexpr char kCorrelation[] = "correlation with the true weights";
constexpr char kNullOnNoise[] = "null weight on noise";

class RecoveryRecipe final : public Experiment {
 public:
  RecoveryRecipe(RecipeHead head, const RecoveryWorldOptions& world, model::RankerConfig ranker,
                 const TrainOptions& options)
      : Experiment(head.name, head.folder),
        head_(std::move(head)),
        world_(world),
        ranker_(std::move(ranker)),
        options_(options) {}

  Result<TrainSummary> Train(const ExperimentRun& run,
                             const std::string& model_path) const override {
    const RecoveryWorld world(world_, Seed(run));
    HEED_ASSIGN_OR_RETURN(const TrainResult trained, Fit(world, run));
    HEED_RETURN_IF_ERROR(trained.ranker->Save(model_path));
    return TrainSummary{trained.steps, trained.best_epochs, trained.best_metric, trained.stopped};
  }

  Result<ExperimentResult> Reproduce(const ExperimentRun& run) const override {
    const auto start = std::chrono::steady_clock::now();
    const RecoveryWorld world(world_, Seed(run));
    HEED_ASSIGN_OR_RETURN(const TrainResult trained, Fit(world, run));
    HEED_ASSIGN_OR_RETURN(const Recovery found,
                          MeasureRecovery(*trained.ranker, world, Split::kTest));
    ExperimentResult result{.name = name(), .figures = head_.baselines, .seed = Seed(run)};
    result.stopped = trained.stopped;
    for (Figure& figure : result.figures) {
      figure.value = figure.metric == kCorrelation ? found.correlation : found.null_on_noise;
    }
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
  }

 private:
  uint64_t Seed(const ExperimentRun& run) const { return run.seed != 0 ? run.seed : options_.seed; }

  Result<TrainResult> Fit(const RecoveryWorld& world, const ExperimentRun& run) const {
    TrainOptions options = options_;
    options.seed = Seed(run);
    model::RankerConfig config = ranker_;
    config.schema = world.schema();
    return heed::train::Train(world, config, options, run.progress, run.stop);
  }

  RecipeHead head_;
  RecoveryWorldOptions world_;
  model::RankerConfig ranker_;
  TrainOptions options_;
};

}  // namespace

Result<std::unique_ptr<Experiment>> ParseRecoveryExperiment(const RecipeText& recipe) {
  HEED_ASSIGN_OR_RETURN(const TomlTable root, TomlTable::Parse(recipe.text, recipe.file_name));
  root.Choice("kind", {"recovery"}, 0);
  RecipeHead head = ReadRecipeHead(root, {kCorrelation, kNullOnNoise});
  RecoveryWorldOptions world;
  const TomlTable table = root.Table("world");
  world.rows = table.Count("rows", world.rows, 100, 100'000'000);
  world.types = table.Count("types", world.types, 2, 1'000'000);
  world.candidates = table.Count("candidates", world.candidates, 1, 1'000'000);
  world.max_length = table.Count("max_length", world.max_length, 1, 1000);
  world.noise_types = table.Number("noise_types", world.noise_types, 0.01, 0.99);
  world.noise_histories = table.Number("noise_histories", world.noise_histories, 0, 1);
  world.sharpness = table.Number("sharpness", world.sharpness, 0, 100);
  world.decay = table.Number("decay", world.decay, 0, 100);
  world.gain = table.Number("gain", world.gain, -100, 100);
  model::RankerConfig ranker = ReadRanker(root.Table("ranker"));
  world.age_scale_s = ranker.age_scale_s;
  const TrainOptions options = ReadTrain(root.Table("train"), {"click"});
  HEED_RETURN_IF_ERROR(root.Finish());
  return std::unique_ptr<Experiment>(
      std::make_unique<RecoveryRecipe>(std::move(head), world, std::move(ranker), options));
}

}  // namespace heed::train
