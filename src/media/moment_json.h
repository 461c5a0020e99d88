// Moments read back from what `heed watch --json` writes: docs/formats/moment_file.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "media/moment.h"

namespace heed::media {

// One line. Members and columns that this version does not know are passed over; what is not there is not
// measured. kInvalidArgument naming the member that is wrong.
Result<Moment> MomentFromJson(std::string_view line);

// All moments of a file's bytes, in either form; empty lines are passed over. kInvalidArgument, "name:line: ...", or
// kCorruption with the byte. Both have read nothing: a part of a broadcast would look like all of it.
Result<std::vector<Moment>> ReadMoments(std::string_view bytes, const std::string& name);

}  // namespace heed::media
