// 64-bit key → embedding row and count, by open addressing with linear probing. No two keys share a
// row (no hashing trick), and a lookup is one cache line most of the time.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/hash.h"
#include "base/line_allocator.h"

namespace heed::nn {

class KeyMap {
 public:
  struct Entry {
    uint64_t key = 0;  // 0: free
    uint32_t row = 0;
    uint32_t count = 0;
  };

  // Null when absent. key != 0.
  const Entry* Find(uint64_t key) const {
    if (entries_.empty()) return nullptr;
    for (size_t i = MixHash(key) & mask_;; i = (i + 1) & mask_) {
      if (entries_[i].key == key) return &entries_[i];
      if (entries_[i].key == 0) return nullptr;
    }
  }
  // The entry of `key`, made with row 0 and count 0 when absent. Valid until the next call.
  Entry& FindOrInsert(uint64_t key) {
    if (2 * (size_ + 1) > entries_.size()) Grow();
    for (size_t i = MixHash(key) & mask_;; i = (i + 1) & mask_) {
      if (entries_[i].key == key) return entries_[i];
      if (entries_[i].key == 0) {
        ++size_;
        entries_[i].key = key;
        return entries_[i];
      }
    }
  }
  // Inlined always: GCC 12 takes a function that only fetches for one without effect, and leaves the
  // call out.
  [[gnu::always_inline]] void Prefetch(uint64_t key) const {
    if (!entries_.empty()) __builtin_prefetch(&entries_[MixHash(key) & mask_]);
  }
  // Room for n keys in all. Growing to them by doubling would move every key again and again.
  void Reserve(size_t n) {
    if (2 * n > entries_.size()) Rebuild(std::bit_ceil(2 * n));
  }
  size_t size() const { return size_; }
  // Every slot, free ones too, in an order that depends on the history of insertions.
  const LineVector<Entry>& slots() const { return entries_; }

 private:
  // At most half full: probes stay near one even when a table has just not grown.
  void Grow() { Rebuild(entries_.empty() ? 16 : 2 * entries_.size()); }

  void Rebuild(size_t slots) {
    LineVector<Entry> old(slots);
    old.swap(entries_);
    mask_ = entries_.size() - 1;
    for (const Entry& entry : old) {
      if (entry.key == 0) continue;
      size_t i = MixHash(entry.key) & mask_;
      while (entries_[i].key != 0) i = (i + 1) & mask_;
      entries_[i] = entry;
    }
  }

  // On huge pages when large: a place is read at random, and on small pages costs a walk through the
  // page tables beside its own miss.
  LineVector<Entry> entries_;
  size_t mask_ = 0, size_ = 0;
};

}  // namespace heed::nn
