// Attention over the rows of a history where they lie in their tables: no token is copied, and none is
// projected (nn/attention.h, the absorbed form). What training of a dot pool spends its time in.
//
// Letters: L tokens of K parts, d numbers each, D = K d; H heads (of all the candidates of a request
// together, when it has several).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/table.h"

namespace heed::kernels {

// Part k of token t is the first `width` numbers from tables[k] + rows[t * parts + k] * stride on.
struct TokenRows {
  const float* const* tables = nullptr;  // [K]
  const uint32_t* rows = nullptr;        // [L, K]
  size_t tokens = 0, parts = 0, width = 0, stride = 0;
};

// Rows that will be needed soon. Kernels that are given one fetch a few of its rows each time round their
// loops, so that memory works while they calculate; in one go a history's rows would fill the
// processor's miss buffers and hold up everything behind them.
struct RowFetch {
  TokenRows of;
  size_t done = 0;   // rows, of tokens * parts
  size_t part = 0;   // of the next one
  size_t eager = 1;  // how many at a time
};

// As in table.h: fixed order of sums, lengths of 0 are fine.
struct HistoryKernels {
  // s[h * s_stride + t] = sum over D of u[h * D + j] x[t][j]
  void (*scores)(const TokenRows& x, const float* u, size_t H, float* s, size_t s_stride,
                 RowFetch* fetch);
  // c[h * D + j] = sum_t w[h * w_stride + t] x[t][j]
  void (*context)(const TokenRows& x, const float* w, size_t w_stride, size_t H, float* c,
                  RowFetch* fetch);
  // out[j] = sum_t x[t][j]
  void (*sum)(const TokenRows& x, float* out);
  // g[t * D + j] = base[j] + sum_h w[h * stride + t] dc[h * D + j] + ds[h * stride + t] u[h * D + j],
  // t < L; base may be null: zeros.
  void (*gradients)(const float* w, const float* ds, size_t stride, const float* dc, const float* u,
                    const float* base, size_t H, size_t L, size_t D, float* g, RowFetch* fetch);
  // Row-wise Adagrad (Duchi 2011, one sum a row): for i < n, with g the i-th gradient at
  // g + index[i] * g_stride, row = table + rows[index[i] * row_step] * width and square likewise,
  //   square += mean g^2; row = row (1 - r l2) - r g, where r = rate / (sqrt(square) + epsilon).
  // A gradient whose squares do not sum to a finite number changes nothing. Returns the sum of all
  // squares.
  double (*adagrad_rows)(float* table, float* squares, const uint32_t* rows, size_t row_step,
                         const uint32_t* index, size_t n, size_t width, const float* g,
                         size_t g_stride, float rate, float epsilon, float l2, RowFetch* fetch);
  // All that `fetch` has left.
  void (*fetch)(RowFetch* fetch);
};

// At the level in use, or at any attainable one.
const HistoryKernels& ActiveHistory();
const HistoryKernels& HistoryOf(Level level);

namespace reference {
void Fill(HistoryKernels& kernels);
}  // namespace reference

}  // namespace heed::kernels
