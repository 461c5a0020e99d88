// Matrix product on row-major float matrices. oneDNN does it (its generated code reaches the
// machine's peak on our shapes); a plain loop is the reference, and the only one at level "scalar"
// and in HEED_SIMD=OFF builds.
//
// On the calling thread, or two of its team when there is one (base/team.h): oneDNN's OpenMP pool is told to be one thread wide, whatever
// OMP_NUM_THREADS says, because requests and trainers are the parallel units here and because one
// thread sums in one order. Same shapes, same level, same machine: same bits.
#pragma once

#include <cstddef>

namespace heed::kernels {

enum class Trans : bool { kNo, kYes };

// C[M,N] = op(A)[M,K] op(B)[K,N] + beta C. A stride is the distance between rows as stored.
// beta = 0 ignores what C held, NaN included. Any of M, N, K may be 0.
void Gemm(Trans trans_a, Trans trans_b, size_t M, size_t N, size_t K, const float* A,
          size_t a_stride, const float* B, size_t b_stride, float beta, float* C, size_t c_stride);

namespace reference {
void Gemm(Trans trans_a, Trans trans_b, size_t M, size_t N, size_t K, const float* A,
          size_t a_stride, const float* B, size_t b_stride, float beta, float* C, size_t c_stride);
}  // namespace reference

}  // namespace heed::kernels
