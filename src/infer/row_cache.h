// Rows of numbers by a tuple of keys, computed once and found many times. Finding takes no lock and
// waits for nobody; a full cache gives up rows that nobody asked for lately; a row whose keys have
// changed since it was computed is not found any more, and is replaced when it comes again.
//
// An entry is never written while somebody may read it. A call of Find says in one of kReaders slots
// that it reads, and since when (an epoch); an entry that was taken out of the index is filled again
// only when every such call has ended or began later (Fraser 2004, epoch-based reclamation).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "base/large_pages.h"
#include "base/line_allocator.h"

namespace heed::infer {

class RowCache {
 public:
  using Key = uint64_t;
  using Stamp = uint64_t;  // how many changes there had been

  // Room for `capacity` rows of row_bytes each, known by `keys` keys.
  RowCache(size_t capacity, size_t keys, size_t row_bytes);

  // Of n tuples, tuple i at keys[i * key_step]: rows found are copied to out + i * row_bytes, the i of
  // the others are written to `missing` in order. Returns how many those are. Thread-safe.
  size_t Find(const Key* keys, size_t key_step, size_t n, std::byte* out, uint32_t* missing) const;

  // Before the numbers that a row is computed from are read; for Insert.
  Stamp Now() const { return changes_.load(std::memory_order_acquire); }
  // A row computed at `stamp`. Does nothing when it is there already, when another thread inserts at
  // this moment, or when the cache is full of rows that are being read: the row is then computed once
  // more when it is next asked for. Thread-safe.
  void Insert(const Key* keys, const std::byte* row, Stamp stamp);

  // After the numbers that belong to a key have changed: rows computed before, of which it is a key,
  // are not found any more. Now and then such rows of another key are not, either: changes are kept by
  // a hash of the key. Thread-safe.
  void Changed(Key key);
  // The same of all rows: other weights.
  void AllChanged();

  size_t entries() const { return live_.load(std::memory_order_relaxed); }
  size_t bytes() const {
    return data_.size() + slots_ * sizeof(uint64_t) + changed_.size() * sizeof(Stamp);
  }

 private:
  static constexpr size_t kReaders = 64;
  static constexpr uint64_t kNobody = 0;
  class Reading;  // holds one of readers_

  // Finding in two passes, each with as many lines on their way as a core can wait for: Locate reads the
  // index, Take the entries. In one pass the two wait for each other.
  void Locate(const Key* keys, size_t key_step, size_t n, uint32_t* places) const;
  size_t Take(const Key* keys, size_t key_step, size_t n, const uint32_t* places, std::byte* out,
              uint32_t* missing) const;
  uint64_t Hash(const Key* keys) const;
  std::byte* Entry(size_t i) { return data_.data() + i * stride_; }
  const std::byte* Entry(size_t i) const { return data_.data() + i * stride_; }
  static size_t EntryOf(uint64_t slot) { return (slot & 0xffffffffu) - 1; }
  // In one order with readers_ and epoch_; on x86-64 a load like any other.
  uint64_t Slot(size_t place) const { return index_[place].load(std::memory_order_seq_cst); }
  // The first slot from `from` on that is free or named with this hash's upper half.
  size_t Place(size_t from, uint64_t hash) const;
  // The slot of the complete entry of `keys`, at `place` or after it; 0: none.
  uint64_t SlotAt(size_t place, const Key* keys) const;
  bool Holds(const std::byte* entry, const Key* keys) const;
  bool Fresh(const std::byte* entry) const;
  size_t ChangeOf(Key key) const;

  // All below with inserting_ held.
  void Unlink(size_t entry);  // out of the index, into limbo_
  void Evict();               // some that nobody asked for since they were last looked at
  bool TakeFree(size_t* entry);
  uint64_t OldestReader() const;

  size_t capacity_ = 0, keys_ = 0, row_bytes_ = 0, header_ = 0, stride_ = 0;
  size_t slots_ = 0;  // a power of two, at most half full
  // Upper half of the keys' hash, then entry + 1; or 0: free. An entry is complete before it is named
  // here. The half hash spares the reading of another key's entry, which is ten lines from memory.
  LineVector<std::atomic<uint64_t>> index_;
  LargeBytes data_;  // [capacity][keys, stamp, row]
  std::atomic<size_t> live_{0};

  std::atomic<Stamp> changes_{0}, all_changed_{0};
  LineVector<std::atomic<Stamp>> changed_;  // by ChangeOf: the last change of a key

  struct alignas(64) Reader {
    std::atomic<uint64_t> since{kNobody};
  };
  mutable std::array<Reader, kReaders> readers_;
  std::atomic<uint64_t> epoch_{1};

  std::atomic<bool> full_{false};  // rows have been given up: Find marks what it finds
  mutable std::vector<std::atomic<bool>> asked_;  // [capacity]
  std::mutex inserting_;
  struct Left {
    uint32_t entry;
    uint64_t epoch;
  };
  std::vector<Left> limbo_;  // [capacity], a ring: in the order in which they left the index
  size_t limbo_first_ = 0, limbo_size_ = 0;
  std::vector<bool> linked_;    // [capacity]
  size_t used_ = 0, hand_ = 0;  // entries ever used; where Evict looks next
};

}  // namespace heed::infer
