#include "base/status.h"

namespace heed {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kOk: return "ok";
    case Code::kInvalidArgument: return "invalid argument";
    case Code::kUnauthenticated: return "unauthenticated";
    case Code::kPermissionDenied: return "permission denied";
    case Code::kNotFound: return "not found";
    case Code::kConflict: return "conflict";
    case Code::kTooLarge: return "too large";
    case Code::kOverloaded: return "overloaded";
    case Code::kDeadlineExceeded: return "deadline exceeded";
    case Code::kCorruption: return "corruption";
    case Code::kIo: return "io";
    case Code::kUnavailable: return "unavailable";
    case Code::kInternal: return "internal";
  }
  return "unknown";
}

std::string Status::ToString() const {
  std::string text(CodeName(code_));
  if (!field_.empty()) {
    text += " at ";
    text += field_;
  }
  if (!message_.empty()) {
    text += ": ";
    text += message_;
  }
  return text;
}

Status Status::Within(std::string_view prefix, std::string_view field_prefix) const {
  std::string message(prefix);
  if (!prefix.empty()) message += ": ";
  message += message_;
  return {code_, std::move(message), std::string(field_prefix) + field_};
}

}  // namespace heed
