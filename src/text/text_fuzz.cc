// Any bytes are a text: spans stay inside it, and what is normalised stays as it is.
#include <cstdlib>

#include "text/ngrams.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string once = heed::text::Normalize(text);
  if (heed::text::Normalize(once) != once) std::abort();
  heed::text::Ngrams ngrams;
  heed::text::MakeNgrams(text, heed::text::kLongestNgram, 1000, &ngrams);
  for (size_t i = 0; i < ngrams.keys.size(); ++i) {
    if (ngrams.keys[i] == 0 || ngrams.begins[i] > ngrams.ends[i] || ngrams.ends[i] > size) {
      std::abort();
    }
    if (heed::text::NgramText(ngrams.keys[i]).empty()) std::abort();
  }
  return 0;
}
