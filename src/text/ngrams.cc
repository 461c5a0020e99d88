#include "text/ngrams.h"

#include <algorithm>
#include <cassert>

namespace heed::text {
namespace {

constexpr unsigned kBits = 21;  // a code point, up to 0x10FFFF
constexpr char32_t kBegin = 2, kEnd = 3;

// Keeps the first of equal keys, in order.
void KeepFirst(Ngrams* ngrams) {
  auto& sorted = ngrams->sorted;
  sorted.clear();
  for (size_t i = 0; i < ngrams->keys.size(); ++i) {
    sorted.emplace_back(ngrams->keys[i], static_cast<uint32_t>(i));
  }
  std::sort(sorted.begin(), sorted.end());
  ngrams->counts.assign(sorted.size(), 0);
  size_t kept = 0;
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (i == 0 || sorted[i].first != sorted[kept - 1].first) sorted[kept++] = sorted[i];
    ++ngrams->counts[sorted[kept - 1].second];
  }
  sorted.resize(kept);
  std::sort(sorted.begin(), sorted.end(),
            [](const auto& a, const auto& b) { return a.second < b.second; });
  for (size_t i = 0; i < kept;
       ++i) {  // sorted[i].second >= i: nothing is read after it was written
    ngrams->keys[i] = ngrams->keys[sorted[i].second];
    ngrams->begins[i] = ngrams->begins[sorted[i].second];
    ngrams->ends[i] = ngrams->ends[sorted[i].second];
    ngrams->counts[i] = ngrams->counts[sorted[i].second];
  }
  ngrams->keys.resize(kept);
  ngrams->begins.resize(kept);
  ngrams->ends.resize(kept);
  ngrams->counts.resize(kept);
}

}  // namespace

void MakeNgrams(std::string_view text, uint32_t longest, size_t max_characters, Ngrams* out) {
  assert(longest >= 1 && longest <= kLongestNgram);
  out->keys.clear();
  out->begins.clear();
  out->ends.clear();
  out->counts.clear();
  std::vector<Character>& characters = out->characters;
  Normalize(text, max_characters, &characters);
  if (characters.empty()) return;
  const uint32_t last = characters.back().end;
  characters.insert(characters.begin(), {kBegin, 0, 0});
  characters.push_back({kEnd, last, last});
  const size_t n = characters.size();
  for (size_t i = 0; i < n; ++i) {
    uint64_t key = 0;
    uint32_t begin = characters[i].begin;
    if (i == 0) begin = characters[1].begin;
    for (size_t length = 1; length <= longest && i + length <= n; ++length) {
      const Character& c = characters[i + length - 1];
      key = key << kBits | c.code;
      if (length == 1 && (c.code == kBegin || c.code == kEnd)) continue;
      out->keys.push_back(key);
      out->begins.push_back(begin);
      out->ends.push_back(std::max(begin, c.end));
    }
  }
  KeepFirst(out);
}

bool HasMark(uint64_t key) {
  for (; key != 0; key >>= kBits) {
    const auto code = static_cast<char32_t>(key & ((1u << kBits) - 1));
    if (code == kBegin || code == kEnd) return true;
  }
  return false;
}

std::string NgramText(uint64_t key) {
  std::string text;
  for (unsigned place = kLongestNgram; place-- > 0;) {
    const auto code = static_cast<char32_t>(key >> (kBits * place) & ((1u << kBits) - 1));
    if (code == kBegin) {
      text += "⟨";
    } else if (code == kEnd) {
      text += "⟩";
    } else if (code != 0) {
      AppendUtf8(code, &text);
    }
  }
  return text;
}

}  // namespace heed::text
