// A slow, careful second reading of text that the fast parser refused, to say where and why.
//
// The fast parser reports a kind of error and no place. It also refuses a whole body for one number
// or string that our types cannot hold although the body is well-formed JSON; then the scan gives
// the array's elements one by one, so that only the one at fault is rejected.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace heed::event {

struct ScanFault {
  size_t offset = 0;    // bytes from the start
  size_t line = 1;      // from 1
  size_t column = 1;    // bytes from the line's start, from 1
  std::string pointer;  // the value it happened in, RFC 6901
  std::string message;
};

struct Scan {
  // Not JSON (RFC 8259).
  std::optional<ScanFault> syntax;
  // JSON, but a value is out of range: an integer beyond 64 bits, a number beyond double, half of a
  // surrogate pair. The first one.
  std::optional<ScanFault> limit;
  // When the text is an array: its elements' text.
  std::vector<std::string_view> elements;
};

// Stops at a syntax fault. Linear in the text, and does not recurse.
Scan ScanJson(std::string_view text);

}  // namespace heed::event
