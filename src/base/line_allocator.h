// Starts every array on a cache line, so that a 16-wide embedding row is one line and not two; large
// ones lie on huge pages.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

#include "base/large_pages.h"

namespace heed {

template <typename T>
struct LineAllocator {
  using value_type = T;  // NOLINT(readability-identifier-naming): the standard's name
  static constexpr std::align_val_t kLine{64};

  LineAllocator() = default;
  template <typename U>
  LineAllocator(const LineAllocator<U>&) {}  // NOLINT(google-explicit-constructor)
  T* allocate(size_t n) {
    if (n * sizeof(T) >= kLarge) return static_cast<T*>(AllocateLarge(n * sizeof(T)));
    return static_cast<T*>(::operator new(n * sizeof(T), kLine));
  }
  void deallocate(T* p, size_t n) {
    if (n * sizeof(T) >= kLarge) {
      FreeLarge(p, n * sizeof(T));
    } else {
      ::operator delete(p, kLine);
    }
  }
  bool operator==(const LineAllocator&) const { return true; }
};
template <typename T>
using LineVector = std::vector<T, LineAllocator<T>>;

}  // namespace heed
