#include "state/interner.h"

#include <algorithm>
#include <cstring>

namespace heed::state {
namespace {

constexpr size_t kFirstCapacity = 1024;
constexpr size_t kBlockBytes = 64 * 1024;

}  // namespace

Interner::Table::Table(size_t capacity)
    : mask(capacity - 1), slots(std::make_unique<std::atomic<uint64_t>[]>(capacity)) {}

void Interner::Table::Put(uint64_t key, Index index) const {
  size_t at = key & mask;
  while (slots[at].load(std::memory_order_relaxed) != 0) at = (at + 1) & mask;
  const uint64_t slot = (key >> 32 << 32) | (uint64_t{index} + 1);
  slots[at].store(slot, std::memory_order_release);  // after the name it points to
}

Interner::Interner() {
  tables_.push_back(std::make_unique<Table>(kFirstCapacity));
  table_.store(tables_.back().get(), std::memory_order_release);
}

Index Interner::Find(uint32_t tenant, uint64_t key, std::string_view id) const {
  const Table& table = *table_.load(std::memory_order_acquire);
  for (size_t at = key & table.mask;; at = (at + 1) & table.mask) {
    const uint64_t slot = table.slots[at].load(std::memory_order_acquire);
    if (slot == 0) return kNone;
    if ((slot ^ key) >> 32 != 0) continue;
    const auto index = static_cast<Index>(slot - 1);
    const Name& name = names_[index];
    if (name.key == key && name.tenant == tenant && std::string_view(name.text, name.size) == id) {
      return index;
    }
  }
}

Index Interner::Insert(uint32_t tenant, uint64_t key, std::string_view id) {
  const Index index = names_.size();
  names_.Emplace(Name{Keep(id), static_cast<uint32_t>(id.size()), tenant, key});
  Table* table = table_.load(std::memory_order_relaxed);
  if ((index + size_t{1}) * 10 > (table->mask + 1) * 7) {
    tables_.push_back(std::make_unique<Table>((table->mask + 1) * 2));
    table = tables_.back().get();
    for (Index i = 0; i <= index; ++i) table->Put(names_[i].key, i);
    table_.store(table, std::memory_order_release);
  } else {
    table->Put(key, index);
  }
  return index;
}

const char* Interner::Keep(std::string_view text) {
  if (text.empty()) return "";
  if (text.size() > block_left_) {
    block_left_ = std::max(kBlockBytes, text.size());
    blocks_.push_back(std::make_unique<char[]>(block_left_));
  }
  // A block is filled from its end, so that its start need not be kept.
  block_left_ -= text.size();
  char* at = blocks_.back().get() + block_left_;
  std::memcpy(at, text.data(), text.size());
  return at;
}

}  // namespace heed::state
