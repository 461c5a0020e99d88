// What moment attention read of a room, as the event that state, training and whoever reads the log know it by:
// attention.sample of the whole room (docs/moments.md).
#pragma once

#include <string>

#include "base/status.h"
#include "engine/room_moments.h"
#include "event/event.h"

namespace heed::engine {

// Whether the reading rests on anything: in a broadcast's first seconds nothing is known to be unusual yet, and what
// is read is the model's mean.
bool RestsOnAnything(const model::MomentReading& reading);

// `kept` has a reading. `session`: the broadcast on air. The same second of the same room always has the same id, so
// said again it is a duplicate.
//   a          the share of viewers expected to be there after the model's horizon, which is window_s
//   coverage   of the model's features, the share measured in this second
//   components comment_lift, click_lift: expected within the horizon, in multiples of the room's usual;
//              highlight; weights by modality, and "nothing", the null slot's
// kInvalidArgument where this makes no event, say as a number is not finite or a name of the model is no text.
Result<event::Event> AttentionSampleOf(const MomentReader& reader, const std::string& tenant,
                                       const std::string& room, const std::string& session,
                                       const KeptMoment& kept);

}  // namespace heed::engine
