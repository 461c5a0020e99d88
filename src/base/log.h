// Structured logs: one record a line, text or JSON, to standard error. Keys and personal data are
// never logged: log ids and counts.
//
// spdlog behind it is not included here: formatting into its buffers takes 5 s to compile (8 s with sanitizers) in every
// source that logs.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace heed {

enum class LogLevel : uint8_t { kTrace, kDebug, kInfo, kWarn, kError, kOff };

// level: trace, debug, info, warn, error, off. format: "text" or "json". Call once, at start.
Status ConfigureLog(const std::string& level, const std::string& format);
void SetLogLevel(LogLevel level);

// Thread-safe. A record is a line whatever the text holds: quotes and backslashes are escaped in JSON, control characters in
// both.
bool Logs(LogLevel level);
void LogText(LogLevel level, std::string_view text);

template <typename... Args>
void Log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (Logs(level)) LogText(level, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogInfo(fmt::format_string<Args...> format, Args&&... args) {
  Log(LogLevel::kInfo, format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogWarn(fmt::format_string<Args...> format, Args&&... args) {
  Log(LogLevel::kWarn, format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogError(fmt::format_string<Args...> format, Args&&... args) {
  Log(LogLevel::kError, format, std::forward<Args>(args)...);
}

}  // namespace heed
