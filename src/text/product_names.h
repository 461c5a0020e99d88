// Which of a room's products a question names, by what its title and the question share. People shorten
// titles ("那个保温杯"), so pairs of characters are compared, those rare among the titles for more; pairs that
// the word lists know as topic or filler ("包邮", "多少") name nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/word_lists.h"

namespace heed::text {

// Immutable and thread-safe.
class ProductNames {
 public:
  ProductNames(std::shared_ptr<const WordLists> lists, std::span<const std::string> titles);

  // The position of the title; none when no title, or more than one equally, is meant.
  std::optional<size_t> Named(std::string_view text) const;

 private:
  std::shared_ptr<const WordLists> lists_;
  size_t titles_;
  std::unordered_map<uint64_t, std::vector<uint32_t>> titles_with_;  // by pair of characters
};

}  // namespace heed::text
