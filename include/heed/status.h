// Errors as values: a Status says what failed and where, a Result<T> is a T or a Status.
//
// Three kinds of failure (ARCHITECTURE.md, "Errors"): an expected one is returned; one that is a
// request's fault travels as a Status to the edge and becomes a 4xx naming the field; a bug asserts.
#pragma once

#include <cassert>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace heed {

enum class Code : uint8_t {
  kOk,
  kInvalidArgument,   // the caller's fault; `field` names which part
  kUnauthenticated,   // no key, or an unknown one
  kPermissionDenied,  // the key lacks the scope
  kNotFound,
  kConflict,    // exists already, or changed since it was read
  kTooLarge,    // over a stated limit
  kOverloaded,  // try again later
  kDeadlineExceeded,
  kCorruption,   // stored bytes are not what was written
  kIo,           // the operating system or the disk refused
  kUnavailable,  // not ready yet, or shutting down
  kInternal,
};

std::string_view CodeName(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message, std::string field = {})
      : code_(code), message_(std::move(message)), field_(std::move(field)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  // Which part of the input is at fault, as a JSON pointer ("/data/product_id"), a column, a config
  // key; empty when the failure is not about one part.
  const std::string& field() const { return field_; }

  // "corruption: snapshot 000012: bad checksum", for logs.
  std::string ToString() const;
  // The same failure with `prefix` before its message (and before its field, when that is a pointer).
  Status Within(std::string_view prefix, std::string_view field_prefix = {}) const;

 private:
  Code code_ = Code::kOk;
  std::string message_;
  std::string field_;
};

inline Status InvalidArgument(std::string message, std::string field = {}) {
  return {Code::kInvalidArgument, std::move(message), std::move(field)};
}
inline Status NotFound(std::string message) { return {Code::kNotFound, std::move(message)}; }
inline Status Corruption(std::string message) { return {Code::kCorruption, std::move(message)}; }
inline Status IoError(std::string message) { return {Code::kIo, std::move(message)}; }

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}        // NOLINT(google-explicit-constructor)
  Result(Status status) : state_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    assert(!std::get<Status>(state_).ok() && "an ok Status carries no value");
  }

  bool ok() const { return std::holds_alternative<T>(state_); }
  const T& value() const& { return std::get<T>(state_); }
  T& value() & { return std::get<T>(state_); }
  T&& value() && { return std::get<T>(std::move(state_)); }
  // Ok when a value is held.
  Status status() const { return ok() ? Status() : std::get<Status>(state_); }

 private:
  std::variant<Status, T> state_;
};

}  // namespace heed

// Returns the Status from the enclosing function unless it is ok.
#define HEED_RETURN_IF_ERROR(expression)                                                     \
  do {                                                                                       \
    if (::heed::Status heed_status_ = (expression); !heed_status_.ok()) return heed_status_; \
  } while (false)

#define HEED_CONCAT_INNER(a, b) a##b
#define HEED_CONCAT(a, b) HEED_CONCAT_INNER(a, b)
// HEED_ASSIGN_OR_RETURN(auto file, OpenFile(path));
#define HEED_ASSIGN_OR_RETURN(declaration, expression)     \
  auto HEED_CONCAT(heed_result_, __LINE__) = (expression); \
  if (!HEED_CONCAT(heed_result_, __LINE__).ok())           \
    return HEED_CONCAT(heed_result_, __LINE__).status();   \
  declaration = std::move(HEED_CONCAT(heed_result_, __LINE__)).value()
