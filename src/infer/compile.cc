// From a ranker's layers to packed ones.
#include <algorithm>
#include <string>
#include <utility>

#include "infer/compiled_impl.h"
#include "model/mlp_block.h"

namespace heed::infer {

using kernels::Bf16;
using model::Batch;
using model::Net;

namespace {

size_t RoundUp(size_t n, size_t step) { return (n + step - 1) / step * step; }

bool Compiles(const model::Block& block) {
  return block.AsMlp() != nullptr && !block.AsMlp()->layers().empty();
}

}  // namespace

std::vector<size_t> CompiledRanker::Impl::QueryRows(size_t s) const {
  std::vector<size_t> rows;
  if (net.config.projection > 0) {
    for (size_t i = 0; i < item_inputs; ++i) rows.push_back(i);
    return rows;
  }
  for (const size_t field : layout.sequences[s].queries) {
    for (size_t i = 0; i < net.config.embedding_width; ++i) {
      rows.push_back(layout.candidate_fields[field].column + i);
    }
  }
  return rows;
}

// What the candidate's own columns give to a block's first layer.
PlainLayer CompiledRanker::Impl::OwnLayer(const model::MlpBlock& mlp) const {
  return PlainLayer::Of(mlp.layers()[0], layout.request_width + own_first, own_width,
                        mlp.norms().empty() ? nullptr : &mlp.norms()[0], &mlp.bends()[0]);
}

void CompiledRanker::Impl::FillItemLayer(PlainLayer* whole, const PlainLayer& part,
                                         size_t column) const {
  for (size_t i = 0; i < part.K; ++i) {
    std::copy_n(part.weights.data() + i * part.N, part.N,
                whole->weights.data() + i * whole->N + column);
  }
  std::copy_n(part.bias.data(), part.N, whole->bias.data() + column);
}

CompiledRanker::Impl::Impl(std::shared_ptr<const model::Ranker> from, const CompileOptions& wanted,
                           const Seen* seen)
    : ranker(std::move(from)), net(ranker->net()), layout(net.layout), options(wanted) {
  const bool int8 = options.precision == Precision::kInt8;
  const bool low = options.precision != Precision::kFp32;
  const size_t T = net.config.schema.tasks.size();
  // Tokens and items end in bf16 anyway.
  const Precision side = low && kernels::FastBf16() ? Precision::kBf16 : Precision::kFp32;
  const size_t item_row_element = low ? sizeof(Bf16) : sizeof(float);
  item_inputs = net.config.projection > 0 ? net.config.projection : layout.item_fields_width;
  own_first = item_inputs;
  own_width = layout.candidate_width - own_first;

  size_t column = 0;
  const auto take = [&](size_t columns) {
    return std::exchange(column, column + RoundUp(columns, 16));
  };
  for (size_t s = 0; s < layout.sequences.size(); ++s) {
    Sequence& sequence = sequences.emplace_back();
    const std::vector<size_t> rows = QueryRows(s);
    if (net.config.PoolOf(s).kind == model::PoolKind::kDot) {
      sequence.pool = MakeDotPool(net.attention[s], item_inputs, rows, low && kernels::FastBf16());
    } else {
      sequence.pool =
          MakeUnitPool(net.units[s], item_inputs, rows, int8 ? &seen->pools[s] : nullptr);
    }
    sequence.item_column = take(sequence.pool->item().N);
    const size_t Dt = layout.sequences[s].token_width;
    sequence.token_width = RoundUp(Dt, 16);
    if (net.config.projection > 0) {
      sequence.projects = true;
      sequence.event =
          Layer(PlainLayer::Of(net.events[s], 0, net.events[s].inputs(), nullptr, nullptr), side);
    }
    sequence.extra = Layer(sequence.pool->token(), side);
    sequence.row_width = sequence.token_width + sequence.extra.padded_N();
    sequence.kept_width = sequence.row_width;
    if (const auto encoder = net.config.PoolOf(s).encoder; encoder != model::EncoderKind::kNone) {
      sequence.encoder = &net.encoders[s];
      sequence.timed = encoder == model::EncoderKind::kTiSasRec;
      sequence.kept_width = sequence.token_width;
    }
    if (options.cached_tokens > 0) {
      sequence.cache =
          std::make_unique<RowCache>(options.cached_tokens, layout.sequences[s].tables.size(),
                                     sequence.kept_width * sizeof(float));
    }
  }
  Quantised own_inputs;
  if (int8) {
    own_inputs = Quantise(seen->own.largest, false);
    std::vector<double> squares(own_width, 0.0);
    for (const auto& block : net.blocks) {
      if (!Compiles(*block)) continue;
      const PlainLayer plain = OwnLayer(*block->AsMlp());
      for (size_t i = 0; i < plain.weights.size(); ++i) {
        const double w = static_cast<double>(plain.weights[i]);
        squares[i / plain.N] += w * w;
      }
    }
    own_copies = ChooseCopies(own_inputs, squares);
  }
  const size_t request_width = layout.request_width;
  for (size_t b = 0; b < net.blocks.size(); ++b) {
    Block& block = blocks.emplace_back();
    block.output_column = b == 0 ? 0 : blocks[b - 1].output_column + layout.outputs[b - 1];
    if (!Compiles(*net.blocks[b])) {
      block.as_trained = net.blocks[b].get();
      composes = true;
      continue;
    }
    const model::MlpBlock& mlp = *net.blocks[b]->AsMlp();
    const auto norm = [&](size_t i) { return mlp.norms().empty() ? nullptr : &mlp.norms()[i]; };
    block.request = Layer(PlainLayer::Of(mlp.layers()[0], 0, request_width, norm(0), nullptr),
                          Precision::kFp32);
    for (size_t i = 0; i < mlp.layers().size(); ++i) {
      PlainLayer plain = i == 0 ? OwnLayer(mlp)
                                : PlainLayer::Of(mlp.layers()[i], 0, mlp.layers()[i].inputs(),
                                                 norm(i), &mlp.bends()[i]);
      Quantised inputs;
      if (int8 && i == 0) {
        plain = Copied(plain, own_copies);
        inputs = Copied(own_inputs, own_copies);
      } else if (int8) {
        inputs = Quantise(seen->blocks[b][i - 1].largest, block.layers[i - 1].rectifies());
      }
      block.layers.emplace_back(plain, options.precision, inputs);
    }
    block.item_column = take(block.layers[0].N());
  }
  if (composes) vector_column = take(item_inputs);
  if (net.config.wide) wide_column = take(T);
  item_width = column;
  item_row_bytes = item_width * item_row_element;

  PlainLayer whole{.K = item_inputs, .N = item_width};
  whole.weights.assign(whole.K * whole.N, 0.0f);
  whole.bias.assign(whole.N, 0.0f);
  for (const Sequence& s : sequences) FillItemLayer(&whole, s.pool->item(), s.item_column);
  for (size_t i = 0; composes && i < item_inputs; ++i) {
    whole.weights[i * whole.N + vector_column + i] = 1.0f;
  }
  for (size_t b = 0; b < blocks.size(); ++b) {
    if (blocks[b].as_trained != nullptr) continue;
    const model::MlpBlock& mlp = *net.blocks[b]->AsMlp();
    PlainLayer part = PlainLayer::Of(mlp.layers()[0], request_width, own_first,
                                     mlp.norms().empty() ? nullptr : &mlp.norms()[0], nullptr);
    part.bias.assign(part.N, 0.0f);
    FillItemLayer(&whole, part, blocks[b].item_column);
  }
  item = Layer(whole, side);
  if (net.config.projection > 0) {
    project = Layer(PlainLayer::Of(net.item, 0, net.item.inputs(), nullptr, nullptr), side);
  }
  head = CompiledHead(net.head);
  if (options.cached_items > 0) {
    items = std::make_unique<RowCache>(options.cached_items, layout.candidate_fields.size(),
                                       item_row_bytes);
  }
}

CompiledRanker::Footprint CompiledRanker::footprint() const {
  Footprint out;
  out.item_row = impl_->item_row_bytes;
  out.shared =
      impl_->item.weights().bytes() + impl_->project.weights().bytes() + impl_->head.bytes();
  for (const Impl::Sequence& sequence : impl_->sequences) {
    out.blocks += sequence.pool->bytes();
    out.shared += sequence.event.weights().bytes() + sequence.extra.weights().bytes();
    out.token_row += sequence.kept_width * sizeof(float);
  }
  for (const nn::EmbeddingTable& table : impl_->net.tables) out.tables += table.bytes();
  for (const Impl::Block& block : impl_->blocks) {
    out.shared += block.request.weights().bytes();
    for (const Layer& layer : block.layers) out.blocks += layer.weights().bytes();
  }
  return out;
}

// Every range, as wide as what it is of.
void CompiledRanker::Impl::Shape(Seen* seen) const {
  seen->own.largest.assign(own_width, 0.0f);
  for (const Block& block : blocks) {
    std::vector<Range>& ranges = seen->blocks.emplace_back();
    for (size_t i = 0; i + 1 < block.layers.size(); ++i) {
      ranges.emplace_back().largest.assign(block.layers[i].N(), 0.0f);
    }
  }
  for (size_t s = 0; s < sequences.size(); ++s) {
    std::vector<Range>& ranges = seen->pools.emplace_back();
    for (size_t i = 0; i < sequences[s].pool->seen(); ++i) {
      ranges.emplace_back().largest.assign(net.units[s].layers[i].inputs(), 0.0f);
    }
  }
}

Result<std::vector<float>> CompiledRanker::MeasureRanges(
    std::shared_ptr<const model::Ranker> ranker, const std::vector<Batch>& calibration) {
  const Net& net = ranker->net();
  if (std::all_of(calibration.begin(), calibration.end(),
                  [](const Batch& batch) { return batch.candidates == 0; })) {
    return InvalidArgument("no candidate to calibrate on", "calibration");
  }
  const Impl plain(std::move(ranker), {}, nullptr);
  Seen seen;
  plain.Shape(&seen);
  Arena arena;
  std::vector<float> logits, ranges;
  for (const Batch& batch : calibration) {
    logits.resize(batch.candidates * net.config.schema.tasks.size());
    HEED_RETURN_IF_ERROR(plain.Run(batch, &arena, logits, &seen));
  }
  seen.Each([&](Range& range) {
    ranges.insert(ranges.end(), range.largest.begin(), range.largest.end());
  });
  return ranges;
}

// The ranges a ranker carries, by what they are of; false: they are another ranker's.
bool CompiledRanker::Impl::Spread(std::span<const float> ranges, Seen* seen) const {
  Shape(seen);
  size_t used = 0;
  seen->Each([&](Range& range) {
    for (float& largest : range.largest) {
      largest = used < ranges.size() ? ranges[used] : 0;
      ++used;
    }
  });
  return used == ranges.size();
}

Result<std::unique_ptr<CompiledRanker>> CompiledRanker::Compile(
    std::shared_ptr<const model::Ranker> ranker, const CompileOptions& options,
    const std::vector<Batch>& calibration) {
  const Net& net = ranker->net();
  std::vector<float> ranges;
  if (options.precision == Precision::kInt8) {
    ranges = net.activation_ranges;
    if (!calibration.empty()) {
      HEED_ASSIGN_OR_RETURN(ranges, MeasureRanges(ranker, calibration));
    }
    if (ranges.empty()) return InvalidArgument("int8 needs batches to calibrate on", "calibration");
  }
  Seen seen;
  if (!ranges.empty() && !Impl(ranker, {}, nullptr).Spread(ranges, &seen)) {
    return InvalidArgument("the ranges it carries are another ranker's", "calibration");
  }
  auto impl = std::make_unique<Impl>(std::move(ranker), options, &seen);
  impl->carried = std::move(ranges);
  return std::unique_ptr<CompiledRanker>(new CompiledRanker(std::move(impl)));
}

void CompiledRanker::RowsChanged(std::span<const model::Key> keys) {
  for (const model::Key key : keys) {
    if (impl_->items != nullptr) impl_->items->Changed(key);
    for (Impl::Sequence& sequence : impl_->sequences) {
      if (sequence.cache != nullptr) sequence.cache->Changed(key);
    }
  }
}

void CompiledRanker::WeightsChanged() {
  Impl& old = *impl_;
  Seen seen;
  if (!old.carried.empty()) (void)old.Spread(old.carried, &seen);
  CompileOptions options = old.options;
  options.cached_items = options.cached_tokens = 0;  // the old caches go on
  auto fresh = std::make_unique<Impl>(old.ranker, options, &seen);
  fresh->options = old.options;
  fresh->carried = std::move(old.carried);
  fresh->Inherit(&old);
  impl_ = std::move(fresh);
}

void CompiledRanker::Impl::Inherit(Impl* old) {
  items = std::move(old->items);
  if (items != nullptr) items->AllChanged();
  for (size_t s = 0; s < sequences.size(); ++s) {
    sequences[s].cache = std::move(old->sequences[s].cache);
    if (sequences[s].cache != nullptr) sequences[s].cache->AllChanged();
  }
  hits = old->hits.load();
  misses = old->misses.load();
  token_hits = old->token_hits.load();
  token_misses = old->token_misses.load();
}

}  // namespace heed::infer
