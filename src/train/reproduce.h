// One published setting, trained and judged from the raw files: what `heed reproduce` runs.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/ranker.h"
#include "train/evaluate.h"
#include "train/recipe.h"
#include "train/trainer.h"

namespace heed::train {

struct ReproducedFigure {
  Baseline baseline;  // what it is, and the figure to compare with
  double value = 0;
};

struct ReproduceResult {
  std::string name;    // of the recipe
  std::string metric;  // the headline: "is_click auc, online"
  double value = 0, published = 0;
  uint64_t seed = 0;
  double seconds = 0;  // of everything: reading, training, judging
  bool stopped = false;
  std::vector<ReproducedFigure> figures;  // in the order of the recipe's baselines
  std::vector<EvaluationReport> reports;  // of the test split, one for each setting asked about
  TrainResult training;
};

// Trains `recipe` on the files in `folder` with `seed` and judges it on the test split in every
// setting its baselines name. The test rows are looked at once, at the end.
Result<ReproduceResult> Reproduce(const Recipe& recipe, const std::string& folder, uint64_t seed,
                                  const ProgressCallback& progress = {},
                                  const std::atomic<bool>* stop = nullptr);
// The same for a built-in recipe. A folder that does not exist is kNotFound.
Result<ReproduceResult> Reproduce(const std::string& name, const std::string& folder, uint64_t seed,
                                  const ProgressCallback& progress = {},
                                  const std::atomic<bool>* stop = nullptr);

// One line: {"name":…,"metric":…,"value":…,"published":…,"seed":…,"seconds":…,"others":[…]}
std::string ToJson(const ReproduceResult& result);

}  // namespace heed::train
