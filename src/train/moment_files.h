// Rooms from files of moments with what viewers did: what moment attention is trained on outside of simulations.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "train/moment_world.h"

namespace heed::train {

// Every *.jsonl file of the folder is one broadcast of one room, in order of names: lines as heed watch --json writes
// them, each with a member more, where it is known:
//   "outcomes":{"viewers":312,"leave":1,"comment":4,"click":0}
// viewers during the second, and how many left, commented, clicked a product in it. Errors are "file:line: ...".
Result<std::vector<MomentRoom>> ReadMomentRooms(const std::string& folder,
                                                const model::MomentAttentionConfig& config);

}  // namespace heed::train
