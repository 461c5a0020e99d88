// What the training of DIN's activation unit (nn/activation_unit.h) spends its time in: products of one
// history's tokens with small matrices that stay in the caches, and the bends between them.
//
// Letters: L tokens, M numbers of one, N columns of a product. Matrices are packed, and N is a multiple
// of kUnitPad: whoever has fewer columns fills with zeros.
#pragma once

#include <cstddef>

#include "kernels/history.h"

namespace heed::kernels {

constexpr size_t kUnitPad = 16;

inline size_t UnitPadded(size_t n) { return (n + kUnitPad - 1) / kUnitPad * kUnitPad; }

// As in table.h: fixed order of sums, lengths of 0 are fine.
struct UnitKernels {
  // y[t * N + n] = base[n] + sum_m x[t][m] w[m * N + n]; base may be null: zeros.
  void (*times)(const TokenRows& x, const float* w, const float* base, size_t N, float* y,
                RowFetch* fetch);
  // sums[m * N + n] += sum_t x[t][m] d[t * N + n]
  void (*outer)(const TokenRows& x, const float* d, size_t N, float* sums, RowFetch* fetch);
  // A candidate's own first layer: own[i * N + j] = side[i * N + j] + q[i] product[i * N + j], i < M.
  void (*own)(const float* side, const float* product, const float* q, size_t M, size_t N,
              float* own);
  // The same transposed: own[j * M + i] = side[j * M + i] + q[i] product[j * M + i], i < M, j < N.
  void (*own_transposed)(const float* side, const float* product, const float* q, size_t M,
                         size_t N, float* own);
  // d_side += d_own; d_product[i] += q[i] d_own[i]; d_q[i] += d_own[i] . product[i], for rows i < M.
  void (*own_backward)(const float* d_own, const float* product, const float* q, size_t M, size_t N,
                       float* d_side, float* d_product, float* d_q);
  // y = x > 0 ? x : slope[n] x; y may be x.
  void (*bend)(const float* x, const float* slope, size_t L, size_t N, float* y);
  // For t < L, with d what it was: d_slope[n] += x > 0 ? 0 : d x; d = x > 0 ? d : slope[n] d, in place;
  // d_bias[n] += the new d.
  void (*bend_backward)(const float* x, const float* slope, size_t L, size_t N, float* d,
                        float* d_slope, float* d_bias);
};

// At the level in use, or at any attainable one.
const UnitKernels& ActiveUnit();
const UnitKernels& UnitOf(Level level);

namespace reference {
void Fill(UnitKernels& kernels);
}  // namespace reference

}  // namespace heed::kernels
