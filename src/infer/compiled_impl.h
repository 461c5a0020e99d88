// The inside of the compiled ranker: compile.cc makes it, compiled_ranker.cc runs it; nobody else
// includes this.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "infer/column_copies.h"
#include "infer/compiled_head.h"
#include "infer/compiled_ranker.h"
#include "infer/layer.h"
#include "infer/pool.h"
#include "infer/row_cache.h"
#include "model/mlp_block.h"
#include "model/ranker_net.h"

namespace heed::infer {

// What calibration sees: the largest numbers of every activation that int8 stores.
struct Seen {
  Range own;                               // of the first layers' inputs
  std::vector<std::vector<Range>> blocks;  // of each block's later layers
  std::vector<std::vector<Range>> pools;   // History::seen

  // The order in which a ranker carries them.
  template <typename Visit>
  void Each(const Visit& visit) {
    visit(own);
    for (auto* parts : {&blocks, &pools}) {
      for (std::vector<Range>& part : *parts) {
        for (Range& range : part) visit(range);
      }
    }
  }
};

struct CompiledRanker::Impl {
  struct Sequence {
    std::unique_ptr<Pool> pool;
    bool projects = false;
    Layer event;  // [K d] -> token, with a projection
    Layer extra;  // token -> Pool::token()
    // Of the whole history at once, between the two: what is kept of a token is then the token alone.
    const nn::Encoder* encoder = nullptr;
    bool timed = false;      // the encoder asks when
    size_t token_width = 0;  // columns of the token itself in its row, to 16
    size_t row_width = 0, kept_width = 0;
    size_t item_column = 0;           // of the pool's part of an item row
    std::unique_ptr<RowCache> cache;  // null: none
  };
  struct Block {
    // One that is no MLP runs as it was trained, in fp32, on rows put together for it.
    const model::Block* as_trained = nullptr;
    Layer request;  // the request's share of the first layer
    std::vector<Layer> layers;
    size_t item_column = 0;  // of the item's share of the first layer
    size_t output_column = 0;
  };

  Impl(std::shared_ptr<const model::Ranker> from, const CompileOptions& wanted, const Seen* seen);

  void FillItemLayer(PlainLayer* item, const PlainLayer& part, size_t column) const;
  std::vector<size_t> QueryRows(size_t s) const;
  void Shape(Seen* seen) const;
  bool Spread(std::span<const float> ranges, Seen* seen) const;
  void Inherit(Impl* old);  // caches, emptied, and counts
  PlainLayer OwnLayer(const model::MlpBlock& mlp) const;

  struct Call;  // one request on its way
  Status Run(const model::Batch& batch, Arena* arena, std::span<float> logits, Seen* see) const;
  void Request(const model::Batch& batch, size_t r, Call* call, Arena* arena) const;
  void Numerics(const model::Batch& batch, model::Side side, size_t row, float* out) const;
  void Tokens(const model::Batch& batch, size_t s, size_t first, History* history,
              Arena* arena) const;
  void TokenRows(size_t s, const model::Key* keys, const uint32_t* which, size_t n, float* out,
                 Arena* arena) const;
  ItemRows Items(const model::Batch& batch, size_t first, size_t n, Arena* arena) const;
  void ItemRowsOf(const model::Key* keys, const uint32_t* which, size_t n, std::byte* out,
                  Arena* arena) const;
  void AddExtra(const Sequence& sequence, size_t n, float* rows, Arena* arena) const;
  void Encode(const model::SequenceBatch& sequence, size_t s, size_t first, size_t L,
              const float* raw, float* rows) const;
  void Compose(const Call& call, const ItemRows& rows, const float* own, size_t own_stride,
               size_t n, model::BlockInput* in, Arena* arena) const;
  void Candidates(const model::Batch& batch, const Call& call, size_t first, size_t n,
                  float* logits, Seen* see, Arena* arena) const;

  std::shared_ptr<const model::Ranker> ranker;
  const model::Net& net;
  const model::Layout& layout;
  CompileOptions options;
  std::vector<float> carried;  // kInt8: the ranges that Seen was spread from
  std::vector<Sequence> sequences;
  std::vector<Block> blocks;
  Layer project;  // candidate's fields -> item vector, with a projection
  Layer item;     // item vector -> item row
  CompiledHead head;
  size_t item_inputs = 0;  // I
  size_t wide_column = 0, item_width = 0, item_row_bytes = 0;
  bool composes =
      false;  // for blocks as they were trained: the item vector lies in the item row, too
  size_t vector_column = 0;
  size_t own_first = 0, own_width = 0;  // columns of x_candidate that are not the item vector
  ColumnCopies own_copies;              // of them, for int8
  std::unique_ptr<RowCache> items;      // null: none
  mutable std::atomic<uint64_t> hits{0}, misses{0};  // of items
  mutable std::atomic<uint64_t> token_hits{0}, token_misses{0};
};

// One request's share, in the arena.
struct CompiledRanker::Impl::Call {
  float* x = nullptr;               // [Ir to 16]
  std::vector<History>* histories;  // one a sequence
  float* const* first = nullptr;    // of each block: the request's share of layer one, and bias
  const float* wide = nullptr;      // [T]
};

}  // namespace heed::infer
