// The bytes of one event on disk. Format: docs/formats/event.md, version 1.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "event/event.h"

namespace heed::event {

// Appends the encoding to `out`; the same event always gives the same bytes.
void Encode(const Event& event, std::string& out);

// Never trusts `bytes`: what does not decode to a valid event that encodes to the same bytes is
// kCorruption. Takes the whole of `bytes`.
Result<Event> Decode(std::string_view bytes);

}  // namespace heed::event
