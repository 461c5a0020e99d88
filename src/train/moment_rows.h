// The one place where a moment of media becomes a row of the moment attention model: columns by name.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "media/moment.h"
#include "model/moment_attention.h"

namespace heed::train {

// The modalities and features a new model reads: all that media knows but the proxies of emotion (arousal,
// smile), which are off unless asked for.
std::vector<model::MomentModality> MomentColumns();

// Where a model's columns lie in a moment. Immutable.
class MomentRows {
 public:
  explicit MomentRows(const model::MomentAttentionConfig& config);

  // values, measured [F]: the moment's deviations from the room's usual (z). Columns that a moment does not have are
  // not measured.
  void Row(const media::Moment& moment, std::span<float> values, std::span<uint8_t> measured) const;
  size_t columns() const { return columns_.size(); }
  // Of a column; empty: no moment has it.
  std::optional<media::Feature> feature(size_t column) const { return columns_[column]; }

 private:
  std::vector<std::optional<media::Feature>> columns_;
};

// Moments of one room in order of time become consecutive seconds; what lies between them is not measured. Moments that
// are not later than the one before are left out. At most `most` seconds, which keeps a wild time stamp from asking for
// all memory: kInvalidArgument beyond.
Result<model::MomentSeries> MomentSeriesOf(std::span<const media::Moment> moments,
                                           const model::MomentAttentionConfig& config,
                                           size_t most = 200'000);

}  // namespace heed::train
