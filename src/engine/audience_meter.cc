#include "engine/audience_meter.h"

#include <utility>

namespace heed::engine {

std::optional<model::MomentAudience> AudienceMeter::Look(const state::RoomView& room,
                                                         int64_t now_ms) {
  const state::SeriesStep before = last_;
  if (!room.series.empty()) last_ = room.series.back();
  const int64_t since_ms = std::exchange(looked_ms_, now_ms);
  if (since_ms == 0 || now_ms - since_ms > kMaxGapMs || room.online <= 0) return std::nullopt;
  model::MomentAudience audience{.viewers = static_cast<float>(room.online) *
                                            static_cast<float>(now_ms - since_ms) / 1'000.0f};
  for (const state::SeriesStep& step : room.series) {
    if (step.start_ts < before.start_ts) continue;
    const bool same = step.start_ts == before.start_ts;
    const auto grown = [&](uint32_t state::SeriesStep::*count) {
      return static_cast<float>(step.*count - (same ? before.*count : 0));
    };
    audience.counts[static_cast<size_t>(model::MomentOutcome::kLeave)] +=
        grown(&state::SeriesStep::exits);
    audience.counts[static_cast<size_t>(model::MomentOutcome::kComment)] +=
        grown(&state::SeriesStep::comments);
    audience.counts[static_cast<size_t>(model::MomentOutcome::kClick)] +=
        grown(&state::SeriesStep::product_clicks);
  }
  return audience;
}

}  // namespace heed::engine
