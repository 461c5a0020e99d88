// One spelling for what readers see as the same text: Unicode NFKC with case folding (full-width
// letters and digits become plain ones, letters lower case, invisible characters vanish), white space
// and control characters as single spaces, none at the ends. Every character keeps the bytes it came
// from, so that whatever is said about it can be shown in the original.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace heed::text {

struct Character {
  char32_t code = 0;
  uint32_t begin = 0, end = 0;  // bytes [begin, end) of the original
};

// Any bytes; what is no UTF-8 becomes U+FFFD. At most `max_characters` come out and what follows
// is not read. Linear: a run of combining marks is cut after 32 characters (UAX #15 cuts at 30).
// What `out` held before is gone. Thread-safe.
void Normalize(std::string_view text, size_t max_characters, std::vector<Character>* out);

// The same as UTF-8.
std::string Normalize(std::string_view text);

// What is no UTF-8 becomes U+FFFD, the rest stays as it is.
std::string ValidUtf8(std::string_view text);

// `code` at the end of `out`.
void AppendUtf8(char32_t code, std::string* out);

}  // namespace heed::text
