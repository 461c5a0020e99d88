// Whole small files.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace heed {

// kNotFound when it cannot be opened, kIoError when it cannot be read; both name the path.
Result<std::string> ReadWholeFile(const std::string& path);

// Written beside its place, on the disk before it is renamed into it: whatever happens, the path
// holds the old bytes or the new ones, whole.
Status ReplaceFile(const std::string& path, std::string_view bytes);

}  // namespace heed
