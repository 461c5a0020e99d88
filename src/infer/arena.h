// Memory of one request: taken piece by piece, given back all at once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <vector>

#include "base/line_allocator.h"

namespace heed::infer {

// Not thread-safe: one for each thread that scores. After the largest request it has seen it asks the
// system for nothing any more.
class Arena {
 public:
  // n numbers, not initialised, from a cache line on, with a spare line behind them. Valid until
  // Reset, or the Rewind to a mark before them.
  template <typename T>
  T* Take(size_t n) {
    static_assert(std::is_trivially_destructible_v<T>);
    const size_t bytes = (n * sizeof(T) + 127) / 64 * 64;
    if (blocks_.empty() || used_ + bytes > blocks_.back().size()) Grow(bytes);
    std::byte* start = blocks_.back().data() + used_;
    used_ += bytes;
    return reinterpret_cast<T*>(start);
  }

  // What is taken after a mark can be given back alone: memory used again is still in the cache.
  struct Mark {
    size_t blocks = 0, used = 0;
  };
  Mark Here() const { return {blocks_.size(), used_}; }
  void Rewind(const Mark& mark) {
    if (mark.blocks == blocks_.size()) used_ = mark.used;  // else only Reset can
  }

  void Reset() {
    used_ = 0;
    if (blocks_.size() < 2) return;
    // What this request needed in several pieces the next one finds in one.
    size_t total = 0;
    for (const auto& block : blocks_) total += block.size();
    blocks_.clear();
    Grow(total);
  }

 private:
  void Grow(size_t bytes) {
    blocks_.emplace_back(std::max(bytes, kSmallest));
    used_ = 0;
  }

  static constexpr size_t kSmallest = size_t{1} << 20;
  std::vector<LineVector<std::byte>> blocks_;
  size_t used_ = 0;  // of the last block
};

}  // namespace heed::infer
