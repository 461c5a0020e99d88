// Word lists kept as data: what a comment speaks of, whichever words it uses.
//
// A list found in a text is handed to the classifiers as one more token, a private-use character before
// the text, so that what a list is worth is learned and explained like an n-gram's worth. Where nothing is
// learned, `intent`, `polarity` and `offence` are the rule.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/terms.h"

namespace heed::text {

struct WordList {
  std::string name;
  std::string intent;    // may be empty
  int polarity = 0;      // -1, 0, 1
  bool offence = false;  // insults
  bool topic = false;    // part of what a question means
  bool filler = false;   // its words are no part of it
  char32_t token = 0;    // by the name alone: models stay true when lists are added
};

// Immutable and thread-safe.
class WordLists {
 public:
  struct Hit {
    uint32_t list = 0;            // of all()
    uint32_t begin = 0, end = 0;  // bytes of the text
  };

  // [[list]] with name, terms, unless (a longer phrase that hides the terms inside it) and the members of
  // WordList. Errors are "name:line: ...".
  static Result<std::shared_ptr<const WordLists>> Parse(std::string_view toml,
                                                        const std::string& name);
  static Result<std::shared_ptr<const WordLists>> ReadFile(const std::string& path);

  const std::vector<WordList>& all() const { return lists_; }
  // By list, then by place.
  std::vector<Hit> Find(std::string_view text) const;

  // What classifiers read: the tokens of the lists found, kTextBegins, the text. `prefix` gets the bytes
  // before the text.
  std::string WithTokens(std::string_view text, size_t* prefix = nullptr) const;
  static constexpr char32_t kTextBegins = 0xF0000;

 private:
  WordLists() = default;

  std::vector<WordList> lists_;
  TermSet terms_;
  struct Use {
    uint32_t list;
    bool hides;
  };
  std::vector<std::vector<Use>> uses_;  // by term
};

}  // namespace heed::text
