#include "base/large_pages.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace heed {
namespace {

constexpr size_t kPage = size_t{2} << 20;

size_t RoundUp(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

}  // namespace

void* AllocateLarge(size_t bytes) {
  if (bytes == 0) return nullptr;
  // One page more than needed, so that a piece that begins on a huge page's border can be kept.
  const size_t size = RoundUp(bytes);
  void* got =
      mmap(nullptr, size + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (got == MAP_FAILED) throw std::bad_alloc();
  auto* start = static_cast<std::byte*>(got);
  const size_t before =
      RoundUp(reinterpret_cast<uintptr_t>(start)) - reinterpret_cast<uintptr_t>(start);
  std::byte* kept = start + before;
  if (before > 0) munmap(start, before);
  if (before < kPage) munmap(kept + size, kPage - before);
  (void)madvise(kept, size, MADV_HUGEPAGE);  // a wish: ordinary pages work too
  return kept;
}

void FreeLarge(void* p, size_t bytes) {
  if (p != nullptr) munmap(p, RoundUp(bytes));
}

}  // namespace heed
