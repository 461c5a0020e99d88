// All occurrences of many patterns in one pass (Aho & Corasick 1975).
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace heed::text {

// Add and Build need the object alone; Find is thread-safe after Build.
class AhoCorasick {
 public:
  struct Match {
    uint32_t pattern = 0;
    uint32_t begin = 0, end = 0;  // characters
  };

  // A number of its own for every different pattern, from 0; equal patterns share one.
  uint32_t Add(std::u32string_view pattern);  // not empty
  void Build();
  // Sets `out`, by end, the longer first. O(n log c + matches), c being the most children of a node; a
  // place has at most one match for every different length among the patterns.
  void Find(std::u32string_view text, std::vector<Match>* out) const;

 private:
  static constexpr uint32_t kNone = 0xFFFFFFFFu;
  struct Edge {
    char32_t code;
    uint32_t to;
  };
  struct Node {
    std::vector<Edge> edges;  // by code, after Build
    uint32_t fail = 0;
    uint32_t pattern = kNone, length = 0;
    uint32_t shorter = kNone;  // the nearest node on the way of `fail` that ends a pattern
  };

  uint32_t Child(uint32_t node, char32_t code) const;
  uint32_t Step(uint32_t node, char32_t code) const;

  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::unordered_map<char32_t, uint32_t> first_;  // the root's children: most steps ask for one
  uint32_t patterns_ = 0;
};

}  // namespace heed::text
