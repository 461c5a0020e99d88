#include "media/price_text.h"

#include <algorithm>
#include <string>
#include <vector>

#include "text/normalize.h"

namespace heed::media {
namespace {

constexpr size_t kMaxCharacters = 400;
constexpr size_t kBefore = 6;  // characters in which what names a number stands before it
constexpr size_t kMaxDigits = 6;
constexpr size_t kMaxStockDigits = 7;
constexpr size_t kNone = std::u32string_view::npos;

bool Digit(char32_t c) { return c >= U'0' && c <= U'9'; }
bool Ascii(char32_t c) { return c < 0x80; }

// Normalised; spaces stay only where they part two Latin or digit runs: beside Chinese they are the reader's.
std::u32string Characters(std::string_view text) {
  std::vector<text::Character> characters;
  text::Normalize(text, kMaxCharacters, &characters);
  std::u32string out;
  for (size_t i = 0; i < characters.size(); ++i) {
    const char32_t c = characters[i].code;
    if (c == U' ' && (i == 0 || i + 1 == characters.size() || !Ascii(characters[i - 1].code) ||
                      !Ascii(characters[i + 1].code)))
      continue;
    out.push_back(c);
  }
  return out;
}

bool Holds(std::u32string_view text, std::initializer_list<std::u32string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::u32string_view word) { return text.find(word) != kNone; });
}
bool EndsIn(std::u32string_view text, std::u32string_view set) {
  return !text.empty() && set.find(text.back()) != kNone;
}

struct Number {
  size_t begin = 0, end = 0;
  double value = 0;
  size_t digits = 0;  // before the point
  bool decimals = false;
};

// The number at `at`, which is a digit; digits beyond two decimals make it none (digits 0).
Number NumberAt(std::u32string_view text, size_t at) {
  Number out{.begin = at};
  const auto digit = [&](size_t i) { return i < text.size() && Digit(text[i]); };
  size_t i = at;
  double value = 0;
  while (digit(i) || (i < text.size() && text[i] == U',' && out.digits <= 3 && digit(i + 1) &&
                      digit(i + 2) && digit(i + 3) && !digit(i + 4))) {
    if (text[i] != U',') value = std::min(value * 10 + (text[i] - U'0'), 1e15), ++out.digits;
    ++i;
  }
  if (i < text.size() && text[i] == U'.' && digit(i + 1)) {
    double unit = 0.1;
    size_t decimals = 0;
    for (++i; digit(i); ++i, ++decimals, unit /= 10)
      if (decimals < 2) value += unit * (text[i] - U'0');
    out.decimals = true;
    if (decimals > 2) out.digits = 0;
  }
  out.end = i;
  out.value = value;
  return out;
}

// 0: no price to pay; 1: a price; 2: named as the one to pay.
int Rank(std::u32string_view text, const Number& number) {
  if (number.digits == 0 || number.digits > kMaxDigits || !(number.value > 0)) return 0;
  std::u32string_view before = text.substr(0, number.begin), after = text.substr(number.end);
  while (!before.empty() && before.back() == U' ') before.remove_suffix(1);
  bool sign = false;
  if (EndsIn(before, U"¥y")) {
    sign = before.back() == U'¥' || number.decimals;
    before.remove_suffix(1);
  }
  while (EndsIn(before, U": ")) before.remove_suffix(1);
  if (EndsIn(before, U"满减省返送抵降付赠第")) return 0;
  constexpr std::u32string_view kCounted =
      U"件个%折小克斤片包瓶盒支袋只双套枚毫升年月日点分秒人次号倍gmlk";
  if (!after.empty() && kCounted.find(after.front()) != kNone) return 0;
  const bool unit = !after.empty() && (after.front() == U'元' || after.front() == U'块');
  // What names this number, and not the one before it.
  const size_t from = before.size() > kBefore ? before.size() - kBefore : 0;
  before = before.substr(from);
  for (size_t i = before.size(); i-- > 0;)
    if (Digit(before[i])) {
      before = before.substr(i + 1);
      break;
    }
  if (unit && after.size() > 1 && Holds(after.substr(1, 4), {U"券", U"红包"})) return 0;
  const bool named = Holds(before, {U"价", U"券后", U"到手"});
  if (!sign && !unit && !named) return 0;
  if (Holds(before, {U"原价", U"吊牌", U"市场", U"划线", U"专柜", U"零售", U"日常"})) return 0;
  return Holds(before, {U"券后", U"到手", U"抢", U"秒杀", U"直播", U"现价", U"特价"}) ? 2 : 1;
}

bool IsStock(std::u32string_view text, const Number& number) {
  if (number.digits == 0 || number.digits > kMaxStockDigits || number.decimals) return false;
  if (number.end >= text.size() || text[number.end] != U'件') return false;
  std::u32string_view before = text.substr(0, number.begin);
  while (EndsIn(before, U": ")) before.remove_suffix(1);
  return before.ends_with(U"库存") || before.ends_with(U"剩") || before.ends_with(U"剩余");
}

}  // namespace

Offer ReadOffer(std::string_view utf8) {
  const std::u32string text = Characters(utf8);
  Offer offer;
  int best = 0;
  for (size_t i = 0; i < text.size();) {
    if (!Digit(text[i])) {
      ++i;
      continue;
    }
    const Number number = NumberAt(text, i);
    if (!offer.stock && IsStock(text, number)) {
      offer.stock = static_cast<int64_t>(number.value);
    } else if (const int rank = Rank(text, number); rank > best) {
      best = rank;
      offer.price_cny = number.value;
    }
    i = number.end;
  }
  return offer;
}

}  // namespace heed::media
