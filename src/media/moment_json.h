// Moments read back from what MomentToJson writes: docs/formats/moment_file.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "media/moment.h"

namespace heed::media {

// Members and columns that this version does not know: a file of another version has them, a client misspells them.
enum class UnknownNames : uint8_t { kPass, kRefuse };

// One line, from whomever: "v" and "t" must be there, what else is absent is not measured, without "epoch" it is 0.
// z-values come back as rounded as they were written. kInvalidArgument with a JSON pointer: a wrong kind, a value out
// of its range, text that is not UTF-8.
Result<Moment> MomentFromJson(std::string_view line, UnknownNames unknown = UnknownNames::kPass);

// All moments of a file's bytes, as lines or as docs/formats/moment_file.md has them; empty lines are passed over.
// kInvalidArgument, "name:line: ...", or kCorruption with the byte. Both have read nothing: a part of a
// broadcast would look like all of it.
Result<std::vector<Moment>> ReadMoments(std::string_view bytes, const std::string& name);

}  // namespace heed::media
