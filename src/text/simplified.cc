#include "text/simplified.h"

#include <unicode/translit.h>
#include <unicode/unistr.h>

#include <array>
#include <memory>

namespace heed::text {
namespace {

constexpr char32_t kFirst = 0x3400, kLast = 0x9FFF;  // CJK ideographs of the first plane
using Table = std::array<char16_t, kLast - kFirst + 1>;

std::unique_ptr<Table> MakeTable() {
  auto table = std::make_unique<Table>();
  icu::UnicodeString all;  // parted by spaces, so that no rule sees two characters together
  for (char32_t c = kFirst; c <= kLast; ++c) {
    (*table)[c - kFirst] = static_cast<char16_t>(c);
    all.append(static_cast<char16_t>(c)).append(u' ');
  }
  UErrorCode error = U_ZERO_ERROR;
  const std::unique_ptr<icu::Transliterator> rules(
      icu::Transliterator::createInstance("Hant-Hans", UTRANS_FORWARD, error));
  if (U_FAILURE(error) || rules == nullptr) return table;  // ICU built without its data
  rules->transliterate(all);
  int32_t at = 0;
  for (char32_t c = kFirst; c <= kLast && at < all.length(); ++c) {
    const int32_t end = all.indexOf(u' ', at);
    if (end == at + 1) (*table)[c - kFirst] = all.charAt(at);
    at = end + 1;
  }
  return table;
}

}  // namespace

char32_t Simplified(char32_t code) {
  static const std::unique_ptr<Table> table = MakeTable();
  return code < kFirst || code > kLast ? code : (*table)[code - kFirst];
}

}  // namespace heed::text
