// One parsed JSON value into one Event; no text and no buffers here.
#pragma once

#include <simdjson.h>

#include "event/check.h"
#include "event/event.h"

namespace heed::event {

// False with `fault` set when the value is not a valid event; `event` is then half filled.
bool ReadEvent(simdjson::dom::element value, Event& event, Fault& fault);

}  // namespace heed::event
