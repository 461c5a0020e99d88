#include "text/aho_corasick.h"

#include <algorithm>
#include <cassert>

namespace heed::text {

uint32_t AhoCorasick::Add(std::u32string_view pattern) {
  assert(!pattern.empty());
  uint32_t at = 0;
  for (const char32_t code : pattern) {
    auto& edges = nodes_[at].edges;
    const auto found =
        std::find_if(edges.begin(), edges.end(), [&](const Edge& e) { return e.code == code; });
    if (found != edges.end()) {
      at = found->to;
      continue;
    }
    const auto next = static_cast<uint32_t>(nodes_.size());
    edges.push_back({code, next});
    nodes_.emplace_back();
    at = next;
  }
  Node& node = nodes_[at];
  if (node.pattern == kNone) {
    node.pattern = patterns_++;
    node.length = static_cast<uint32_t>(pattern.size());
  }
  return node.pattern;
}

void AhoCorasick::Build() {
  first_.clear();
  for (Node& node : nodes_) {
    std::sort(node.edges.begin(), node.edges.end(),
              [](const Edge& a, const Edge& b) { return a.code < b.code; });
  }
  std::vector<uint32_t> queue;  // by depth: a node's fail link is shallower than the node
  for (const Edge& edge : nodes_[0].edges) {
    first_[edge.code] = edge.to;
    nodes_[edge.to].fail = 0;
    queue.push_back(edge.to);
  }
  for (size_t i = 0; i < queue.size(); ++i) {
    for (const Edge& edge : nodes_[queue[i]].edges) {
      Node& child = nodes_[edge.to];
      child.fail = Step(nodes_[queue[i]].fail, edge.code);
      const Node& fail = nodes_[child.fail];
      child.shorter = fail.pattern != kNone ? child.fail : fail.shorter;
      queue.push_back(edge.to);
    }
  }
}

uint32_t AhoCorasick::Child(uint32_t node, char32_t code) const {
  if (node == 0) {
    const auto found = first_.find(code);
    return found == first_.end() ? kNone : found->second;
  }
  const auto& edges = nodes_[node].edges;
  const auto found = std::lower_bound(edges.begin(), edges.end(), code,
                                      [](const Edge& e, char32_t c) { return e.code < c; });
  return found == edges.end() || found->code != code ? kNone : found->to;
}

uint32_t AhoCorasick::Step(uint32_t node, char32_t code) const {
  while (true) {
    const uint32_t child = Child(node, code);
    if (child != kNone) return child;
    if (node == 0) return 0;
    node = nodes_[node].fail;
  }
}

void AhoCorasick::Find(std::u32string_view text, std::vector<Match>* out) const {
  out->clear();
  uint32_t node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    node = Step(node, text[i]);
    for (uint32_t n = nodes_[node].pattern != kNone ? node : nodes_[node].shorter; n != kNone;
         n = nodes_[n].shorter) {
      const auto end = static_cast<uint32_t>(i + 1);
      out->push_back({nodes_[n].pattern, end - nodes_[n].length, end});
    }
  }
}

}  // namespace heed::text
