// Sequences of items from plain text files, split into what to learn from and what to judge on.
//
// Three forms of file, ids separated by spaces or tabs, lines that are empty left out:
//   pairs     user item            one interaction a line; a user's lines are in time order
//   lists     user item item ...   one user a line, oldest first
//   sessions  item item ...        one session a line, oldest first, sessions in time order
// Pairs and lists are split by leaving one out: the last item of a user is the test, the one before
// it the valid case, the rest is for learning; a user too short for that is learned from whole.
// Sessions come with a file of test cases, one a line as target<TAB>item item ...; the newest
// sessions are held out as valid, each of whose items but the first is a case.
//
// Optional: attributes of items as JSON, {"item": [attribute, ...], ...}, and the negatives of the
// test cases, user item item ... a line. Every error is "file:line: what is wrong".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/next_item.h"

namespace heed::train {

struct SequenceSpec {
  enum class Format : uint8_t { kPairs, kLists, kSessions };
  Format format = Format::kPairs;
  std::string path;
  std::string test_path;        // sessions only
  std::string attributes_path;  // or ""
  std::string negatives_path;   // or "": negatives are drawn
  double valid_share = 0.1;     // of the sessions
  uint32_t min_length = 3;      // shorter users have no valid and no test case
};

struct SequenceCase {  // after the first `length` items of a sequence, which is next?
  uint32_t sequence = 0;
  uint32_t length = 0;
  uint32_t target = 0;
};

struct SequenceData {
  model::ItemCatalog catalog;                    // items in the order of first mention
  std::vector<std::vector<uint32_t>> sequences;  // whole
  std::vector<std::string> names;                // of their users; empty for sessions
  // Learned from: the first so many items of a sequence; 0: not learned from.
  std::vector<uint32_t> train_lengths;
  // The same once the valid cases may be learned from, too.
  std::vector<uint32_t> refit_lengths;
  std::vector<SequenceCase> valid, test;
  // Of each test case, by sequence; empty: to be drawn.
  std::vector<std::vector<uint32_t>> test_negatives;

  std::span<const uint32_t> Prefix(const SequenceCase& one) const {
    return std::span(sequences[one.sequence]).first(one.length);
  }
  // How often each item comes in what is learned from.
  std::vector<uint32_t> Counts(const std::vector<uint32_t>& lengths) const;
};

// Paths are relative to `folder`.
Result<SequenceData> ReadSequences(const SequenceSpec& spec, const std::string& folder);

// `count` different items, none in the sequence of the case, drawn from (seed, sequence).
// Fewer when the catalog has no more.
std::vector<uint32_t> DrawNegatives(const SequenceData& data, const SequenceCase& one,
                                    uint32_t count, uint64_t seed);

}  // namespace heed::train
