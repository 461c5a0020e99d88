// Denormal numbers (below 1.2e-38) cost a hundred cycles an operation on some processors, and
// decaying optimiser moments and softmax tails are full of them. While one of these lives, the
// calling thread rounds them to zero, on input and output; then the old mode comes back, so code
// around us (and libraries we call from elsewhere) keeps the arithmetic it expects.
#pragma once

#if defined(__SSE2__)
#include <xmmintrin.h>
#elif defined(__aarch64__)
#include <cstdint>
#endif

namespace heed::kernels {

class FlushDenormals {
 public:
#if defined(__SSE2__)
  FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | kFlushToZero | kInputsAreZero); }
  ~FlushDenormals() { _mm_setcsr(saved_); }
#elif defined(__aarch64__)
  FlushDenormals() : saved_(0) {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" : : "r"(saved_ | kFlushToZero));
  }
  ~FlushDenormals() { asm volatile("msr fpcr, %0" : : "r"(saved_)); }
#else
  FlushDenormals() {}  // other processors take no penalty worth a mode switch
  ~FlushDenormals() {}
#endif
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

#if defined(__SSE2__)
 private:
  static constexpr unsigned kFlushToZero = 0x8000, kInputsAreZero = 0x0040;
  unsigned saved_;
#elif defined(__aarch64__)
 private:
  static constexpr uint64_t kFlushToZero = uint64_t{1} << 24;  // of inputs and of results
  uint64_t saved_;
#endif
};

}  // namespace heed::kernels
