// The files come in by the assembler: 13 MB of models as C++ literals would take a compiler minutes.
// CMakeLists.txt names them.
#include "engine/builtin_text.h"

#include <array>

#define HEED_FILE(name, path)                                                            \
  __asm__(".section .rodata\n.balign 16\n" #name "_begin:\n.incbin \"" path "\"\n" #name \
          "_end:\n.previous\n");                                                         \
  extern "C" __attribute__((visibility("hidden"))) const char name##_begin[], name##_end[]

HEED_FILE(heed_word_lists, HEED_WORD_LISTS);
HEED_FILE(heed_comments, HEED_COMMENTS);
HEED_FILE(heed_intent_model, HEED_INTENT_MODEL);
HEED_FILE(heed_sentiment_model, HEED_SENTIMENT_MODEL);
HEED_FILE(heed_lint_model, HEED_LINT_MODEL);
HEED_FILE(heed_pack_advertising, HEED_PACK_ADVERTISING);
HEED_FILE(heed_pack_lottery, HEED_PACK_LOTTERY);
HEED_FILE(heed_pack_price, HEED_PACK_PRICE);

namespace heed::engine {
namespace {

std::string_view Between(const char* begin, const char* end) {
  return {begin, static_cast<size_t>(end - begin)};
}

}  // namespace

const BuiltinText& Builtin() {
  static const std::array<BuiltinText::Pack, 3> packs = {{
      {"cn-advertising.toml", Between(heed_pack_advertising_begin, heed_pack_advertising_end)},
      {"cn-lottery.toml", Between(heed_pack_lottery_begin, heed_pack_lottery_end)},
      {"cn-price.toml", Between(heed_pack_price_begin, heed_pack_price_end)},
  }};
  static const BuiltinText all = {
      Between(heed_word_lists_begin, heed_word_lists_end),
      Between(heed_comments_begin, heed_comments_end),
      Between(heed_intent_model_begin, heed_intent_model_end),
      Between(heed_sentiment_model_begin, heed_sentiment_model_end),
      Between(heed_lint_model_begin, heed_lint_model_end),
      packs,
  };
  return all;
}

}  // namespace heed::engine
