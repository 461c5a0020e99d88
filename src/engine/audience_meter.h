// What a room's viewers did since one last looked, from the half-minute windows that state keeps.
#pragma once

#include <cstdint>
#include <optional>

#include "model/moment_stream.h"
#include "state/state.h"

namespace heed::engine {

// Of one room. Not thread-safe.
class AudienceMeter {
 public:
  // Viewer-seconds and outcomes since the last look. Nothing at the first one, after more than kMaxGapMs, and of a
  // room where nobody is. Events count when state has them, whenever they happened.
  std::optional<model::MomentAudience> Look(const state::RoomView& room, int64_t now_ms);

  static constexpr int64_t kMaxGapMs = 30'000;

 private:
  int64_t looked_ms_ = 0;   // clock; 0: never
  state::SeriesStep last_;  // the newest window then, as it was
};

}  // namespace heed::engine
