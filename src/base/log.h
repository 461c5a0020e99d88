// Structured logs: one line a record, JSON or text, to standard error. Keys and personal data are
// never logged: log ids and counts.
#pragma once

#include <spdlog/spdlog.h>

#include <string>

#include "base/status.h"

namespace heed {

// level: trace, debug, info, warn, error, off. format: "text" or "json". Call once, at start.
Status ConfigureLog(const std::string& level, const std::string& format);

}  // namespace heed
