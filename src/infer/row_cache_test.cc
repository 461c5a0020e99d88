#include "infer/row_cache.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "base/random.h"

namespace heed::infer {
namespace {

constexpr size_t kKeys = 3, kBytes = 40;

std::vector<RowCache::Key> KeysOf(uint64_t id) { return {id, id * 7, 3}; }
std::vector<std::byte> RowOf(uint64_t id) {
  std::vector<std::byte> row(kBytes);
  for (size_t i = 0; i < kBytes; ++i) row[i] = static_cast<std::byte>(id * 13 + i);
  return row;
}

// Asks for ids; every row found must be the id's own. Returns those not found.
std::vector<uint64_t> Missing(const RowCache& cache, const std::vector<uint64_t>& ids) {
  std::vector<RowCache::Key> keys;
  for (const uint64_t id : ids) {
    for (const auto key : KeysOf(id)) keys.push_back(key);
  }
  std::vector<std::byte> out(ids.size() * kBytes);
  std::vector<uint32_t> missing(ids.size());
  missing.resize(cache.Find(keys.data(), kKeys, ids.size(), out.data(), missing.data()));
  std::vector<uint64_t> result;
  for (const uint32_t i : missing) result.push_back(ids[i]);
  size_t next = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (next < missing.size() && missing[next] == i) {
      ++next;
      continue;
    }
    EXPECT_EQ(0, std::memcmp(out.data() + i * kBytes, RowOf(ids[i]).data(), kBytes));
  }
  return result;
}

TEST(RowCache, FindsWhatWasInserted) {
  RowCache cache(1000, kKeys, kBytes);
  std::vector<uint64_t> in, out, all;
  for (uint64_t id = 1; id <= 1000; ++id) {
    if (id % 3 == 0) {
      out.push_back(id);
    } else {
      in.push_back(id);
    }
  }
  for (const uint64_t id : in) cache.Insert(KeysOf(id).data(), RowOf(id).data(), 0);
  for (const uint64_t id : in) cache.Insert(KeysOf(id).data(), RowOf(id).data(), 0);
  EXPECT_EQ(cache.entries(), in.size());
  for (uint64_t id = 1; id <= 1000; ++id) all.push_back(id);
  EXPECT_EQ(Missing(cache, all), out);
  // Fewer than the lookups in flight, and round their number.
  std::vector<uint64_t> some;
  for (const uint64_t id : in) {
    some.push_back(id);
    EXPECT_EQ(Missing(cache, some).size(), 0u);
    if (some.size() > 40) break;
  }
}

TEST(RowCache, FullKeepsWhatIsAskedFor) {
  RowCache cache(100, kKeys, kBytes);
  const auto insert = [&](uint64_t id) {
    cache.Insert(KeysOf(id).data(), RowOf(id).data(), cache.Now());
  };
  std::vector<uint64_t> dear;
  for (uint64_t id = 1; id <= 20; ++id) dear.push_back(id);
  for (const uint64_t id : dear) insert(id);
  size_t missed = 0;
  for (uint64_t id = 1000; id < 3000; ++id) {
    insert(id);
    ASSERT_EQ(Missing(cache, {id}).size(), 0u) << "the newest is there";
    for (const uint64_t missing : Missing(cache, dear)) {
      ++missed;
      insert(missing);
    }
    ASSERT_LE(cache.entries(), 100u);
  }
  // First in, first out would have missed all 20 each 80 insertions, 500 times.
  EXPECT_LT(missed, 100u);
  EXPECT_GT(cache.entries(), 80u);
  EXPECT_GT(Missing(cache, {1000, 1001, 1002}).size(), 0u);
}

TEST(RowCache, OneRowOfRoom) {
  RowCache cache(1, kKeys, kBytes);
  for (uint64_t id = 1; id <= 5; ++id) {
    cache.Insert(KeysOf(id).data(), RowOf(id).data(), cache.Now());
    EXPECT_EQ(Missing(cache, {id}).size(), 0u);
    EXPECT_EQ(Missing(cache, {id - 1, id + 1}).size(), 2u);
  }
}

TEST(RowCache, ChangedRowsAreNotFound) {
  RowCache cache(1000, kKeys, kBytes);
  std::vector<uint64_t> all;
  for (uint64_t id = 1; id <= 500; ++id) all.push_back(id);
  const auto insert = [&](uint64_t id, RowCache::Stamp stamp) {
    cache.Insert(KeysOf(id).data(), RowOf(id).data(), stamp);
  };
  const RowCache::Stamp before = cache.Now();
  for (const uint64_t id : all) insert(id, before);
  cache.Changed(KeysOf(500)[1]);
  EXPECT_EQ(Missing(cache, all), std::vector<uint64_t>{500});
  insert(500, before);  // computed from what there was before
  EXPECT_EQ(Missing(cache, all), std::vector<uint64_t>{500});
  insert(500, cache.Now());
  EXPECT_EQ(Missing(cache, all).size(), 0u);
  EXPECT_EQ(cache.entries(), 500u);
  cache.Changed(3);  // a key of all
  EXPECT_EQ(Missing(cache, all).size(), 500u);
  for (const uint64_t id : all) insert(id, cache.Now());
  EXPECT_EQ(Missing(cache, all).size(), 0u);
  cache.AllChanged();
  EXPECT_EQ(Missing(cache, all).size(), 500u);
  for (const uint64_t id : all) insert(id, cache.Now());
  EXPECT_EQ(Missing(cache, all).size(), 0u);
  EXPECT_EQ(cache.entries(), 500u);
}

// Every entry is found, whatever left the index before it and wherever it stood.
TEST(RowCache, GivingUpARowLosesNoOther) {
  RowCache cache(60, kKeys, kBytes);
  std::vector<uint64_t> all;
  for (uint64_t id = 1; id <= 120; ++id) all.push_back(id);
  Random random(3);
  for (int i = 0; i < 3000; ++i) {
    const uint64_t id = 1 + random.Below(120);
    cache.Insert(KeysOf(id).data(), RowOf(id).data(), cache.Now());
    ASSERT_EQ(Missing(cache, {id}).size(), 0u);
    ASSERT_EQ(Missing(cache, all).size(), 120 - cache.entries());
    ASSERT_TRUE(i < 500 || cache.entries() > 50);
  }
}

// A row says when it was computed; one computed before a change is not found after it. Small enough to
// be full, so that entries are filled again while others read.
TEST(RowCache, ThreadsReplaceWhileOthersFind) {
  constexpr uint64_t kIds = 300;
  RowCache cache(100, kKeys, kBytes);
  // What a row is computed from, and what it is at least once a change has been announced.
  std::array<std::atomic<uint64_t>, kIds> values{}, announced{};
  for (uint64_t id = 0; id < kIds; ++id) values[id] = announced[id] = id * 1'000'000;
  std::atomic<uint64_t> found{0}, wrong{0};
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Random random(t);
      std::vector<std::byte> out(8 * kBytes), row(kBytes);
      std::vector<uint32_t> missing(8);
      for (int i = 0; i < 4000; ++i) {
        std::vector<RowCache::Key> keys;
        std::array<uint64_t, 8> ids{}, least{};
        for (size_t k = 0; k < 8; ++k) {
          ids[k] = random.Below(kIds);
          for (const auto key : KeysOf(ids[k] + 1)) keys.push_back(key);
          least[k] = announced[ids[k]].load();
        }
        const RowCache::Stamp stamp = cache.Now();
        const size_t missed = cache.Find(keys.data(), kKeys, 8, out.data(), missing.data());
        for (size_t k = 0, next = 0; k < 8; ++k) {
          if (next < missed && missing[next] == k) {
            ++next;
            const uint64_t now = values[ids[k]].load();
            for (size_t at = 0; at < kBytes; at += 8) std::memcpy(row.data() + at, &now, 8);
            cache.Insert(keys.data() + k * kKeys, row.data(), stamp);
            continue;
          }
          uint64_t first = 0, last = 0;
          std::memcpy(&first, out.data() + k * kBytes, 8);
          std::memcpy(&last, out.data() + (k + 1) * kBytes - 8, 8);
          found.fetch_add(1);
          if (first != last || first < least[k] || first / 1'000'000 != ids[k]) wrong.fetch_add(1);
        }
        if (t == 0 && i % 4 == 0) {
          const uint64_t id = random.Below(kIds);
          const uint64_t now = values[id].fetch_add(1) + 1;
          cache.Changed(KeysOf(id + 1)[0]);
          announced[id] = now;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_GT(found.load(), 100u);  // how many depends on how the threads take turns
  EXPECT_LE(cache.entries(), 100u);
}

TEST(RowCache, ThreadsInsertAndFind) {
  RowCache cache(5000, kKeys, kBytes);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&cache, t] {
      Random random(t);
      for (int i = 0; i < 5000; ++i) {
        const uint64_t id = 1 + random.Below(3000);
        for (const uint64_t missing : Missing(cache, {id, id + 1})) {
          cache.Insert(KeysOf(missing).data(), RowOf(missing).data(), cache.Now());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(cache.entries(), 2000u);
}

}  // namespace
}  // namespace heed::infer
