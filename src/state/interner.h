// Text ids to dense numbers, in the order of first sight, and back.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "state/stable_vector.h"
#include "state/state.h"

namespace heed::state {

// One thread inserts; any thread finds and names, without locks. Names are never removed.
// Memory: 24 bytes a name, its text, and 8 bytes a slot at 35-70 % load (twice that while and after
// growing, as a reader may still be in an older table).
class Interner {
 public:
  Interner();

  // `key` is State::KeyOf of the same tenant and id.
  Index Find(uint32_t tenant, uint64_t key, std::string_view id) const;
  // The caller has found it absent.
  Index Insert(uint32_t tenant, uint64_t key, std::string_view id);

  uint32_t size() const { return names_.size(); }
  // index < size()
  std::string_view id(Index index) const { return {names_[index].text, names_[index].size}; }
  uint32_t tenant(Index index) const { return names_[index].tenant; }
  uint64_t key(Index index) const { return names_[index].key; }

 private:
  struct Name {
    const char* text;
    uint32_t size;
    uint32_t tenant;
    uint64_t key;
  };
  // Open addressing, linear probes. A slot is the upper half of the key over index + 1; 0 is free.
  struct Table {
    explicit Table(size_t capacity);
    void Put(uint64_t key, Index index) const;
    size_t mask;
    std::unique_ptr<std::atomic<uint64_t>[]> slots;
  };

  const char* Keep(std::string_view text);

  StableVector<Name> names_;
  std::atomic<Table*> table_;
  std::vector<std::unique_ptr<Table>> tables_;   // the last is in use, the others may be read still
  std::vector<std::unique_ptr<char[]>> blocks_;  // of text
  size_t block_left_ = 0;
};

}  // namespace heed::state
