#include "event/json_scan.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "event/check.h"

namespace heed::event {
namespace {

// What the fast parser takes; events are held to kMaxDepth later.
constexpr size_t kMaxLevels = simdjson::DEFAULT_MAX_DEPTH;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// A message must stay UTF-8, so a byte of a longer character is shown by its number.
std::string ShownByte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x20 && byte < 0x7F) return {'\'', c, '\''};
  constexpr std::string_view kHex = "0123456789ABCDEF";
  return {'b', 'y', 't', 'e', ' ', '0', 'x', kHex[byte >> 4], kHex[byte & 15]};
}

int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// A member's name as the parser would give it; one that holds half a surrogate pair stays as written.
std::string Unescaped(std::string_view key) {
  if (key.find('\\') == std::string_view::npos) return std::string(key);
  simdjson::dom::parser parser;
  std::string_view plain;
  const std::string quoted = '"' + std::string(key) + '"';
  if (parser.parse(quoted).get(plain) != simdjson::SUCCESS) return std::string(key);
  return std::string(plain);
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  Scan Run() {
    Space();
    if (Document()) {
      Space();
      if (at_ < text_.size()) Syntax("nothing more after the end of the value");
    }
    return std::move(scan_);
  }

 private:
  struct Level {
    bool array;
    size_t index;          // of the element being read
    std::string_view key;  // of the member being read, as written; null while its name is read
    size_t begin;          // of the element being read
  };

  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool Take(char c) { return Peek() == c && at_ < text_.size() && (++at_, true); }
  void Space() {
    while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
  }

  ScanFault FaultAt(size_t offset, std::string message) const {
    const std::string_view before = text_.substr(0, offset);
    const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    ScanFault fault{offset,
                    1 + static_cast<size_t>(std::ranges::count(before, '\n')),
                    offset - line_start + 1,
                    {},
                    std::move(message)};
    for (const Level& level : levels_) {
      if (level.array) {
        AppendStep(std::to_string(level.index), fault.pointer);
      } else if (level.key.data() != nullptr) {
        AppendStep(Unescaped(level.key), fault.pointer);
      }
    }
    return fault;
  }
  bool Syntax(std::string_view expected) {
    std::string found = "the end of the text";
    if (at_ < text_.size()) found = ShownByte(text_[at_]);
    scan_.syntax = FaultAt(at_, "not JSON: expected " + std::string(expected) + ", found " + found);
    return false;
  }
  void Limit(size_t offset, std::string message) {
    if (!scan_.limit) scan_.limit = FaultAt(offset, std::move(message));
  }

  // One value with all it holds; a level on the stack is an open object or array.
  bool Document() {
    do {
      if (!ValueOrOpen()) return false;
      while (!opened_ && !levels_.empty()) {
        bool more = false;
        if (!NextOrClose(more)) return false;
        if (more) break;
      }
    } while (!levels_.empty());
    return true;
  }

  // Reads a scalar, or an empty object or array, or opens one up to its first value.
  bool ValueOrOpen() {
    opened_ = false;
    const char c = Peek();
    if (c == '"') return String();
    if (c == '-' || IsDigit(c)) return NumberToken();
    if (c == 't') return Word("true");
    if (c == 'f') return Word("false");
    if (c == 'n') return Word("null");
    if (!Take('{') && !Take('[')) return Syntax("a value");
    Space();
    if (Take(c == '{' ? '}' : ']')) return true;
    if (levels_.size() == kMaxLevels) return Syntax("fewer than 1024 levels of nesting");
    levels_.push_back({c == '[', 0, {}, at_});
    opened_ = true;
    return c == '[' || Key();
  }

  // After a value inside the innermost level.
  bool NextOrClose(bool& more) {
    Level& level = levels_.back();
    if (levels_.size() == 1 && level.array) {
      scan_.elements.push_back(text_.substr(level.begin, at_ - level.begin));
    }
    Space();
    if (Take(',')) {
      more = true;
      Space();
      ++level.index;
      level.begin = at_;
      return level.array || Key();
    }
    if (!Take(level.array ? ']' : '}')) {
      return Syntax(level.array ? "',' or ']' after an item" : "',' or '}' after a member");
    }
    levels_.pop_back();
    return true;
  }

  bool Key() {
    levels_.back().key = {};
    if (Peek() != '"') return Syntax("a member's name in quotes");
    const size_t begin = at_ + 1;
    if (!String()) return false;
    levels_.back().key = text_.substr(begin, at_ - 1 - begin);
    Space();
    if (!Take(':')) return Syntax("':' after a member's name");
    Space();
    return true;
  }

  bool Word(std::string_view word) {
    for (const char c : word) {
      if (!Take(c)) return Syntax("true, false or null");
    }
    return true;
  }

  bool String() {
    ++at_;
    while (!Take('"')) {
      const auto c = static_cast<unsigned char>(Peek());
      if (at_ == text_.size()) return Syntax("the '\"' that ends a string");
      if (c < 0x20) return Syntax("control characters in a string to be escaped");
      if (c == '\\' ? !Escape() : !Character(c)) return false;
    }
    return true;
  }

  bool Character(unsigned char lead) {
    const size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    const std::string_view bytes = text_.substr(at_, size);
    if (bytes.size() < size || !simdjson::validate_utf8(bytes.data(), size)) {
      scan_.syntax = FaultAt(at_, "not UTF-8: a byte that belongs to no character");
      return false;
    }
    at_ += size;
    return true;
  }

  bool Escape() {
    const size_t begin = at_++;
    if (Take('u')) return UnicodeEscape(begin);
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    if (at_ == text_.size() || kLetters.find(Peek()) == std::string_view::npos)
      return Syntax("an escape");
    ++at_;
    return true;
  }

  bool FourHex(int& unit) {
    unit = 0;
    for (int i = 0; i < 4; ++i) {
      const int digit = HexValue(Peek());
      if (digit < 0) return Syntax("four hexadecimal digits after \\u");
      unit = unit * 16 + digit;
      ++at_;
    }
    return true;
  }

  bool UnicodeEscape(size_t begin) {
    int unit = 0;
    if (!FourHex(unit)) return false;
    if (unit < 0xD800 || unit > 0xDFFF) return true;
    int low = 0;
    const bool pair = unit < 0xDC00 && text_.substr(at_).starts_with("\\u");
    const size_t after = at_;
    if (pair) {
      at_ += 2;
      if (!FourHex(low)) return false;
    }
    if (low >= 0xDC00 && low <= 0xDFFF) return true;
    at_ = after;  // what follows is no half of it, and is read on its own
    Limit(begin, "half of a surrogate pair in a string, which is no character");
    return true;
  }

  bool Digits() {
    if (!IsDigit(Peek())) return Syntax("a digit");
    while (IsDigit(Peek())) ++at_;
    return true;
  }

  bool NumberToken() {
    const size_t begin = at_;
    Take('-');
    if (!Take('0') && !Digits()) return false;
    if (IsDigit(Peek())) return Syntax("no digit after a leading 0");
    bool integer = true;
    if (Take('.')) {
      integer = false;
      if (!Digits()) return false;
    }
    if (Take('e') || Take('E')) {
      integer = false;
      if (!Take('+')) Take('-');
      if (!Digits()) return false;
    }
    CheckRange(begin, text_.substr(begin, at_ - begin), integer);
    return true;
  }

  void CheckRange(size_t begin, std::string_view token, bool integer) {
    const char* end = token.data() + token.size();
    if (integer) {
      int64_t value = 0;
      if (std::from_chars(token.data(), end, value).ec == std::errc()) return;
      Limit(begin,
            "the integer " + std::string(token.substr(0, 24)) + " does not fit 64 signed bits");
      return;
    }
    // Too small is read as 0, too large is refused: the fast parser itself is asked which.
    double value = 0;
    if (std::from_chars(token.data(), end, value).ec != std::errc::result_out_of_range) return;
    simdjson::dom::parser parser;
    if (parser.parse(token.data(), token.size()).error() == simdjson::SUCCESS) return;
    Limit(begin,
          "the number " + std::string(token.substr(0, 24)) + " is beyond what a double holds");
  }

  std::string_view text_;
  size_t at_ = 0;
  bool opened_ = false;
  std::vector<Level> levels_;
  Scan scan_;
};

}  // namespace

Scan ScanJson(std::string_view text) { return Scanner(text).Run(); }

}  // namespace heed::event
