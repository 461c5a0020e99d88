// How the rows forms of attention walk a batch: what attention_rows.cc and activation_unit_rows.cc share.
#pragma once

#include <algorithm>

#include "kernels/history.h"
#include "nn/attention.h"

namespace heed::nn {

// The rows of request r's history; none when there is no such request.
inline kernels::TokenRows RowsOf(const AttentionInput& in, size_t r) {
  if (r + 1 >= in.offsets.size()) return {};
  const size_t first = in.offsets[r];
  return {.tables = in.rows->tables.data(),
          .rows = in.rows->rows.data() + first * in.rows->parts(),
          .tokens = in.offsets[r + 1] - first,
          .parts = in.rows->parts(),
          .width = in.rows->width,
          .stride = in.rows->stride};
}

// The first candidate of request r or of one after it.
inline size_t FirstOf(const AttentionInput& in, size_t r) {
  const auto found = std::lower_bound(in.request_of.begin(), in.request_of.end(), r);
  return static_cast<size_t>(found - in.request_of.begin());
}

// Calls body(r, first_candidate, candidates) for requests first .. last - 1, those without candidates
// too.
template <typename Body>
void EveryRequest(const AttentionInput& in, size_t first_request, size_t last, Body body) {
  const size_t N = in.request_of.size();
  size_t n = FirstOf(in, first_request);
  for (size_t r = first_request; r < last; ++r) {
    const size_t first = n;
    while (n < N && in.request_of[n] == r) ++n;
    body(r, first, n - first);
  }
}

// What a token's share of its history's mean is, with one empty slot counted.
inline float MeanShare(size_t tokens) { return 1.0f / static_cast<float>(tokens + 1); }

}  // namespace heed::nn
