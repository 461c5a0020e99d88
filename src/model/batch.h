// The one type between data and model: structure of arrays, filled by the CSV data sets and by the
// live feature builder alike, read by the ranker in training and in serving.
//
// Letters: N candidates (samples), R requests, T tasks, F fields, D numerics, K parts of a token.
// In training each row is usually its own request (R = N); in serving R = 1 and N is hundreds.
#pragma once

#include <cstdint>
#include <vector>

#include "model/schema.h"

namespace heed::model {

// Key 0 means "absent" in every table and has a row of its own; 64-bit ids are hashes of text
// (base/hash.h) or small numbers plus one.
using Key = uint64_t;

struct SequenceBatch {
  std::vector<uint32_t> offsets = {
      0};                    // [R + 1]: request r has tokens offsets[r] .. offsets[r+1]-1
  std::vector<Key> keys;     // [tokens, K], oldest first
  std::vector<float> age_s;  // [tokens]: seconds before the request, >= 0
};

struct Batch {
  uint32_t requests = 0;                  // R
  uint32_t candidates = 0;                // N
  std::vector<uint32_t> request_of;       // [N], ascending
  std::vector<Key> request_keys;          // [R, F of Side::kRequest]
  std::vector<Key> candidate_keys;        // [N, F of Side::kCandidate]
  std::vector<float> request_numerics;    // [R, D of Side::kRequest], raw; NaN: absent
  std::vector<float> candidate_numerics;  // [N, D of Side::kCandidate], raw; NaN: absent
  std::vector<SequenceBatch> sequences;   // one per SequenceSpec
  std::vector<float> labels;   // [N, T] 0 or 1, NaN: not known (no loss); empty in serving
  std::vector<float> weights;  // [N], or [N, T] by task, or empty for all 1

  void Clear(const Schema& schema);  // empty, keeping memory
  // Shapes agree with `schema` and each other, values finite where they must be; the message says
  // which array. Cheap next to a forward pass: O(R + N).
  Status Validate(const Schema& schema) const;
};

}  // namespace heed::model
