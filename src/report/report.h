// A broadcast on one page: which moments stood out or bore on viewers, and why. One HTML file that needs
// nothing else, in English and Chinese.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "media/moment.h"
#include "model/moment_attention.h"

namespace heed::report {

struct ReportOptions {
  std::string title;       // of the page; what was read
  std::string model_name;  // as the page calls the model
  size_t points =
      600;            // of a curve, at most: longer broadcasts are brought to means of some seconds
  size_t rows = 600;  // of the table, likewise
  size_t highlights = 8;  // of the best moments, and half as many of the worst
};

// Moments of one room in order of time (others are left out). Without a model the page shows what was measured and
// how unusual it was, and says that nothing is known of viewers. kInvalidArgument when there is
// nothing, or more than MomentSeriesOf takes.
Result<std::string> WriteReport(std::span<const media::Moment> moments,
                                const std::shared_ptr<const model::MomentAttention>& model,
                                const ReportOptions& options);

}  // namespace heed::report
