// No memory is asked for once the largest request has been seen: every operator new of the program is
// counted here, so this is a program of its own.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "infer/compiled_ranker.h"
#include "model/batch_for_test.h"

namespace {
std::atomic<size_t> allocations{0};

void* Counted(size_t size, size_t alignment) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* p = alignment <= sizeof(void*) * 2
                ? std::malloc(size)
                : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
}  // namespace

void* operator new(size_t size) { return Counted(size, 1); }
void* operator new[](size_t size) { return Counted(size, 1); }
void* operator new(size_t size, std::align_val_t a) {
  return Counted(size, static_cast<size_t>(a));
}
void* operator new[](size_t size, std::align_val_t a) {
  return Counted(size, static_cast<size_t>(a));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { std::free(p); }

namespace heed::infer {
namespace {

using kernels::Precision;

TEST(CompiledRanker, AsksForNoMemoryOnceWarm) {
  for (const model::PoolKind kind :
       {model::PoolKind::kDot, model::PoolKind::kDin, model::PoolKind::kDinSum}) {
    model::RankerConfig config = model::SmallConfig();
    config.pool.kind = kind;
    config.pool.temperature = kind == model::PoolKind::kDot;
    if (kind == model::PoolKind::kDin) config.head.kind = model::HeadKind::kPle;
    config.wide = true;
    config.links = {{"order", "click"}};
    auto made = model::Ranker::Create(config, 1);
    ASSERT_TRUE(made.ok());
    const std::shared_ptr<const model::Ranker> ranker = std::move(made).value();
    Random random(2);
    std::vector<model::Batch> batches;
    for (int i = 0; i < 6; ++i) {
      batches.push_back(model::RandomBatch(
          config.schema,
          {.requests = 3, .per_request = 200, .labels = false, .full_histories = true}, random));
    }
    for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kInt8}) {
      for (const size_t cached : {0, 100}) {
        const auto compiled = CompiledRanker::Compile(
            ranker, {.precision = precision, .cached_items = cached, .cached_tokens = cached},
            batches);
        ASSERT_TRUE(compiled.ok());
        Arena arena;
        std::vector<float> probabilities(batches[0].candidates * 2);
        const auto score = [&](const model::Batch& batch) {
          return compiled.value()->Score(batch, &arena, probabilities).ok();
        };
        // Twice: the arena joins its pieces at the start of the request after the largest.
        ASSERT_TRUE(score(batches[0]) && score(batches[0]));
        const size_t before = allocations.load();
        bool all = true;
        for (const model::Batch& batch : batches) all = score(batch) && all;
        EXPECT_EQ(allocations.load(), before)
            << kernels::PrecisionName(precision) << ", cached " << cached;
        EXPECT_TRUE(all);
        EXPECT_GT(before, 0u) << "the count does not count";
      }
    }
  }
}

}  // namespace
}  // namespace heed::infer
