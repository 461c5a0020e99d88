// A growing array whose elements never move, so that readers need no lock to reach one.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace heed::state {

// One thread appends; any thread reads size() and elements below it. What is inside an element is
// the element's own affair (const, atomic or locked). Chunks double, so at most half of the address
// space taken is unused, and pages never touched cost no memory.
template <typename T>
class StableVector {
 public:
  StableVector() = default;
  StableVector(const StableVector&) = delete;
  StableVector& operator=(const StableVector&) = delete;
  ~StableVector() {
    const uint32_t count = size();
    for (uint32_t i = 0; i < count; ++i) std::destroy_at(&(*this)[i]);
    for (size_t k = 0; k < kChunks; ++k) {
      if (T* chunk = chunks_[k].load(std::memory_order_relaxed)) {
        std::allocator<T>().deallocate(chunk, ChunkSize(k));
      }
    }
  }

  uint32_t size() const { return size_.load(std::memory_order_acquire); }
  T& operator[](uint32_t i) { return *Slot(i); }
  const T& operator[](uint32_t i) const { return *Slot(i); }

  template <typename... Args>
  T& Emplace(Args&&... args) {
    const uint32_t i = size_.load(std::memory_order_relaxed);
    const size_t k = ChunkOf(i);
    if (chunks_[k].load(std::memory_order_relaxed) == nullptr) {
      chunks_[k].store(std::allocator<T>().allocate(ChunkSize(k)), std::memory_order_relaxed);
    }
    T* element = std::construct_at(Slot(i), std::forward<Args>(args)...);
    size_.store(i + 1, std::memory_order_release);  // publishes the chunk and the element
    return *element;
  }

 private:
  static constexpr unsigned kFirstBits = 6;  // 64 elements in the first chunk
  static constexpr size_t kChunks = 33 - kFirstBits;

  static constexpr size_t ChunkSize(size_t k) { return size_t{1} << (k + kFirstBits); }
  static constexpr size_t ChunkOf(uint32_t i) {
    return std::bit_width((uint64_t{i} >> kFirstBits) + 1) - 1u;
  }
  // Chunk k begins at element 64 * (2^k - 1).
  T* Slot(uint32_t i) const {
    const size_t k = ChunkOf(i);
    const size_t begin = ChunkSize(k) - (size_t{1} << kFirstBits);
    return chunks_[k].load(std::memory_order_relaxed) + (i - begin);
  }

  std::array<std::atomic<T*>, kChunks> chunks_{};
  std::atomic<uint32_t> size_{0};
};

}  // namespace heed::state
