#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

#include <memory>

namespace heed {

Status ConfigureLog(const std::string& level, const std::string& format) {
  const spdlog::level::level_enum parsed = spdlog::level::from_str(level);
  if (parsed == spdlog::level::off && level != "off") {
    return InvalidArgument(
        "unknown level '" + level + "': use trace, debug, info, warn, error or off", "log.level");
  }
  auto logger = std::make_shared<spdlog::logger>(
      "heed", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  if (format == "json") {
    // Messages are written by our code with fixed texts and ids, so %v needs no escaping beyond what
    // the call sites give.
    logger->set_pattern(R"({"ts":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","thread":%t,"msg":"%v"})",
                        spdlog::pattern_time_type::utc);
  } else if (format == "text") {
    logger->set_pattern("%^%H:%M:%S.%e %-5l%$ %v");
  } else {
    return InvalidArgument("unknown format '" + format + "': use text or json", "log.format");
  }
  logger->set_level(parsed);
  spdlog::set_default_logger(std::move(logger));
  return {};
}

}  // namespace heed
