// 64-bit key → embedding row and count, by open addressing with linear probing over cache lines of four. No two
// keys share a row (no hashing trick). A line is filled from its front and left only when it is full: at .6
// full 19 lookups of 20 read the one line that was fetched for them, where probing by places goes on to the
// next line one time in five, which is a miss that nobody has begun to wait for.
#pragma once

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
    for (size_t i = Home(key);; i = Next(i)) {
      const Entry* line = &entries_[i];
      const Entry* found = line + Match(line, key);
      if (found->key == key) return found;
      if (line[kLine - 1].key == 0) return nullptr;
    }
  }
  // The entry of `key` if it lies on the line where its probes begin, else some other one. Where on the line
  // is chance, so that it is passed without a branch. Of a map that is not empty; key 0 may get a free one.
  const Entry& OnFirstLine(uint64_t key) const {
    size_t i = Home(key);
    for (size_t step = 1; step < kLine; ++step) i += static_cast<size_t>(entries_[i].key != key);
    return entries_[i];
  }
  // The entry of `key`, made with row 0 and count 0 when absent. Valid until the next call.
  Entry& FindOrInsert(uint64_t key) {
    if (size_ + 1 > Room(entries_.size())) Grow();
    for (size_t i = Home(key);; i = Next(i)) {
      Entry* line = &entries_[i];
      Entry* found = line + Match(line, key);
      if (found->key == key) return *found;
      if (Entry* free = Free(line); free != nullptr) {
        ++size_;
        free->key = key;
        return *free;
      }
    }
  }
  // Leaves out the entries that `gone` says, and the slots they needed.
  template <typename Gone>
  void RemoveIf(Gone gone) {
    size_t kept = 0;
    for (Entry& entry : entries_) {
      if (entry.key == 0) continue;
      if (gone(entry)) {
        entry = {};
      } else {
        ++kept;
      }
    }
    if (kept == size_) return;
    size_ = kept;
    Rebuild(SlotsFor(kept));
  }
  // Inlined always: GCC 12 takes a function that only fetches for one without effect, and leaves the
  // call out.
  [[gnu::always_inline]] void Prefetch(uint64_t key) const {
    if (!entries_.empty()) __builtin_prefetch(&entries_[Home(key)]);
  }
  [[gnu::always_inline]] void PrefetchSecondLine(uint64_t key) const {
    const size_t second = Home(key) + kLine;
    __builtin_prefetch(&entries_[second == entries_.size() ? 0 : second]);
  }
  // Room for n keys in all. Growing to them step by step would move every key again and again.
  void Reserve(size_t n) {
    if (n > Room(entries_.size())) Rebuild(SlotsFor(n));
  }
  size_t size() const { return size_; }
  // Every slot, free ones too, in an order that depends on the history of insertions.
  const LineVector<Entry>& slots() const { return entries_; }

 private:
  static constexpr size_t kLine = 64 / sizeof(Entry);
  static_assert(kLine == 4);

  // At most .6 full: few lines are. At least .48, as it grows by a quarter: a key takes 27 to 33 bytes.
  static size_t Room(size_t slots) { return slots - slots * 2 / 5; }
  static size_t SlotsFor(size_t n) { return Lines(n + n * 2 / 3 + 16); }
  static size_t Lines(size_t slots) { return (slots + kLine - 1) / kLine * kLine; }
  void Grow() { Rebuild(Lines(entries_.size() + entries_.size() / 4 + 16)); }

  // Where a key's probes begin: its hash, as a fraction of 2^64, of all lines.
  size_t Home(uint64_t key) const {
    const size_t lines = entries_.size() / kLine;
    return kLine *
           static_cast<size_t>((static_cast<unsigned __int128>(MixHash(key)) * lines) >> 64);
  }
  size_t Next(size_t i) const { return i + kLine == entries_.size() ? 0 : i + kLine; }
  // The place in a line of a key that is not 0, or any. Without branches: which of the four it is cannot be foreseen.
  static size_t Match(const Entry* line, uint64_t key) {
    return static_cast<size_t>(line[1].key == key) + 2 * static_cast<size_t>(line[2].key == key) +
           3 * static_cast<size_t>(line[3].key == key);
  }
  static Entry* Free(Entry* line) {
    for (size_t i = 0; i < kLine; ++i) {
      if (line[i].key == 0) return line + i;
    }
    return nullptr;
  }

  void Rebuild(size_t slots) {
    LineVector<Entry> old(slots);
    old.swap(entries_);
    for (const Entry& entry : old) {
      if (entry.key == 0) continue;
      size_t i = Home(entry.key);
      while (Free(&entries_[i]) == nullptr) i = Next(i);
      *Free(&entries_[i]) = entry;
    }
  }

  // On huge pages when large: a place is read at random, and on small pages costs a walk through the
  // page tables beside its own miss.
  LineVector<Entry> entries_;
  size_t size_ = 0;
};

}  // namespace heed::nn
