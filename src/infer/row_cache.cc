#include "infer/row_cache.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <numeric>

#include "base/hash.h"

namespace heed::infer {
namespace {

// Slots in flight, then whole entries: those are ten lines each, and a core waits for some 48 at its
// second cache.
constexpr size_t kSlotsAhead = 16, kEntriesAhead = 8;

void PrefetchLines(const std::byte* p, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i, 0, 2);
}

// Entries given up at a time.
constexpr size_t kEvicted = 32;

}  // namespace

// From construction to destruction nothing that the index names is filled anew.
class RowCache::Reading {
 public:
  explicit Reading(const RowCache& cache) {
    static std::atomic<size_t> threads{0};
    thread_local const size_t preferred = threads.fetch_add(1, std::memory_order_relaxed);
    for (size_t i = 0; i < kReaders; ++i) {
      std::atomic<uint64_t>& since = cache.readers_[(preferred + i) % kReaders].since;
      uint64_t nobody = kNobody;
      if (since.load(std::memory_order_relaxed) != kNobody) continue;
      if (!since.compare_exchange_strong(nobody, cache.epoch_.load())) continue;
      since_ = &since;
      return;
    }
  }
  ~Reading() {
    if (since_ != nullptr) since_->store(kNobody, std::memory_order_release);
  }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  bool ok() const { return since_ != nullptr; }  // false: kReaders others read

 private:
  std::atomic<uint64_t>* since_ = nullptr;
};

RowCache::RowCache(size_t capacity, size_t keys, size_t row_bytes)
    : capacity_(capacity),
      keys_(keys),
      row_bytes_(row_bytes),
      changed_(std::clamp(std::bit_ceil(8 * capacity), size_t{1} << 10, size_t{1} << 18)),
      asked_(capacity),
      limbo_(capacity),
      linked_(capacity) {
  header_ = keys * sizeof(Key) + sizeof(Stamp);
  stride_ = (header_ + row_bytes + 63) / 64 * 64;
  slots_ = std::bit_ceil(2 * capacity);
  assert(slots_ <= uint64_t{1} << 32);
  index_ = LineVector<std::atomic<uint64_t>>(slots_);
  data_ = LargeBytes(capacity * stride_);
}

uint64_t RowCache::Hash(const Key* keys) const {
  uint64_t hash = 0;
  for (size_t i = 0; i < keys_; ++i) hash = MixHash(hash * 31 + keys[i]);
  return hash;
}

bool RowCache::Holds(const std::byte* entry, const Key* keys) const {
  const auto* held = reinterpret_cast<const Key*>(entry);
  for (size_t i = 0; i < keys_; ++i) {
    if (held[i] != keys[i]) return false;
  }
  return true;
}

bool RowCache::Fresh(const std::byte* entry) const {
  if (changes_.load(std::memory_order_acquire) == 0) return true;
  const auto* held = reinterpret_cast<const Key*>(entry);
  const Stamp stamp = held[keys_];
  if (stamp < all_changed_.load(std::memory_order_acquire)) return false;
  for (size_t i = 0; i < keys_; ++i) {
    if (stamp < changed_[ChangeOf(held[i])].load(std::memory_order_acquire)) return false;
  }
  return true;
}

size_t RowCache::ChangeOf(Key key) const { return MixHash(key) & (changed_.size() - 1); }

void RowCache::Changed(Key key) {
  const Stamp now = changes_.fetch_add(1, std::memory_order_acq_rel) + 1;
  std::atomic<Stamp>& last = changed_[ChangeOf(key)];
  Stamp before = last.load(std::memory_order_relaxed);
  while (before < now && !last.compare_exchange_weak(before, now, std::memory_order_acq_rel)) {
  }
}

void RowCache::AllChanged() {
  const Stamp now = changes_.fetch_add(1, std::memory_order_acq_rel) + 1;
  Stamp before = all_changed_.load(std::memory_order_relaxed);
  while (before < now &&
         !all_changed_.compare_exchange_weak(before, now, std::memory_order_acq_rel)) {
  }
}

void RowCache::Locate(const Key* keys, size_t key_step, size_t n, uint32_t* places) const {
  uint64_t hashes[kSlotsAhead];
  for (size_t i = 0; i < n + kSlotsAhead; ++i) {
    uint64_t& hash = hashes[i % kSlotsAhead];
    if (i >= kSlotsAhead) places[i - kSlotsAhead] = static_cast<uint32_t>(Place(hash, hash));
    if (i >= n) continue;
    hash = Hash(keys + i * key_step);
    __builtin_prefetch(&index_[hash & (slots_ - 1)]);
  }
}

size_t RowCache::Take(const Key* keys, size_t key_step, size_t n, const uint32_t* places,
                      std::byte* out, uint32_t* missing) const {
  size_t missed = 0;
  const bool mark = full_.load(std::memory_order_relaxed);
  for (size_t i = 0; i < n + kEntriesAhead; ++i) {
    if (i < n) {
      const uint64_t slot = Slot(places[i]);
      if (slot != 0) PrefetchLines(Entry(EntryOf(slot)), stride_);
    }
    if (i < kEntriesAhead) continue;
    const size_t at = i - kEntriesAhead;
    const uint64_t slot = SlotAt(places[at], keys + at * key_step);
    const std::byte* entry = slot == 0 ? nullptr : Entry(EntryOf(slot));
    if (entry != nullptr && Fresh(entry)) {
      std::atomic<bool>* asked = mark ? &asked_[EntryOf(slot)] : nullptr;
      if (asked != nullptr && !asked->load(std::memory_order_relaxed)) {
        asked->store(true, std::memory_order_relaxed);
      }
      std::memcpy(out + at * row_bytes_, entry + header_, row_bytes_);
    } else {
      missing[missed++] = static_cast<uint32_t>(at);
    }
  }
  return missed;
}

