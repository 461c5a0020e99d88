#include "text/segmenter.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "base/file.h"
#include "base/hash.h"
#include "text/simplified.h"

namespace heed::text {
namespace {

constexpr size_t kLongestRepeat = 3;
constexpr size_t kLongestWord = 64;  // characters

bool IsEmoji(char32_t c) {
  return c >= 0x2190 && !(c >= 0x2E80 && c < 0xA000) &&
         u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_EXTENDED_PICTOGRAPHIC);
}

bool IsLatin(char32_t c) { return (c >= U'a' && c <= U'z') || (c >= U'0' && c <= U'9'); }

}  // namespace

void SpellComment(std::string_view text, size_t max_characters, std::vector<Character>* out) {
  Normalize(text, max_characters, out);
  size_t kept = 0, run = 0;
  for (Character c : *out) {
    c.code = Simplified(c.code);
    run = kept > 0 && (*out)[kept - 1].code == c.code ? run + 1 : 1;
    // A number is what it is: 1000 has three zeros, 10000 four.
    const bool number = c.code >= U'0' && c.code <= U'9';
    if (!number && run > (IsEmoji(c.code) ? 1 : kLongestRepeat)) {
      (*out)[kept - 1].end = c.end;
    } else {
      (*out)[kept++] = c;
    }
  }
  out->resize(kept);
}

// Nodes are numbers; an edge is found by hash of (node, character). Open addressing, at most half full:
// 12 bytes a slot, one or two cache lines a step. A double array would be a third of the size.
struct Dictionary::Trie {
  struct Edge {
    uint32_t from = 0, to = 0;  // to = 0: free
    char32_t code = 0;
  };

  std::vector<Edge> edges = std::vector<Edge>(1 << 10);
  std::vector<float> log_probability = {0};  // by node; 0: no word ends there
  size_t used = 0, words = 0;
  double total = 0;
  float unknown = 0;  // log probability of a character that is no word

  static size_t Slot(uint32_t from, char32_t code) {
    return (uint64_t{from} << 21 | code) * 0x9E3779B97F4A7C15ull >> 20;
  }
  uint32_t Step(uint32_t from, char32_t code) const {  // 0: nowhere
    const size_t mask = edges.size() - 1;
    for (size_t i = Slot(from, code) & mask;; i = (i + 1) & mask) {
      const Edge& edge = edges[i];
      if (edge.to == 0 || (edge.from == from && edge.code == code)) return edge.to;
    }
  }
  void Put(const Edge& edge) {
    const size_t mask = edges.size() - 1;
    size_t i = Slot(edge.from, edge.code) & mask;
    while (edges[i].to != 0) i = (i + 1) & mask;
    edges[i] = edge;
  }
  uint32_t Grow(uint32_t from, char32_t code) {
    if (const uint32_t to = Step(from, code); to != 0) return to;
    if (2 * ++used > edges.size()) {
      std::vector<Edge> old(edges.size() * 2);
      old.swap(edges);
      for (const Edge& edge : old) {
        if (edge.to != 0) Put(edge);
      }
    }
    const auto to = static_cast<uint32_t>(log_probability.size());
    Put({from, to, code});
    log_probability.push_back(0);
    return to;
  }
};

Dictionary::Dictionary(std::unique_ptr<const Trie> trie) : trie_(std::move(trie)) {}
Dictionary::~Dictionary() = default;

size_t Dictionary::words() const { return trie_->words; }

bool Dictionary::Has(std::string_view word) const {
  std::vector<Character> characters;
  SpellComment(word, kLongestWord + 1, &characters);
  uint32_t node = 0;
  for (const Character& c : characters) {
    node = trie_->Step(node, c.code);
    if (node == 0) return false;
  }
  return node != 0 && trie_->log_probability[node] != 0;
}

std::shared_ptr<const Dictionary> Dictionary::Make(std::span<const Word> words) {
  auto trie = std::make_unique<Trie>();
  std::vector<double> frequency(1);  // by node
  std::vector<Character> characters;
  for (const Word& word : words) {
    SpellComment(word.text, kLongestWord + 1, &characters);
    if (characters.empty() || characters.size() > kLongestWord) continue;
    uint32_t node = 0;
    for (const Character& c : characters) node = trie->Grow(node, c.code);
    frequency.resize(trie->log_probability.size());
    if (frequency[node] == 0) ++trie->words;
    frequency[node] += word.frequency;
    trie->total += word.frequency;
  }
  trie->total = std::max(trie->total, 1.0);
  for (size_t node = 0; node < frequency.size(); ++node) {
    // -0 for a word that is all there is would read as no word.
    if (frequency[node] > 0) {
      trie->log_probability[node] =
          std::min(-1e-6f, static_cast<float>(std::log(frequency[node] / trie->total)));
    }
  }
  // An empty one, too, must let a room's words win over single characters.
  trie->unknown = -static_cast<float>(std::log(std::max(trie->total, 2.0)));
  return std::shared_ptr<const Dictionary>(new Dictionary(std::move(trie)));
}

