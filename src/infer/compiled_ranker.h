// The ranker made ready for serving: every weight packed once, everything that does not depend on the
// candidate computed once a request, everything that depends on nothing but the candidate looked up.
//
// Letters: R requests, N candidates, T tasks, I item vector.
//
// A candidate's part that knows nothing of the request is linear in its item vector: the queries of
// all histories and its share of each block's first layer. These lie side by side in its *item row*,
//   [query of history 0 | query of history 1 | ... | first layer of block 0 | ... | wide],
// computed by one product, and kept in a cache where there is room (row_cache.h). What remains for a
// candidate is attention, the share of its own numbers and of what attention took in the first layer,
// and the later layers.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "infer/arena.h"
#include "kernels/product.h"
#include "model/ranker.h"

namespace heed::infer {

struct CompileOptions {
  // fp32: the ranker's numbers up to rounding. bf16, int8: weights and activations of the blocks (and
  // of an activation unit) in that precision, item rows in bf16; softmax, sums and the head in fp32.
  kernels::Precision precision = kernels::Precision::kFp32;
  size_t cached_items = 0;   // item rows kept, at most; 0: none
  size_t cached_tokens = 0;  // keys and values of tokens kept, at most
};

class CompiledRanker {
 public:
  // Takes the ranker over: its tables are read where they lie, so nobody may train it any more.
  // `calibration`: batches as they will be served, for kInt8 (a few hundred requests are enough; they
  // set the ranges of stored activations); without, the ranges the ranker carries. kInvalidArgument
  // when it carries none. What has no form of its own (encoders, blocks other than an MLP) runs within
  // the compiled ranker as it was trained, in fp32.
  static Result<std::unique_ptr<CompiledRanker>> Compile(
      std::shared_ptr<const model::Ranker> ranker, const CompileOptions& options,
      const std::vector<model::Batch>& calibration = {});
  // The ranges that `calibration` shows, for Ranker::SetActivationRanges.
  static Result<std::vector<float>> MeasureRanges(std::shared_ptr<const model::Ranker> ranker,
                                                  const std::vector<model::Batch>& calibration);
  ~CompiledRanker();

  // After somebody has changed the ranker's weights, while no other call is under way: rows of its
  // tables with these keys, or anything else. Cached rows that they were part of are computed anew; int8
  // keeps the ranges it was compiled with.
  void RowsChanged(std::span<const model::Key> keys);
  void WeightsChanged();

  // probabilities [N, T], calibrated; logits the same without the calibration. Thread-safe, with one
  // arena a thread; takes no memory but the arena's after the largest request (but for what runs as it
  // was trained). `batch` must Validate.
  Status Score(const model::Batch& batch, Arena* arena, std::span<float> probabilities) const;
  Status Logits(const model::Batch& batch, Arena* arena, std::span<float> logits) const;

  const CompileOptions& options() const;
  const model::Ranker& ranker() const;
  struct CacheUse {
    uint64_t hits = 0, misses = 0, entries = 0, bytes = 0;
  };
  CacheUse items() const;
  CacheUse tokens() const;  // of all histories together

  // What it takes in memory, in bytes; caches are as full as options allow.
  struct Footprint {
    uint64_t blocks = 0;     // weights of the blocks and of activation units, in `precision`
    uint64_t shared = 0;     // weights used once a request or once an item, in fp32
    uint64_t item_row = 0;   // of one cached item
    uint64_t token_row = 0;  // of one cached token, all histories together
    uint64_t tables = 0;     // of the ranker's embedding tables
  };
  Footprint footprint() const;

 private:
  struct Impl;
  explicit CompiledRanker(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed::infer