size_t RowCache::Find(const Key* keys, size_t key_step, size_t n, std::byte* out,
                      uint32_t* missing) const {
  constexpr size_t kTogether = 256;
  uint32_t places[kTogether];
  size_t missed = 0;
  const Reading reading(*this);
  if (!reading.ok()) {
    std::iota(missing, missing + n, 0u);
    return n;
  }
  for (size_t first = 0; first < n; first += kTogether) {
    const size_t some = std::min(kTogether, n - first);
    const Key* wanted = keys + first * key_step;
    Locate(wanted, key_step, some, places);
    const size_t more =
        Take(wanted, key_step, some, places, out + first * row_bytes_, missing + missed);
    for (size_t i = 0; i < more; ++i) missing[missed + i] += static_cast<uint32_t>(first);
    missed += more;
  }
  return missed;
}

size_t RowCache::Place(size_t from, uint64_t hash) const {
  for (size_t place = from & (slots_ - 1);; place = (place + 1) & (slots_ - 1)) {
    const uint64_t slot = Slot(place);
    if (slot == 0 || slot >> 32 == hash >> 32) return place;
  }
}

uint64_t RowCache::SlotAt(size_t place, const Key* keys) const {
  const uint64_t first = Slot(place);
  if (first == 0) return 0;
  if (Holds(Entry(EntryOf(first)), keys)) return first;
  const uint64_t hash = Hash(keys);
  for (;;) {
    place = Place(place + 1, hash);
    const uint64_t slot = Slot(place);
    if (slot == 0) return 0;
    if (Holds(Entry(EntryOf(slot)), keys)) return slot;
  }
}

void RowCache::Insert(const Key* keys, const std::byte* row, Stamp stamp) {
  const std::unique_lock lock(inserting_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  const uint64_t hash = Hash(keys);
  if (const uint64_t slot = SlotAt(Place(hash, hash), keys); slot != 0) {
    if (Fresh(Entry(EntryOf(slot)))) return;
    Unlink(EntryOf(slot));
  }
  size_t entry = 0;
  if (!TakeFree(&entry)) return;
  std::memcpy(Entry(entry), keys, keys_ * sizeof(Key));
  std::memcpy(Entry(entry) + keys_ * sizeof(Key), &stamp, sizeof stamp);
  std::memcpy(Entry(entry) + header_, row, row_bytes_);
  asked_[entry].store(false, std::memory_order_relaxed);
  linked_[entry] = true;
  size_t place = hash & (slots_ - 1);
  while (Slot(place) != 0) place = (place + 1) & (slots_ - 1);
  index_[place].store((hash >> 32 << 32) | (entry + 1));
  live_.fetch_add(1, std::memory_order_relaxed);
}

bool RowCache::TakeFree(size_t* entry) {
  if (used_ < capacity_) {
    *entry = used_++;
    return true;
  }
  if (limbo_size_ == 0) Evict();
  const Left& left = limbo_[limbo_first_];
  if (limbo_size_ == 0 || left.epoch >= OldestReader()) return false;
  *entry = left.entry;
  limbo_first_ = (limbo_first_ + 1) % capacity_;
  --limbo_size_;
  return true;
}

uint64_t RowCache::OldestReader() const {
  uint64_t oldest = epoch_.load();
  for (const Reader& reader : readers_) {
    const uint64_t since = reader.since.load();
    if (since != kNobody) oldest = std::min(oldest, since);
  }
  return oldest;
}

// A clock with a second chance; after kEvicted rows that all have been asked for, one goes all the same.
void RowCache::Evict() {
  full_.store(true, std::memory_order_relaxed);
  const size_t wanted = std::clamp(capacity_ / 8, size_t{1}, kEvicted);
  size_t looked = 0;
  for (size_t steps = 0; limbo_size_ < wanted && steps < 2 * capacity_; ++steps) {
    const size_t entry = hand_;
    hand_ = (hand_ + 1) % capacity_;
    if (!linked_[entry]) continue;
    if (++looked % kEvicted != 0 && asked_[entry].exchange(false, std::memory_order_relaxed)) {
      continue;
    }
    Unlink(entry);
  }
}

void RowCache::Unlink(size_t entry) {
  const auto home = [this](uint64_t slot) {
    return Hash(reinterpret_cast<const Key*>(Entry(EntryOf(slot)))) & (slots_ - 1);
  };
  size_t hole = home(entry + 1);
  while (EntryOf(Slot(hole)) != entry) hole = (hole + 1) & (slots_ - 1);
  // What stands behind moves up, so that a walk may end at the first free slot. Somebody who walks here
  // at this moment may miss a row that moves.
  for (size_t next = hole;;) {
    next = (next + 1) & (slots_ - 1);
    const uint64_t slot = Slot(next);
    if (slot == 0) break;
    if (((next - home(slot)) & (slots_ - 1)) < ((next - hole) & (slots_ - 1))) continue;
    index_[hole].store(slot);
    hole = next;
  }
  index_[hole].store(0);
  linked_[entry] = false;
  live_.fetch_sub(1, std::memory_order_relaxed);
  // Whoever reads the epoch after this does not find the entry any more.
  limbo_[(limbo_first_ + limbo_size_++) % capacity_] = {static_cast<uint32_t>(entry),
                                                        epoch_.fetch_add(1)};
}

}  // namespace heed::infer
