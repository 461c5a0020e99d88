#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>

namespace heed {
namespace {

std::atomic<bool> as_json{false};

spdlog::level::level_enum SpdlogLevel(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace: return spdlog::level::trace;
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarn: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
    case LogLevel::kOff: break;
  }
  return spdlog::level::off;
}

std::string Escaped(std::string_view text, bool json) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      if (json && (c == '"' || c == '\\')) out += '\\';
      out += c;
    }
  }
  return out;
}

}  // namespace

Status ConfigureLog(const std::string& level, const std::string& format) {
  const spdlog::level::level_enum parsed = spdlog::level::from_str(level);
  if (parsed == spdlog::level::off && level != "off") {
    return InvalidArgument(
        "unknown level '" + level + "': use trace, debug, info, warn, error or off", "log.level");
  }
  auto logger = std::make_shared<spdlog::logger>(
      "heed", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  if (format == "json") {
    logger->set_pattern(R"({"ts":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","thread":%t,"msg":"%v"})",
                        spdlog::pattern_time_type::utc);
  } else if (format == "text") {
    logger->set_pattern("%^%H:%M:%S.%e %-5l%$ %v");
  } else {
    return InvalidArgument("unknown format '" + format + "': use text or json", "log.format");
  }
  logger->set_level(parsed);
  as_json = format == "json";
  spdlog::set_default_logger(std::move(logger));
  return {};
}

void SetLogLevel(LogLevel level) { spdlog::set_level(SpdlogLevel(level)); }

bool Logs(LogLevel level) { return spdlog::should_log(SpdlogLevel(level)); }

void LogText(LogLevel level, std::string_view text) {
  const std::string line = Escaped(text, as_json.load(std::memory_order_relaxed));
  spdlog::default_logger_raw()->log(SpdlogLevel(level), spdlog::string_view_t(line));
}

}  // namespace heed
