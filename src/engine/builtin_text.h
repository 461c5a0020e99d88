// What reads comments when the configuration names no files: word lists, labelled comments, compliance
// packs and, trained from them while the program is built, the models. All are part of the program.
#pragma once

#include <span>
#include <string_view>

namespace heed::engine {

struct BuiltinText {
  std::string_view word_lists;                                 // TOML
  std::string_view comments;                                   // labelled ones, tab-separated
  std::string_view intent_model, sentiment_model, lint_model;  // docs/formats/text_model.md
  struct Pack {
    std::string_view name, toml;
  };
  std::span<const Pack> packs;
};

const BuiltinText& Builtin();

}  // namespace heed::engine