Result<std::shared_ptr<const Dictionary>> Dictionary::Parse(std::string_view lines,
                                                            const std::string& name) {
  std::vector<Word> words;
  size_t number = 0;
  for (size_t at = 0; at < lines.size();) {
    const size_t end = std::min(lines.find('\n', at), lines.size());
    std::string_view line = lines.substr(at, end - at);
    at = end + 1;
    ++number;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    const size_t first = line.find(' ');
    Word word{std::string(line.substr(0, first)), 1};
    if (word.text.empty()) {
      if (line.empty()) continue;
      return InvalidArgument(name + ":" + std::to_string(number) + ": begins with a blank");
    }
    if (first != std::string_view::npos) {
      const std::string_view rest = line.substr(first + 1);
      const std::string_view digits = rest.substr(0, rest.find(' '));
      const auto read =
          std::from_chars(digits.data(), digits.data() + digits.size(), word.frequency);
      if (read.ec != std::errc() || read.ptr != digits.data() + digits.size() ||
          !(word.frequency > 0) || !(word.frequency < 1e12)) {
        return InvalidArgument(name + ":" + std::to_string(number) + ": '" + std::string(digits) +
                               "' is no frequency");
      }
    }
    words.push_back(std::move(word));
  }
  return Make(words);
}

Result<std::shared_ptr<const Dictionary>> Dictionary::ReadFile(const std::string& path) {
  HEED_ASSIGN_OR_RETURN(const std::string lines, ReadWholeFile(path));
  return Parse(lines, path);
}

Segmenter::Segmenter(std::shared_ptr<const Dictionary> dictionary,
                     std::shared_ptr<const Dictionary> room)
    : dictionary_(std::move(dictionary)), room_(std::move(room)) {}

void Segmenter::Segment(std::span<const Character> characters, Scratch* scratch,
                        std::vector<Word>* out) const {
  out->clear();
  const size_t n = characters.size();
  scratch->best.assign(n + 1, 0.0f);
  scratch->next.resize(n);
  scratch->known.resize(n);
  scratch->runs.resize(n);
  const Dictionary::Trie& words = *dictionary_->trie_;
  for (size_t i = n; i-- > 0;) {
    const char32_t code = characters[i].code;
    uint32_t end = static_cast<uint32_t>(i) + 1;
    if (IsLatin(code)) {
      if (end < n && IsLatin(characters[end].code)) end = scratch->runs[end];
      scratch->runs[i] = end;
    }
    // A run of letters is one word or begins one; nothing begins inside of it.
    float best = words.unknown + scratch->best[end];
    uint32_t next = end;
    bool known = false;
    const auto look = [&](const Dictionary::Trie& trie, float bonus) {
      uint32_t node = 0;
      for (size_t j = i; j < n; ++j) {
        node = trie.Step(node, characters[j].code);
        if (node == 0) return;
        if (trie.log_probability[node] == 0) continue;
        const bool cuts_run =
            IsLatin(characters[j].code) && j + 1 < n && IsLatin(characters[j + 1].code);
        if (cuts_run) continue;
        const float score =
            (bonus != 0 ? bonus : trie.log_probability[node]) + scratch->best[j + 1];
        if (score >= best) {
          best = score;
          next = static_cast<uint32_t>(j) + 1;
          known = true;
        }
      }
    };
    look(words, 0);
    // A room's word costs next to nothing: whole, it is likelier than any cut of it.
    if (room_ != nullptr) look(*room_->trie_, -1e-3f);
    scratch->best[i] = best;
    scratch->next[i] = next;
    scratch->known[i] = known ? 1 : 0;
  }
  for (uint32_t i = 0; i < n; i = scratch->next[i]) {
    if (characters[i].code == U' ') continue;
    out->push_back({i, scratch->next[i], scratch->known[i] != 0});
  }
}

}  // namespace heed::text
