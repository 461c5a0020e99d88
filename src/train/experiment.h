// A recipe of any kind, ready to run: what `heed train --config` and `heed reproduce` work with.
// The key `kind` of the recipe says which: "ranker" (recipe.h) is the default. A kind is one class
// in a file of its own and one line in experiment.cc.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/toml_table.h"
#include "train/trainer.h"

namespace heed::train {

struct Figure {
  std::string metric;    // "is_click auc, online", "HR@10"
  double value = 0;      // measured here, on the test rows
  double published = 0;  // what others report; NaN: nothing
};

struct ExperimentResult {
  std::string name;             // of the recipe
  std::vector<Figure> figures;  // in the order of the recipe's baselines; the first is the headline
  uint64_t seed = 0;
  double seconds = 0;  // of everything: reading, training, judging
  bool stopped = false;
};

struct TrainSummary {
  uint64_t steps = 0;
  double epochs = 0;  // of the model that is kept
  double valid = 0;   // its stop metric, NaN without valid rows
  bool stopped = false;
};

struct ExperimentRun {
  std::string folder;         // with the data files
  uint64_t seed = 0;          // of first weights and row order; 0: the recipe's
  ProgressCallback progress;  // may be empty
  const std::atomic<bool>* stop = nullptr;
  Checkpoint checkpoint;  // of Train, where the experiment resumes
};

// Immutable; runs may go on side by side. One run is one thread and deterministic given its seed.
class Experiment {
 public:
  Experiment(std::string name, std::string folder)
      : name_(std::move(name)), folder_(std::move(folder)) {}
  virtual ~Experiment() = default;

  const std::string& name() const { return name_; }
  // The recipe's `folder`: where its files usually lie inside a folder of many data sets; or "".
  const std::string& folder() const { return folder_; }

  // Whether Train keeps checkpoints and goes on from them.
  virtual bool resumes() const { return false; }
  // Trains and writes the model. Stopped early, the best so far is written all the same.
  virtual Result<TrainSummary> Train(const ExperimentRun& run,
                                     const std::string& model_path) const = 0;
  // Trains and judges the test rows, once, by every figure the recipe names.
  virtual Result<ExperimentResult> Reproduce(const ExperimentRun& run) const = 0;

 private:
  std::string name_, folder_;
};

// Finds a file that a recipe names, relative to the recipe.
using ReadText = std::function<Result<std::string>(const std::string& relative_path)>;

struct RecipeText {
  std::string text;
  std::string file_name;  // in messages
  ReadText read;
};

// Errors are "file:line: ..." with the nearest known name.
Result<std::unique_ptr<Experiment>> ParseExperiment(const RecipeText& recipe);
Result<std::unique_ptr<Experiment>> LoadExperiment(const std::string& path);
// Part of the program: the names of examples/recipes/*.toml, and one of them.
std::vector<std::string> BuiltinExperiments();
Result<std::unique_ptr<Experiment>> BuiltinExperiment(const std::string& name);

// `data`/`experiment.folder()` when that exists, else `data`, so that one folder of many data sets
// serves every experiment. kNotFound when neither is a folder.
Result<std::string> DataFolder(const Experiment& experiment, const std::string& data);
// The same by the name of the usual folder.
Result<std::string> DataFolder(const std::string& usual, const std::string& data);

// Reading side of a kind: `read` with the recipe's own text of a file beside it.
Result<RecipeText> ReadRecipeFile(const std::string& path);
Result<RecipeText> BuiltinRecipeText(const std::string& name);

// Everything that the keys `name`, `folder` and [[baseline]] metric/value say, for kinds whose
// figures have no further coordinates.
struct RecipeHead {
  std::string name, folder;
  std::vector<Figure> baselines;  // value NaN
};
RecipeHead ReadRecipeHead(const TomlTable& root, const std::vector<std::string>& metrics);

// One line: {"name":…,"metric":…,"value":…,"published":…,"seed":…,"seconds":…,"others":[…]}
std::string ToJson(const ExperimentResult& result);

}  // namespace heed::train
