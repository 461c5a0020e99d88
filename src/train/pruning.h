// Which parts of a trained ranker carry little, measured on rows, and the ranker without them.
//
// Heads and experts: each is left out alone and the rows are judged again; the least missed goes, and
// again, while the loss stays within the budget. Table rows: ordered by how often training rows look
// them up times the squared distance to the row that an unseen key gets (what leaving a row out
// moves); as many of the last are dropped as the budget allows, by bisection.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/ranker.h"
#include "train/examples.h"

namespace heed::train {

struct PruneOptions {
  Setting setting = Setting::kOnline;
  Split split = Split::kValid;  // the rows that measure
  // How much mean AUC (over tasks) all that is dropped may cost together, on those rows.
  double budget = 2e-4;
  bool heads = true, experts = true, rows = true;
};

struct PruneTrial {
  std::string what;  // "head 2 of watched", "expert 0", "37.5 % of the rows"
  double auc_loss = 0,
         log_loss_rise = 0;  // of the ranker with this gone, too, against the one given
  bool dropped = false;
};

struct PruneReport {
  std::vector<PruneTrial> trials;  // in the order they were made
  uint32_t heads_before = 0, heads = 0, experts_before = 0, experts = 0;  // 0: has none
  uint64_t rows_before = 0, rows = 0;
  double auc = 0, log_loss = 0;            // of the ranker given, means over tasks
  double auc_loss = 0, log_loss_rise = 0;  // of the result
  std::string
      kept_whole;  // why heads or experts were not looked at; "": they were, or there are none
};

struct PruneResult {
  std::unique_ptr<model::Ranker> ranker;
  PruneReport report;
};

// kInvalidArgument when the ranker was made for another schema, the split is empty, or the budget is
// negative. `trial` is called after each. A Dataset must be prepared for the setting.
Result<PruneResult> Prune(const model::Ranker& ranker, const Examples& data,
                          const PruneOptions& options,
                          const std::function<void(const PruneTrial&)>& trial = {});

}  // namespace heed::train
