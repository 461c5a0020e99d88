#include "train/online_recipe.h"

#include "train/recipe.h"

namespace heed::train {

OnlineOptions ReadOnline(const TomlTable& table, size_t tasks) {
  OnlineOptions options;
  const double window_s = table.Number("window_s", 600, 1e-3, 1e9);
  const double correction_s = table.Number("correction_s", window_s, window_s, 1e9);
  options.ledger.windows.assign(
      tasks, {static_cast<int64_t>(window_s * 1e3), static_cast<int64_t>(correction_s * 1e3)});
  options.ledger.max_examples = table.Count("max_examples", 1'000'000, 1);
  options.batch_size = table.Count("batch_size", options.batch_size, 1, 65'536);
  options.max_logit_step = table.Number("max_logit_step", options.max_logit_step, 1e-6, 100);
  options.viewer_share = table.Number("viewer_share", options.viewer_share, 1e-9, 1);
  options.influence_window = table.Count("influence_window", options.influence_window, 1);
  LabelRateOptions& rate = options.label_rate;
  rate.window = table.Count("label_rate_window", rate.window, 1);
  rate.factor = table.Number("label_rate_factor", rate.factor, 1, 1e6);
  HealthOptions& health = options.health;
  health.window = table.Count("health_window", health.window, 1);
  health.min_worse = table.Number("health_min_worse", health.min_worse, 0, 100);
  health.promote_after = table.Count64("promote_after", health.promote_after);
  health.sudden_min_worse =
      table.Number("health_sudden_min_worse", health.sudden_min_worse, 1e-6, 100);
  health.sudden_false_alarms =
      table.Number("health_sudden_false_alarms", health.sudden_false_alarms, 0, 1);
  options.optimizer = ReadOptimizer(table.Table("optimizer"), options.optimizer);
  return options;
}

}  // namespace heed::train
