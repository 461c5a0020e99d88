#include "text/word_lists.h"

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/hash.h"
#include "base/toml_table.h"
#include "text/normalize.h"

namespace heed::text {
namespace {

constexpr size_t kMaxCharacters = 1000;

}  // namespace

Result<std::shared_ptr<const WordLists>> WordLists::Parse(std::string_view toml,
                                                          const std::string& name) {
  HEED_ASSIGN_OR_RETURN(const TomlTable root, TomlTable::Parse(toml, name));
  const std::shared_ptr<WordLists> lists(new WordLists);
  root.RequiredString("version");
  std::set<char32_t> tokens;
  for (const TomlTable& table : root.Tables("list")) {
    WordList list;
    list.name = table.RequiredString("name");
    list.intent = table.String("intent", "");
    list.polarity = static_cast<int>(table.Number("polarity", 0, -1, 1));
    list.offence = table.Flag("offence", false);
    list.topic = table.Flag("topic", false);
    list.filler = table.Flag("filler", false);
    list.token = kTextBegins + 1 + static_cast<char32_t>(HashBytes(list.name) % 0xFFF0);
    if (!tokens.insert(list.token).second) {
      table.Fail("name", "list '" + list.name + "' comes twice, or its name's hash does");
    }
    const auto number = static_cast<uint32_t>(lists->lists_.size());
    for (const bool hides : {false, true}) {
      const char* key = hides ? "unless" : "terms";
      for (const std::string& words : table.Strings(key)) {
        const uint32_t term = lists->terms_.Add(words);
        if (term == TermSet::kNone) {
          table.Fail(key, std::string("'") + key + "' has a term without letters");
          continue;
        }
        lists->uses_.resize(lists->terms_.size());
        lists->uses_[term].push_back({number, hides});
      }
    }
    lists->lists_.push_back(std::move(list));
  }
  HEED_RETURN_IF_ERROR(root.Finish());
  lists->terms_.Build();
  return std::shared_ptr<const WordLists>(lists);
}

Result<std::shared_ptr<const WordLists>> WordLists::ReadFile(const std::string& path) {
  HEED_ASSIGN_OR_RETURN(const std::string toml, ReadWholeFile(path));
  return Parse(toml, path);
}

std::vector<WordLists::Hit> WordLists::Find(std::string_view text) const {
  const Reading reading = Read(text, kMaxCharacters);
  std::vector<TermSet::Match> matches;
  terms_.Find(reading, &matches);
  struct Found {
    uint32_t list, begin, end;
    bool hides;
  };
  std::vector<Found> found;
  for (const TermSet::Match& match : matches) {
    for (const Use& use : uses_[match.term]) {
      found.push_back({use.list, match.begin, match.end, use.hides});
    }
  }
  // What hides stands before what it hides.
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    if (a.list != b.list) return a.list < b.list;
    if (a.begin != b.begin) return a.begin < b.begin;
    return a.hides != b.hides ? a.hides : a.end > b.end;
  });
  std::vector<Hit> hits;
  uint32_t list = 0xFFFFFFFFu, hidden = 0;
  for (const Found& one : found) {
    if (one.list != list) {
      list = one.list;
      hidden = 0;
    }
    if (one.hides) {
      hidden = std::max(hidden, one.end);
    } else if (one.end > hidden) {
      hits.push_back({list, reading.begins[one.begin], reading.ends[one.end - 1]});
    }
  }
  return hits;
}

std::string WordLists::WithTokens(std::string_view text, size_t* prefix) const {
  std::string out;
  uint32_t last = 0xFFFFFFFFu;
  for (const Hit& hit : Find(text)) {
    if (hit.list != last) AppendUtf8(lists_[hit.list].token, &out);
    last = hit.list;
  }
  AppendUtf8(kTextBegins, &out);
  if (prefix != nullptr) *prefix = out.size();
  out += text;
  return out;
}

}  // namespace heed::text
