// Memory for tables that are read at random. On pages of 4 KB nearly every row costs a walk through
// the page tables beside its own cache miss; on 2 MB pages the processor's buffers cover a table of
// gigabytes.
#pragma once

#include <cstddef>
#include <memory>

namespace heed {

constexpr size_t kLarge = size_t{2} << 20;  // from here on it pays

// Zeroed, on huge pages where the system grants them, touched only when used. Throws std::bad_alloc.
void* AllocateLarge(size_t bytes);
void FreeLarge(void* p, size_t bytes);

// An array of bytes that is not touched before it is used.
class LargeBytes {
 public:
  LargeBytes() : LargeBytes(0) {}
  explicit LargeBytes(size_t size) : data_(static_cast<std::byte*>(AllocateLarge(size)), {size}) {}
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  size_t size() const { return data_.get_deleter().size; }

 private:
  struct Free {
    size_t size;
    void operator()(std::byte* p) const { FreeLarge(p, size); }
  };
  std::unique_ptr<std::byte[], Free> data_;
};

}  // namespace heed
