// Any bytes are a text: spans stay inside it, what is normalised stays as it is, words come in order.
#include <cstdlib>

#include "text/ngrams.h"
#include "text/segmenter.h"
#include "text/word_lists.h"

namespace heed::text {
namespace {

void CheckNgrams(std::string_view text) {
  const std::string once = Normalize(text);
  if (Normalize(once) != once) std::abort();
  Ngrams ngrams;
  MakeNgrams(text, kLongestNgram, 1000, &ngrams);
  for (size_t i = 0; i < ngrams.keys.size(); ++i) {
    if (ngrams.keys[i] == 0 || ngrams.begins[i] > ngrams.ends[i] || ngrams.ends[i] > text.size()) {
      std::abort();
    }
    if (NgramText(ngrams.keys[i]).empty()) std::abort();
  }
}

void CheckWords(std::string_view text) {
  static const Segmenter segmenter(
      Dictionary::Parse("好 5\n好看 3\nt恤 2\na 1\nab 1\n吗 2\n", "fuzz").value(),
      Dictionary::Parse("小棕瓶\n", "fuzz").value());
  std::vector<Character> characters;
  SpellComment(text, 1000, &characters);
  Segmenter::Scratch scratch;
  std::vector<Segmenter::Word> words;
  segmenter.Segment(characters, &scratch, &words);
  uint32_t last = 0;
  for (const Segmenter::Word& word : words) {
    if (word.begin < last || word.begin >= word.end || word.end > characters.size()) std::abort();
    last = word.end;
  }
  // Any bytes are a dictionary, or a Status.
  const auto own = Dictionary::Parse(text, "fuzz");
  if (!own.ok() && own.status().message().rfind("fuzz:", 0) != 0) std::abort();
}

void CheckLists(std::string_view text) {
  static const auto lists =
      WordLists::Parse(
          "version = \"1\"\n[[list]]\nname = \"a\"\nterms = [\"好\", \"?\", \"#件\", \",1,\"]\n"
          "unless = [\"好看\", \"?,\"]\n[[list]]\nname = \"b\"\nterms = [\"a\", \"aa\"]\n",
          "fuzz")
          .value();
  for (const WordLists::Hit& hit : lists->Find(text)) {
    if (hit.begin > hit.end || hit.end > text.size()) std::abort();
  }
  size_t prefix = 0;
  const std::string with = lists->WithTokens(text, &prefix);
  if (std::string_view(with).substr(prefix) != text) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  CheckNgrams(text);
  CheckWords(text);
  CheckLists(text);
  return 0;
}

}  // namespace heed::text
