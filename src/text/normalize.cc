#include "text/normalize.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <limits>

namespace heed::text {
namespace {

constexpr size_t kLongestRun = 32;
constexpr char32_t kReplacement = 0xFFFD;

const icu::Normalizer2& Nfkc() {
  static const icu::Normalizer2* const instance = [] {
    UErrorCode error = U_ZERO_ERROR;
    return icu::Normalizer2::getNFKCCasefoldInstance(error);  // its data are part of the library
  }();
  return *instance;
}

// Most of what comes: these stand for themselves (after lower case) and start a run of their own.
bool IsPlain(char32_t c) { return (c > 0x20 && c < 0x7F) || (c >= 0x4E00 && c < 0x9FA6); }

bool StartsRun(char32_t c) {
  return c < 0x80 || IsPlain(c) || Nfkc().hasBoundaryBefore(static_cast<UChar32>(c));
}

bool IsSpace(char32_t c) {
  const auto code = static_cast<UChar32>(c);
  return c <= 0x20 || c == 0x7F || u_isUWhiteSpace(code) || u_iscntrl(code);
}

class Reader {
 public:
  explicit Reader(std::string_view text)
      : bytes_(reinterpret_cast<const uint8_t*>(text.data())),
        size_(static_cast<int32_t>(
            std::min<size_t>(text.size(), std::numeric_limits<int32_t>::max()))) {}

  bool done() const { return at_ >= size_; }
  uint32_t at() const { return static_cast<uint32_t>(at_); }
  char32_t Next() {
    UChar32 c = 0;
    U8_NEXT(bytes_, at_, size_, c);
    return c < 0 ? kReplacement : static_cast<char32_t>(c);
  }
  char32_t Peek() const {
    Reader copy = *this;
    return copy.Next();
  }

 private:
  const uint8_t* bytes_;
  int32_t size_, at_ = 0;
};

}  // namespace

void Normalize(std::string_view text, size_t max_characters, std::vector<Character>* out) {
  out->clear();
  Reader in(text);
  icu::UnicodeString run, folded;
  const auto add = [&](char32_t c, uint32_t begin, uint32_t end) {
    if (IsSpace(c)) {
      if (out->empty() || out->back().code == U' ') return;
      c = U' ';
    }
    if (out->size() < max_characters) out->push_back({c, begin, end});
  };
  while (!in.done() && out->size() < max_characters) {
    const uint32_t begin = in.at();
    const char32_t first = in.Next();
    if (IsPlain(first) && (in.done() || StartsRun(in.Peek()))) {
      out->push_back({first >= U'A' && first <= U'Z' ? first + 32 : first, begin, in.at()});
      continue;
    }
    run.remove();
    run.append(static_cast<UChar32>(first));
    for (size_t n = 1; n < kLongestRun && !in.done() && !StartsRun(in.Peek()); ++n) {
      run.append(static_cast<UChar32>(in.Next()));
    }
    UErrorCode error = U_ZERO_ERROR;
    Nfkc().normalize(run, folded, error);
    if (U_FAILURE(error)) continue;  // out of memory only
    for (int32_t i = 0; i < folded.length(); i = folded.moveIndex32(i, 1)) {
      add(static_cast<char32_t>(folded.char32At(i)), begin, in.at());
    }
  }
  if (!out->empty() && out->back().code == U' ') out->pop_back();
}

std::string Normalize(std::string_view text) {
  std::vector<Character> characters;
  Normalize(text, text.size() * 18, &characters);  // the longest expansion of one character
  std::string out;
  for (const Character& c : characters) AppendUtf8(c.code, &out);
  return out;
}

std::string ValidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (Reader in(text); !in.done();) AppendUtf8(in.Next(), &out);
  return out;
}

void AppendUtf8(char32_t code, std::string* out) {
  uint8_t bytes[U8_MAX_LENGTH];
  int32_t size = 0;
  U8_APPEND_UNSAFE(bytes, size, static_cast<uint32_t>(code));
  out->append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
}

}  // namespace heed::text
