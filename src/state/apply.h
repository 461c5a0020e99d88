// What one event does to the tables. docs/state.md is the same in words.
#pragma once

#include "event/event.h"
#include "state/tables.h"

namespace heed::state {

// The one writer's thread only.
void ApplyEvent(Tables& tables, const event::Event& event);

}  // namespace heed::state
