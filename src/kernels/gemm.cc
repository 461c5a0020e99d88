#include "kernels/gemm.h"

#include <algorithm>

#include "kernels/table.h"
#if HEED_SIMD
#include <oneapi/dnnl/dnnl.h>

#include "base/log.h"
#include "base/team.h"

// The one function of the OpenMP runtime we need (libgomp, which libdnnl runs on). Declared here so
// that neither compiler needs -fopenmp, with which clang would bring a second runtime.
extern "C" void omp_set_num_threads(int);  // NOLINT(readability-identifier-naming)
#endif

namespace heed::kernels {
namespace reference {

void Gemm(Trans trans_a, Trans trans_b, size_t M, size_t N, size_t K, const float* A,
          size_t a_stride, const float* B, size_t b_stride, float beta, float* C, size_t c_stride) {
  for (size_t i = 0; i < M; ++i) {
    float* row = C + i * c_stride;
    if (beta == 0.0f) {
      std::fill(row, row + N, 0.0f);
    } else if (beta != 1.0f) {
      for (size_t j = 0; j < N; ++j) row[j] *= beta;
    }
    for (size_t k = 0; k < K; ++k) {
      const float a = trans_a == Trans::kYes ? A[k * a_stride + i] : A[i * a_stride + k];
      if (trans_b == Trans::kNo) {
        for (size_t j = 0; j < N; ++j) row[j] += a * B[k * b_stride + j];
      } else {
        for (size_t j = 0; j < N; ++j) row[j] += a * B[j * b_stride + k];
      }
    }
  }
}

}  // namespace reference

#if HEED_SIMD
namespace {

constexpr size_t kLarge = size_t{4} << 20;  // multiplications, some 50 us: worth a second thread

// oneDNN is held to the level the kernels run at, so that HEED_SIMD=avx2 means all of it.
bool UseDnnl() {
  static const bool use = [] {
    switch (ActiveLevel()) {
      case Level::kScalar: return false;
      case Level::kSse4: (void)dnnl_set_max_cpu_isa(dnnl_cpu_isa_sse41); break;
      case Level::kAvx2: (void)dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2); break;
      case Level::kNeon:
      case Level::kAvx512:
      case Level::kAvx512Bf16:
      case Level::kAmx: break;
    }
    return true;
  }();
  return use;
}

}  // namespace
#endif

void Gemm(Trans trans_a, Trans trans_b, size_t M, size_t N, size_t K, const float* A,
          size_t a_stride, const float* B, size_t b_stride, float beta, float* C, size_t c_stride) {
#if HEED_SIMD
  if (M != 0 && N != 0 && K != 0 && UseDnnl()) {
    // A large one in two halves of rows, for two threads of a team, and always the same two: what is
    // computed must not depend on who computes it.
    const size_t half = M * N * K >= kLarge ? (M / 2 + 15) / 16 * 16 : M;
    ParallelFor(half < M ? 2 : 1, [&](size_t piece) {
      const size_t first = piece * half, rows = piece == 0 ? half : M - half;
      const float* a = A + (trans_a == Trans::kYes ? first : first * a_stride);
      // A property of the calling thread, so every call sets it; it costs a store.
      omp_set_num_threads(1);
      const auto dim = [](size_t n) { return static_cast<dnnl_dim_t>(n); };
      const dnnl_status_t status =
          dnnl_sgemm(trans_a == Trans::kYes ? 'T' : 'N', trans_b == Trans::kYes ? 'T' : 'N',
                     dim(rows), dim(N), dim(K), 1.0f, a, dim(a_stride), B, dim(b_stride), beta,
                     C + first * c_stride, dim(c_stride));
      if (status == dnnl_success) return;
      // Only an allocation failure inside oneDNN comes here; the plain loop needs no memory.
      LogWarn("dnnl_sgemm: status {}", static_cast<int>(status));
      reference::Gemm(trans_a, trans_b, rows, N, K, a, a_stride, B, b_stride, beta,
                      C + first * c_stride, c_stride);
    });
    return;
  }
#endif
  reference::Gemm(trans_a, trans_b, M, N, K, A, a_stride, B, b_stride, beta, C, c_stride);
}

}  // namespace heed::kernels
