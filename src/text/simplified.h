// 繁 → 简, a character for a character.
#pragma once

namespace heed::text {

// The simplified form of a traditional character, any other character itself. One for one: 乾 is 干 also in
// 乾坤, and 著 stays (CLDR's rules for single characters; phrases would need OpenCC's dictionary, at
// 132,000 comments a second on one core against a table look-up). Thread-safe; the first call fills the
// table (some ten milliseconds).
char32_t Simplified(char32_t code);

}  // namespace heed::text
