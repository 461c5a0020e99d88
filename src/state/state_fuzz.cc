// Restore on arbitrary bytes: refused, or a state that writes the same bytes and takes events.
#include <cstdlib>

#include "state/test_events.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using heed::state::State;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  State state;
  if (!state.Restore(bytes).ok()) return 0;
  if (state.Serialize() != bytes) std::abort();
  heed::state::RandomEvents events(size);
  const uint64_t base = state.last_sequence();
  for (uint64_t i = 1; i <= 32; ++i) state.Apply(base + i, events.Next());
  State again;
  if (!again.Restore(state.Serialize()).ok()) std::abort();
  return 0;
}
