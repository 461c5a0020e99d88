#include "infer/compiled_ranker.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "infer/compiled_impl.h"
#include "kernels/denormals.h"
#include "kernels/table.h"
#include "nn/esmm.h"
#include "nn/loss.h"

namespace heed::infer {

using kernels::Bf16;
using model::Batch;
using model::Key;
using model::Layout;
using model::Net;

namespace {

// Candidates that pass all stages together: their rows stay in the second cache. A multiple of 12 and
// of 32, the rows of a tile and the lanes of attention.
constexpr size_t kChunk = 96;

size_t RoundUp(size_t n, size_t step) { return (n + step - 1) / step * step; }

}  // namespace

void CompiledRanker::Impl::Numerics(const Batch& batch, model::Side side, size_t row,
                                    float* out) const {
  const bool request = side == model::Side::kRequest;
  const auto& raw = request ? batch.request_numerics : batch.candidate_numerics;
  const size_t columns = request ? layout.request_numerics : layout.candidate_numerics;
  size_t j = 0;
  for (size_t i = 0; i < net.config.schema.numerics.size(); ++i) {
    if (net.config.schema.numerics[i].side != side) continue;
    const float value = raw[row * columns + j];
    const bool missing = std::isnan(value);
    const float clip = net.config.numeric_clip;
    const float z = (value - net.numeric_mean[i]) * (1.0f / net.numeric_deviation[i]);
    out[2 * j] = missing ? 0.0f : std::clamp(z, -clip, clip);
    out[2 * j + 1] = missing ? 1.0f : 0.0f;
    ++j;
  }
}

// Rows of the tokens `which` (all, when null) of a sequence, whose keys begin at `keys`.
void CompiledRanker::Impl::TokenRows(size_t s, const Key* keys, const uint32_t* which, size_t n,
                                     float* out, Arena* arena) const {
  const Sequence& sequence = sequences[s];
  const std::vector<size_t>& tables = layout.sequences[s].tables;
  const size_t parts = tables.size(), d = net.config.embedding_width;
  if (which != nullptr) {
    Key* some = arena->Take<Key>(n * parts);
    for (size_t i = 0; i < n; ++i) std::copy_n(keys + which[i] * parts, parts, some + i * parts);
    keys = some;
  }
  const size_t width = parts * d;
  float* raw = sequence.projects ? arena->Take<float>(n * width) : out;
  const size_t stride = sequence.projects ? width : sequence.kept_width;
  for (size_t k = 0; k < parts; ++k) {
    net.tables[tables[k]].LookUp(keys + k, parts, {raw + k * d, n, d, stride});
  }
  if (sequence.projects) {
    sequence.event.Run(sequence.event.Convert(raw, stride, n, arena), n,
                       {.out = {out, sequence.kept_width}}, arena);
  }
  if (sequence.encoder == nullptr) AddExtra(sequence, n, out, arena);
}

// The pool's part of each row, behind its token.
void CompiledRanker::Impl::AddExtra(const Sequence& sequence, size_t n, float* rows,
                                    Arena* arena) const {
  sequence.extra.Run(sequence.extra.Convert(rows, sequence.row_width, n, arena), n,
                     {.out = {rows + sequence.token_width, sequence.row_width}}, arena);
}

// Tokens as they are kept -> tokens of rows, by the history's encoder.
void CompiledRanker::Impl::Encode(const model::SequenceBatch& sequence, size_t s, size_t first,
                                  size_t L, const float* raw, float* rows) const {
  if (L == 0) return;
  const Sequence& own = sequences[s];
  const size_t width = layout.sequences[s].token_width;
  thread_local nn::EncoderTape tape;
  thread_local std::vector<double> times;
  times.clear();
  for (size_t l = 0; own.timed && l < L; ++l) {
    times.push_back(-static_cast<double>(sequence.age_s[first + l]));
  }
  const uint32_t offsets[] = {0, static_cast<uint32_t>(L)};
  own.encoder->Forward(
      {.rows = {raw, L, width, own.kept_width}, .offsets = offsets, .excluded = {}, .times = times},
      nullptr, &tape, {rows, L, width, own.row_width});
  for (size_t l = 0; l < L; ++l) {
    std::fill(rows + l * own.row_width + width, rows + l * own.row_width + own.token_width, 0.0f);
  }
}

void CompiledRanker::Impl::Tokens(const Batch& batch, size_t s, size_t first, History* history,
                                  Arena* arena) const {
  const Sequence& sequence = sequences[s];
  const size_t L = history->L, parts = layout.sequences[s].tables.size();
  const Key* keys = batch.sequences[s].keys.data() + first * parts;
  float* rows = arena->Take<float>(L * sequence.row_width);
  float* kept = sequence.encoder == nullptr ? rows : arena->Take<float>(L * sequence.kept_width);
  history->rows = rows;
  history->stride = sequence.row_width;
  history->extra = rows + sequence.token_width;
  float* log_age = arena->Take<float>(L);
  for (size_t l = 0; l < L; ++l) {
    log_age[l] = std::log1p(batch.sequences[s].age_s[first + l] / net.config.age_scale_s);
  }
  history->log_age = log_age;
  if (sequence.cache == nullptr) {
    TokenRows(s, keys, nullptr, L, kept, arena);
  } else {
    auto* missing = arena->Take<uint32_t>(L);
    const RowCache::Stamp stamp = sequence.cache->Now();
    const size_t n =
        sequence.cache->Find(keys, parts, L, reinterpret_cast<std::byte*>(kept), missing);
    token_hits.fetch_add(L - n, std::memory_order_relaxed);
    if (n > 0) {
      token_misses.fetch_add(n, std::memory_order_relaxed);
      float* fresh = arena->Take<float>(n * sequence.kept_width);
      TokenRows(s, keys, missing, n, fresh, arena);
      for (size_t i = 0; i < n; ++i) {
        const float* row = fresh + i * sequence.kept_width;
        std::copy_n(row, sequence.kept_width, kept + missing[i] * sequence.kept_width);
        sequence.cache->Insert(keys + missing[i] * parts, reinterpret_cast<const std::byte*>(row),
                               stamp);
      }
    }
  }
  if (sequence.encoder != nullptr) {
    Encode(batch.sequences[s], s, first, L, kept, rows);
    AddExtra(sequence, L, rows, arena);
  }
  sequence.pool->Prepare(history, arena);
}

void CompiledRanker::Impl::Request(const Batch& batch, size_t r, Call* call, Arena* arena) const {
  const size_t d = net.config.embedding_width, T = net.config.schema.tasks.size();
  const size_t width = layout.request_width;
  call->x = arena->Take<float>(RoundUp(width, 16));
  float* wide = arena->Take<float>(T);
  std::fill_n(wide, T, 0.0f);
  const size_t fields = layout.request_fields.size();
  for (size_t f = 0; f < fields; ++f) {
    const nn::EmbeddingTable& table = net.tables[layout.request_fields[f].table];
    uint32_t row = 0;
    table.Rows(&batch.request_keys[r * fields + f], 1, 1, &row, 1);
    table.Gather(&row, 1, 0, {call->x + layout.request_fields[f].column, 1, d, d});
    if (net.config.wide) {
      for (size_t t = 0; t < T; ++t) wide[t] += table.Tail(row)[t];
    }
  }
  Numerics(batch, model::Side::kRequest, r, call->x + layout.request_numerics_column);
  if (net.config.wide) {
    for (size_t i = 0; i < 2 * layout.request_numerics; ++i) {
      const float z = call->x[layout.request_numerics_column + i];
      for (size_t t = 0; t < T; ++t) wide[t] += z * net.wide_request.value.Row(i)[t];
    }
  }
  call->wide = wide;
  for (size_t s = 0; s < sequences.size(); ++s) {
    const Layout::Sequence& where = layout.sequences[s];
    const model::SequenceBatch& sequence = batch.sequences[s];
    History& history = (*call->histories)[s];
    history.L = sequence.offsets[r + 1] - sequence.offsets[r];
    if (net.config.PoolOf(s).temperature) {
      float* inverse = arena->Take<float>(where.heads);
      net.temperatures[s].ForwardRow(call->x, inverse);
      history.inverse_temperature = inverse;
    }
    Tokens(batch, s, sequence.offsets[r], &history, arena);
    call->x[where.length_column] = std::log1p(static_cast<float>(history.L));
    if (!net.config.mean_pool) continue;
    float* mean = call->x + where.mean_column;
    std::fill_n(mean, where.token_width, 0.0f);
    const float share = 1.0f / static_cast<float>(history.L + 1);
    for (size_t l = 0; l < history.L; ++l) {
      kernels::Active().axpy(share, history.rows + l * history.stride, mean, where.token_width);
    }
  }
  auto** first = arena->Take<float*>(blocks.size());
  for (size_t b = 0; b < blocks.size(); ++b) {
    first[b] = nullptr;
    if (blocks[b].as_trained != nullptr) continue;
    first[b] = arena->Take<float>(blocks[b].request.padded_N());
    blocks[b].request.Run(
        {call->x, RoundUp(width, 16)}, 1,
        {.bias = blocks[b].layers[0].bias(), .out = {first[b], blocks[b].request.padded_N()}},
        arena);
  }
  call->first = first;
}

// Item rows of the candidates `which` (all, when null), whose keys begin at `keys`.
void CompiledRanker::Impl::ItemRowsOf(const Key* keys, const uint32_t* which, size_t n,
                                      std::byte* out, Arena* arena) const {
  const size_t fields = layout.candidate_fields.size(), d = net.config.embedding_width;
  const size_t T = net.config.schema.tasks.size();
  if (which != nullptr) {
    Key* some = arena->Take<Key>(n * fields);
    for (size_t i = 0; i < n; ++i) {
      std::copy_n(keys + which[i] * fields, fields, some + i * fields);
    }
    keys = some;
  }
  const size_t width = layout.item_fields_width;
  float* x = arena->Take<float>(n * width);
  float* wide = net.config.wide ? arena->Take<float>(n * T) : nullptr;
  if (wide != nullptr) std::fill_n(wide, n * T, 0.0f);
  for (size_t f = 0; f < fields; ++f) {
    const nn::EmbeddingTable& table = net.tables[layout.candidate_fields[f].table];
    table.LookUp(keys + f, fields, {x + layout.candidate_fields[f].column, n, d, width});
    for (size_t i = 0; wide != nullptr && i < n; ++i) {
      uint32_t row = 0;
      table.Rows(keys + i * fields + f, 1, 1, &row, 1);
      for (size_t t = 0; t < T; ++t) wide[i * T + t] += table.Tail(row)[t];
    }
  }
  size_t stride = width;
  if (net.config.projection > 0) {
    float* projected = arena->Take<float>(n * project.padded_N());
    project.Run(project.Convert(x, width, n, arena), n, {.out = {projected, project.padded_N()}},
                arena);
    x = projected;
    stride = project.padded_N();
  }
  const bool low = options.precision != Precision::kFp32;
  item.Run(item.Convert(x, stride, n, arena), n,
           {.out = {out, item_width}, .out_precision = low ? Precision::kBf16 : Precision::kFp32},
           arena);
  for (size_t i = 0; wide != nullptr && i < n; ++i) {
    for (size_t t = 0; t < T; ++t) {
      const size_t at = i * item_width + wide_column + t;
      if (low) {
        reinterpret_cast<Bf16*>(out)[at] = kernels::ToBf16(wide[i * T + t]);
      } else {
        reinterpret_cast<float*>(out)[at] = wide[i * T + t];
      }
    }
  }
}

ItemRows CompiledRanker::Impl::Items(const Batch& batch, size_t first, size_t n,
                                     Arena* arena) const {
  const size_t fields = layout.candidate_fields.size();
  const Key* keys = batch.candidate_keys.data() + first * fields;
  auto* out = arena->Take<std::byte>(n * item_row_bytes);
  if (items == nullptr) {
    ItemRowsOf(keys, nullptr, n, out, arena);
  } else {
    auto* missing = arena->Take<uint32_t>(n);
    const RowCache::Stamp stamp = items->Now();
    const size_t missed = items->Find(keys, fields, n, out, missing);
    hits.fetch_add(n - missed, std::memory_order_relaxed);
    if (missed > 0) {
      misses.fetch_add(missed, std::memory_order_relaxed);
      auto* fresh = arena->Take<std::byte>(missed * item_row_bytes);
      ItemRowsOf(keys, missing, missed, fresh, arena);
      for (size_t i = 0; i < missed; ++i) {
        const std::byte* row = fresh + i * item_row_bytes;
        std::memcpy(out + missing[i] * item_row_bytes, row, item_row_bytes);
        items->Insert(keys + missing[i] * fields, row, stamp);
      }
    }
  }
  ItemRows rows{.stride = item_width};
  if (options.precision == Precision::kFp32) {
    rows.fp32 = reinterpret_cast<const float*>(out);
  } else {
    rows.bf16 = reinterpret_cast<const Bf16*>(out);
  }
  return rows;
}

// The request's and each candidate's columns as the ranker itself has them.
void CompiledRanker::Impl::Compose(const Call& call, const ItemRows& rows, const float* own,
                                   size_t own_stride, size_t n, model::BlockInput* in,
                                   Arena* arena) const {
  const model::BlockShape& shape = layout.shape;
  const size_t Ir = shape.request_width, Ic = shape.candidate_width;
  float* x = arena->Take<float>(n * Ic);
  for (size_t i = 0; i < n; ++i) {
    const ItemRows vector = rows.From(i, vector_column);
    if (vector.fp32 != nullptr) {
      std::copy_n(vector.fp32, item_inputs, x + i * Ic);
    } else {
      kernels::ActiveProducts().from_bf16(vector.bf16, item_inputs, x + i * Ic);
    }
    std::copy_n(own + i * own_stride, own_width, x + i * Ic + own_first);
  }
  thread_local std::vector<uint32_t> request_of;
  request_of.assign(n, 0);
  in->request = {call.x, 1, Ir, Ir};
  in->candidate = {x, n, Ic, Ic};
  in->request_of = &request_of;
  const auto join = [&](size_t of_request, size_t of_candidate) -> nn::ConstMat {
    const size_t width = of_request + of_candidate;
    float* joined = arena->Take<float>(n * width);
    for (size_t i = 0; i < n; ++i) {
      std::copy_n(call.x, of_request, joined + i * width);
      std::copy_n(x + i * Ic, of_candidate, joined + i * width + of_request);
    }
    return {joined, n, width, width};
  };
  const auto any = [&](auto reads) {
    return std::any_of(blocks.begin(), blocks.end(), [&](const Block& block) {
      return block.as_trained != nullptr && reads(*block.as_trained);
    });
  };
  if (any([](const model::Block& block) { return block.reads_joined(); }))
    in->joined = join(Ir, Ic);
  if (any([](const model::Block& block) { return block.reads_fields(); })) {
    in->fields =
        join(shape.request_fields * shape.field_width, shape.candidate_fields * shape.field_width);
  }
}

void CompiledRanker::Impl::Candidates(const Batch& batch, const Call& call, size_t first, size_t n,
                                      float* logits, Seen* see, Arena* arena) const {
  const size_t T = net.config.schema.tasks.size();
  const ItemRows rows = Items(batch, first, n, arena);
  const size_t stride = RoundUp(own_width + own_copies.copies.size(), 16);
  float* own = arena->Take<float>(n * stride);
  for (size_t i = 0; i < n; ++i) {
    Numerics(batch, model::Side::kCandidate, first + i,
             own + i * stride + layout.candidate_numerics_column - own_first);
  }
  for (size_t s = 0; s < sequences.size(); ++s) {
    const Layout::Sequence& where = layout.sequences[s];
    sequences[s].pool->Attend((*call.histories)[s], rows.From(0, sequences[s].item_column), n,
                              own + where.out_column - own_first,
                              own + where.evidence_column - own_first, stride, arena);
  }
  if (see != nullptr) see->own.See(own, n, own_width, stride);
  own_copies.Fill(own, n, stride);

  const size_t outputs = RoundUp(layout.output_width, 16) + 16;
  float* z = arena->Take<float>(n * outputs);
  model::BlockInput composed;
  if (composes) Compose(call, rows, own, stride, n, &composed, arena);
  for (size_t b = 0; b < blocks.size(); ++b) {
    const Block& block = blocks[b];
    if (block.as_trained != nullptr) {
      thread_local model::BlockTape tape;
      block.as_trained->Forward(composed, {}, &tape,
                                {z + block.output_column, n, layout.outputs[b], outputs});
      continue;
    }
    const ItemRows share = rows.From(0, block.item_column);
    Rows x = block.layers[0].Convert(own, stride, n, arena);
    for (size_t i = 0; i < block.layers.size(); ++i) {
      const Layer& layer = block.layers[i];
      const bool last = i + 1 == block.layers.size();
      Layer::Call run{.out_precision = last ? Precision::kFp32 : options.precision};
      if (i == 0) {
        run.bias = call.first[b];
        run.add = share.fp32;
        run.add_bf16 = share.bf16;
        run.add_stride = share.stride;
      }
      if (last) {
        run.out = {z + block.output_column, outputs};
      } else {
        run.out = {arena->Take<float>(n * layer.padded_N()), layer.padded_N()};
        run.next = &block.layers[i + 1];
      }
      layer.Run(x, n, run, arena);
      if (see != nullptr && !last) {
        see->blocks[b][i].See(run.out.fp32(), n, layer.N(), run.out.stride);
      }
      x = run.out;
    }
  }
  head.Run(z, outputs, n, logits, arena);
  if (!net.config.wide) return;
  for (size_t i = 0; i < n; ++i) {
    float* to = logits + i * T;
    const ItemRows wide = rows.From(i, wide_column);
    for (size_t t = 0; t < T; ++t) {
      to[t] +=
          call.wide[t] + (wide.fp32 != nullptr ? wide.fp32[t] : kernels::FromBf16(wide.bf16[t]));
    }
    const float* numerics = own + i * stride + layout.candidate_numerics_column - own_first;
    for (size_t j = 0; j < 2 * layout.candidate_numerics; ++j) {
      for (size_t t = 0; t < T; ++t) to[t] += numerics[j] * net.wide_candidate.value.Row(j)[t];
    }
  }
}

Status CompiledRanker::Impl::Run(const Batch& batch, Arena* arena, std::span<float> logits,
                                 Seen* see) const {
  HEED_RETURN_IF_ERROR(batch.Validate(net.config.schema));
  const size_t T = net.config.schema.tasks.size();
  if (logits.size() != batch.candidates * T) {
    return InvalidArgument("room for " + std::to_string(logits.size()) + " numbers where " +
                               std::to_string(batch.candidates * T) + " come",
                           "logits");
  }
  const kernels::FlushDenormals flush;
  const kernels::MatrixUnitScope unit;
  // Few and small; kept by the thread, so that a request takes no memory for them.
  thread_local std::vector<History> histories;
  for (size_t n = 0; n < batch.candidates;) {
    size_t end = n + 1;
    while (end < batch.candidates && batch.request_of[end] == batch.request_of[n]) ++end;
    arena->Reset();
    histories.assign(sequences.size(), {});
    for (size_t s = 0; see != nullptr && s < sequences.size(); ++s) {
      histories[s].seen = &see->pools[s];
    }
    Call call{.histories = &histories};
    Request(batch, batch.request_of[n], &call, arena);
    const Arena::Mark mark = arena->Here();
    for (; n < end; n += std::min(kChunk, end - n)) {
      arena->Rewind(mark);
      Candidates(batch, call, n, std::min(kChunk, end - n), logits.data() + n * T, see, arena);
    }
  }
  if (layout.links.empty() || batch.candidates == 0) return {};
  arena->Reset();
  const size_t links = layout.links.size();
  nn::ChainForward(layout.links, {logits.data(), batch.candidates, T, T},
                   {arena->Take<float>(batch.candidates * links), batch.candidates, links, links});
  return {};
}

CompiledRanker::CompiledRanker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CompiledRanker::~CompiledRanker() = default;

Status CompiledRanker::Logits(const Batch& batch, Arena* arena, std::span<float> logits) const {
  return impl_->Run(batch, arena, logits, nullptr);
}

Status CompiledRanker::Score(const Batch& batch, Arena* arena,
                             std::span<float> probabilities) const {
  HEED_RETURN_IF_ERROR(impl_->Run(batch, arena, probabilities, nullptr));
  const Net& net = impl_->net;
  net.Outcomes(probabilities.data(), probabilities.size() / net.config.schema.tasks.size());
  return {};
}

const CompileOptions& CompiledRanker::options() const { return impl_->options; }
const model::Ranker& CompiledRanker::ranker() const { return *impl_->ranker; }

CompiledRanker::CacheUse CompiledRanker::items() const {
  return {.hits = impl_->hits.load(std::memory_order_relaxed),
          .misses = impl_->misses.load(std::memory_order_relaxed),
          .entries = impl_->items == nullptr ? 0 : impl_->items->entries(),
          .bytes = impl_->items == nullptr ? 0 : impl_->items->bytes()};
}

CompiledRanker::CacheUse CompiledRanker::tokens() const {
  CacheUse use{.hits = impl_->token_hits.load(std::memory_order_relaxed),
               .misses = impl_->token_misses.load(std::memory_order_relaxed)};
  for (const Impl::Sequence& sequence : impl_->sequences) {
    if (sequence.cache == nullptr) continue;
    use.entries += sequence.cache->entries();
    use.bytes += sequence.cache->bytes();
  }
  return use;
}

}  // namespace heed::infer
