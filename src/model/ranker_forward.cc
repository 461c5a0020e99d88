#include <algorithm>
#include <cmath>

#include "base/team.h"
#include "kernels/table.h"
#include "model/ranker_net.h"
#include "nn/loss.h"

namespace heed::model {

using nn::ConstMat;
using nn::Mat;
using nn::Matrix;

namespace {

// Calls look_up(table, keys, step, n, rows) for each column of keys.
template <typename LookUp>
void EachKeyColumn(const Layout& layout, const Batch& batch, Workspace* work, LookUp look_up) {
  const size_t fr = layout.request_fields.size(), fc = layout.candidate_fields.size();
  work->request_rows.resize(batch.requests * fr);
  work->candidate_rows.resize(batch.candidates * fc);
  work->sequences.resize(layout.sequences.size());
  for (size_t f = 0; f < fr; ++f) {
    look_up(layout.request_fields[f].table, batch.request_keys.data() + f, fr, batch.requests,
            work->request_rows.data() + f);
  }
  for (size_t f = 0; f < fc; ++f) {
    look_up(layout.candidate_fields[f].table, batch.candidate_keys.data() + f, fc, batch.candidates,
            work->candidate_rows.data() + f);
  }
  for (size_t s = 0; s < layout.sequences.size(); ++s) {
    const std::vector<size_t>& parts = layout.sequences[s].tables;
    const SequenceBatch& sequence = batch.sequences[s];
    work->sequences[s].rows.resize(sequence.keys.size());
    for (size_t k = 0; k < parts.size(); ++k) {
      look_up(parts[k], sequence.keys.data() + k, parts.size(), sequence.age_s.size(),
              work->sequences[s].rows.data() + k);
    }
  }
}

}  // namespace

Net::Net(const RankerConfig& net_config, uint64_t net_seed)
    : config(net_config), layout(net_config), seed(net_seed) {
  const size_t d = config.embedding_width, T = config.schema.tasks.size();
  numeric_mean.assign(config.schema.numerics.size(), 0.0f);
  numeric_deviation.assign(config.schema.numerics.size(), 1.0f);
  calibration_scale.assign(T, 1.0f);
  calibration_shift.assign(T, 0.0f);
  const auto wide_columns = static_cast<uint32_t>(config.wide ? T : 0);
  for (const std::string& name : layout.tables) {
    tables.emplace_back(nn::TableShape{.width = config.embedding_width + wide_columns,
                                       .zero_tail = wide_columns,
                                       .admit_after = config.admit_after,
                                       .init_deviation = config.init_deviation,
                                       .seed = MixHash(seed) ^ HashBytes(name)});
  }
  Random random(seed);
  if (config.projection > 0) {
    item = {"item", layout.item_fields_width, config.projection, random};
    for (size_t s = 0; s < layout.sequences.size(); ++s) {
      events.emplace_back("event." + std::to_string(s), layout.sequences[s].tables.size() * d,
                          config.projection, random);
    }
  }
  attention.resize(layout.sequences.size());
  units.resize(layout.sequences.size());
  temperatures.resize(layout.sequences.size());
  encoders.resize(layout.sequences.size());
  for (size_t s = 0; s < layout.sequences.size(); ++s) {
    const PoolConfig& pool = config.PoolOf(s);
    const std::string name = "attention." + std::to_string(s);
    const size_t query_width = layout.sequences[s].query_width;
    const size_t token_width = layout.sequences[s].token_width;
    if (pool.encoder != EncoderKind::kNone) {
      encoders[s] = {"encoder." + std::to_string(s), EncoderShapeOf(config, s), random};
    }
    if (pool.kind != PoolKind::kDot) {
      units[s] = {name,
                  {.query_width = query_width,
                   .token_width = token_width,
                   .hidden = {pool.hidden.begin(), pool.hidden.end()},
                   .activation = pool.activation,
                   .softmax = pool.kind == PoolKind::kDin,
                   .null_slot = config.null_slot},
                  config.initial_decay,
                  random};
      continue;
    }
    attention[s] = {name,
                    {.query_width = query_width,
                     .token_width = token_width,
                     .heads = config.attention_heads,
                     .width = config.attention_width,
                     .null_slot = config.null_slot},
                    config.initial_decay,
                    random};
    if (pool.temperature) {
      temperatures[s] = {name + ".temperature", layout.context_width, config.attention_heads};
    }
  }
  const std::vector<BlockConfig> block_configs = config.Blocks();
  for (size_t i = 0; i < block_configs.size(); ++i) {
    const std::string name = config.blocks.empty() ? "" : "block." + std::to_string(i) + ".";
    blocks.push_back(MakeBlock(name, block_configs[i], layout.shape, random));
  }
  head = {config.head, layout.output_width, T, random};
  if (config.wide) {
    wide_request = {"wide.request", 2 * layout.request_numerics, T, true};
    wide_candidate = {"wide.candidate", 2 * layout.candidate_numerics, T, true};
  }
}

Net::Net(const Net& other)
    : config(other.config),
      layout(other.layout),
      seed(other.seed),
      updates(other.updates),
      numeric_mean(other.numeric_mean),
      numeric_deviation(other.numeric_deviation),
      numeric_bins(other.numeric_bins),
      calibration_scale(other.calibration_scale),
      calibration_shift(other.calibration_shift),
      activation_ranges(other.activation_ranges),
      tables(other.tables),
      item(other.item),
      events(other.events),
      attention(other.attention),
      units(other.units),
      temperatures(other.temperatures),
      encoders(other.encoders),
      head(other.head),
      wide_request(other.wide_request),
      wide_candidate(other.wide_candidate) {
  for (const auto& block : other.blocks) blocks.push_back(block->Clone());
}

std::vector<nn::Parameter*> Net::Parameters() {
  std::vector<nn::Parameter*> all;
  const auto add = [&](const std::vector<nn::Parameter*>& some) {
    all.insert(all.end(), some.begin(), some.end());
  };
  if (config.projection > 0) add({&item.weight, &item.bias});
  for (nn::Linear& event : events) add({&event.weight, &event.bias});
  for (size_t s = 0; s < layout.sequences.size(); ++s) {
    const PoolConfig& pool = config.PoolOf(s);
    if (pool.encoder != EncoderKind::kNone) add(encoders[s].Parameters());
    if (pool.kind != PoolKind::kDot) {
      add(units[s].Parameters());
      continue;
    }
    add(attention[s].Parameters());
    if (pool.temperature) add(temperatures[s].Parameters());
  }
  for (const auto& block : blocks) add(block->Parameters());
  add(head.Parameters());
  if (config.wide) add({&wide_request, &wide_candidate});
  return all;
}

std::vector<nn::Buffer> Net::Buffers() {
  std::vector<nn::Buffer> all;
  for (nn::ActivationUnit& unit : units) unit.AddBuffers(&all);
  for (const auto& block : blocks) {
    for (const nn::Buffer& buffer : block->Buffers()) all.push_back(buffer);
  }
  return all;
}

void Net::Track(const Workspace& work) {
  for (size_t s = 0; s < units.size(); ++s) {
    if (config.PoolOf(s).kind != PoolKind::kDot) units[s].Track(work.sequences[s].unit);
  }
  for (size_t i = 0; i < blocks.size(); ++i) blocks[i]->Track(work.blocks[i]);
}

void Net::Clamp() {
  for (size_t s = 0; s < layout.sequences.size(); ++s) {
    if (config.PoolOf(s).kind == PoolKind::kDot) {
      attention[s].ClampDecay();
    } else {
      units[s].ClampDecay();
    }
  }
}

void Net::SetTaskBias(const std::vector<float>& log_odds) {
  std::vector<float> bias = log_odds;
  for (const nn::ChainLink& link : layout.links) {
    // p(task | given) from the rates; a rate above its condition's is as good as certain.
    const double given = 1.0 / (1.0 + std::exp(-static_cast<double>(log_odds[link.given])));
    const double both = 1.0 / (1.0 + std::exp(-static_cast<double>(log_odds[link.task])));
    const double p = std::min(both / given, 0.99);
    bias[link.task] = static_cast<float>(std::log(p / (1.0 - p)));
  }
  head.SetBias(bias);
}

void Net::Outcomes(float* logits, size_t n) const {
  const std::vector<TaskSpec>& tasks = config.schema.tasks;
  const size_t T = tasks.size();
  for (float* row = logits; row != logits + n * T; row += T) {
    for (size_t t = 0; t < T; ++t) {
      const float z = calibration_scale[t] * row[t] + calibration_shift[t];
      row[t] = tasks[t].kind == TaskKind::kBinary ? nn::Sigmoid(z)
                                                  : tasks[t].huber_delta * std::max(z, 0.0f);
    }
    for (size_t t = 0; t < T; ++t) {
      if (layout.given[t] < T) row[t] *= row[layout.given[t]];
    }
  }
}

std::vector<const nn::Parameter*> Net::Parameters() const {
  const std::vector<nn::Parameter*> all = const_cast<Net*>(this)->Parameters();  // read only
  return {all.begin(), all.end()};
}

void Net::Resolve(const Batch& batch, Workspace* work) const {
  EachKeyColumn(layout, batch, work,
                [&](size_t table, const Key* keys, size_t step, size_t n, uint32_t* rows) {
                  tables[table].Rows(keys, step, n, rows, step);
                });
}

void Net::CountAndResolve(const Batch& batch, Workspace* work) {
  EachKeyColumn(layout, batch, work,
                [&](size_t table, const Key* keys, size_t step, size_t n, uint32_t* rows) {
                  tables[table].CountRows(keys, step, n, rows, step);
                });
}

void Net::EmbedNumerics(const Batch& batch, Workspace* work) const {
  size_t request = 0, candidate = 0;
  for (size_t i = 0; i < config.schema.numerics.size(); ++i) {
    const bool of_request = config.schema.numerics[i].side == Side::kRequest;
    const size_t j = of_request ? request++ : candidate++;
    const auto& raw = of_request ? batch.request_numerics : batch.candidate_numerics;
    const size_t columns = of_request ? layout.request_numerics : layout.candidate_numerics;
    Matrix& x = of_request ? work->x_request : work->x_candidate;
    const size_t column =
        2 * j + (of_request ? layout.request_numerics_column : layout.candidate_numerics_column);
    const float mean = numeric_mean[i], scale = 1.0f / numeric_deviation[i];
    for (size_t n = 0; n < x.rows(); ++n) {
      const float value = raw[n * columns + j];
      const bool missing = std::isnan(value);
      const float z = std::clamp((value - mean) * scale, -config.numeric_clip, config.numeric_clip);
      x.Row(n)[column] = missing ? 0.0f : z;
      x.Row(n)[column + 1] = missing ? 1.0f : 0.0f;
    }
  }
}

void Net::Embed(const Batch& batch, Workspace* work) const {
  const size_t d = config.embedding_width;
  const auto gather = [&](const std::vector<Layout::Field>& fields,
                          const std::vector<uint32_t>& rows, Matrix* x) {
    for (size_t f = 0; f < fields.size(); ++f) {
      tables[fields[f].table].Gather(rows.data() + f, fields.size(), 0,
                                     x->view().Cols(fields[f].column, d));
    }
  };
  work->x_request.Resize(batch.requests, layout.request_width);
  work->x_candidate.Resize(batch.candidates, layout.candidate_width);
  gather(layout.request_fields, work->request_rows, &work->x_request);
  if (config.projection > 0) {
    work->item_fields.Resize(batch.candidates, layout.item_fields_width);
    gather(layout.candidate_fields, work->candidate_rows, &work->item_fields);
    item.Forward(work->item_fields.view(), work->x_candidate.view().Cols(0, config.projection));
  } else {
    gather(layout.candidate_fields, work->candidate_rows, &work->x_candidate);
  }
  EmbedNumerics(batch, work);
}

nn::EncoderInput Net::EncoderOf(const Batch& batch, size_t s, Workspace* work) const {
  Workspace::Sequence& own = work->sequences[s];
  nn::EncoderInput in{
      .rows = own.raw.view(), .offsets = batch.sequences[s].offsets, .excluded = {}, .times = {}};
  if (config.PoolOf(s).encoder == EncoderKind::kTiSasRec) in.times = own.times;
  return in;
}

nn::AttentionInput Net::AttentionOf(const Batch& batch, size_t s, Workspace* work) const {
  Workspace::Sequence& own = work->sequences[s];
  const ConstMat item_vectors = ConstMat(work->x_candidate.view()).Cols(0, config.projection);
  nn::AttentionInput in{.queries = config.projection > 0 ? item_vectors : own.queries.view(),
                        .tokens = own.tokens.view(),
                        .offsets = batch.sequences[s].offsets,
                        .request_of = batch.request_of,
                        .log_age = own.log_age,
                        .excluded = {}};
  if (config.PoolOf(s).temperature) in.inverse_temperature = own.inverse_temperature.view();
  if (ReadsRows(s)) in.rows = &own.history;
  return in;
}

// Whether the rows form can be had: it reads floats where they lie, an encoder sees tokens together, and so
// does Dice.
bool Net::ReadsRows(size_t s) const {
  const PoolConfig& pool = config.PoolOf(s);
  for (const size_t table : layout.sequences[s].tables) {
    if (tables[table].precision() != kernels::Precision::kFp32) return false;
  }
  if (pool.encoder != EncoderKind::kNone) return false;
  return pool.kind == PoolKind::kDot || units[s].ReadsRows();
}

// The tokens of a sequence in a matrix of their own, for every pool that is not in the rows form.
void Net::MakeTokens(const Batch& batch, size_t s, const Pass& pass, Workspace* work) const {
  const size_t d = config.embedding_width;
  const Layout::Sequence& where = layout.sequences[s];
  const SequenceBatch& sequence = batch.sequences[s];
  Workspace::Sequence& own = work->sequences[s];
  const size_t tokens = sequence.age_s.size(), parts = where.tables.size();
  const bool encoded = config.PoolOf(s).encoder != EncoderKind::kNone;
  Matrix& raw = encoded ? own.raw : own.tokens;
  Matrix& embedded = config.projection > 0 ? own.parts : raw;
  embedded.Resize(tokens, parts * d);
  for (size_t k = 0; k < parts; ++k) {
    tables[where.tables[k]].Gather(own.rows.data() + k, parts, 0, embedded.view().Cols(k * d, d));
  }
  if (config.projection > 0) {
    raw.Resize(tokens, where.token_width);
    events[s].Forward(embedded.view(), raw.view());
  }
  if (!encoded) return;
  own.times.resize(tokens);
  for (size_t t = 0; t < tokens; ++t) own.times[t] = -static_cast<double>(sequence.age_s[t]);
  own.tokens.Resize(tokens, where.token_width);
  encoders[s].Forward(EncoderOf(batch, s, work), pass.dropout, &own.encoder, own.tokens.view());
}

// The mean of each history as its pool left it: a unit's of tokens, a dot pool's of their rows, which is
// then projected; the bias counts once a token.
void Net::TakeMean(const Batch& batch, size_t s, Workspace* work) const {
  const Layout::Sequence& where = layout.sequences[s];
  const bool dot = config.PoolOf(s).kind == PoolKind::kDot;
  const Matrix& mean = dot ? work->sequences[s].tape.mean : work->sequences[s].unit.rows.mean;
  const Mat out = work->x_request.view().Cols(where.mean_column, where.token_width);
  if (!dot || config.projection == 0) {
    for (size_t r = 0; r < mean.rows(); ++r) std::copy_n(mean.Row(r), mean.cols(), out.Row(r));
    return;
  }
  nn::MatMul(mean.view(), events[s].weight.value.view(), out);
  const std::vector<uint32_t>& offsets = batch.sequences[s].offsets;
  for (size_t r = 0; r < mean.rows(); ++r) {
    const auto length = static_cast<float>(offsets[r + 1] - offsets[r]);
    kernels::Active().axpy(length / (length + 1.0f), events[s].bias.value.data(), out.Row(r),
                           out.cols);
  }
}

void Net::Attend(const Batch& batch, size_t s, const Pass& pass, Workspace* work) const {
  const size_t d = config.embedding_width;
  const Layout::Sequence& where = layout.sequences[s];
  const SequenceBatch& sequence = batch.sequences[s];
  Workspace::Sequence& own = work->sequences[s];
  const size_t tokens = sequence.age_s.size();
  own.log_age.resize(tokens);
  constexpr size_t kPiece = 8192;
  ParallelFor((tokens + kPiece - 1) / kPiece, [&](size_t piece) {
    for (size_t t = piece * kPiece; t < std::min(tokens, (piece + 1) * kPiece); ++t) {
      own.log_age[t] = std::log1p(sequence.age_s[t] / config.age_scale_s);
    }
  });
  own.queries.Resize(batch.candidates, where.queries.size() * d);
  for (size_t q = 0; q < where.queries.size(); ++q) {
    const size_t column = layout.candidate_fields[where.queries[q]].column;
    for (size_t n = 0; n < batch.candidates; ++n) {
      std::memcpy(own.queries.Row(n) + q * d, work->x_candidate.Row(n) + column, d * sizeof(float));
    }
  }
  const Mat shared = work->x_request.view(), x = work->x_candidate.view();
  const Mat out = x.Cols(where.out_column, where.out_width);
  const Mat evidence = x.Cols(where.evidence_column, where.heads);
  own.history.tables.clear();
  for (const size_t table : where.tables) {
    if (ReadsRows(s)) own.history.tables.push_back(tables[table].Row(0));
  }
  own.history.rows = own.rows;
  own.history.width = d;
  own.history.stride = tables[where.tables[0]].width();
  own.history.projection = config.projection > 0 ? &events[s] : nullptr;
  own.history.mean = config.mean_pool;
  if (config.PoolOf(s).kind == PoolKind::kDot) {
    if (config.PoolOf(s).temperature) {
      own.inverse_temperature.Resize(batch.requests, where.heads);
      temperatures[s].Forward(shared.Cols(0, layout.context_width), own.inverse_temperature.view());
    }
    own.tape.form = attention[s].BestForm(AttentionOf(batch, s, work));
    if (own.tape.form != nn::AttentionForm::kRows) MakeTokens(batch, s, pass, work);
    attention[s].Forward(AttentionOf(batch, s, work), &own.tape, out, evidence);
  } else {
    own.unit.rows_form = ReadsRows(s);
    if (!own.unit.rows_form) MakeTokens(batch, s, pass, work);
    units[s].Forward(AttentionOf(batch, s, work), pass.phase, &own.unit, out, evidence);
  }
  for (size_t r = 0; r < batch.requests; ++r) {
    const uint32_t length = sequence.offsets[r + 1] - sequence.offsets[r];
    shared.Row(r)[where.length_column] = std::log1p(static_cast<float>(length));
  }
  if (config.mean_pool && RowsForm(*work, s)) {
    TakeMean(batch, s, work);
  } else if (config.mean_pool) {
    nn::MeanPoolForward(own.tokens.view(), sequence.offsets,
                        shared.Cols(where.mean_column, where.token_width));
  }
}

// The input once more as one row a candidate, and as fields, for the blocks that read it so.
void Net::Arrange(const Batch& batch, Workspace* work) const {
  const BlockShape& shape = layout.shape;
  const size_t of_request = shape.request_fields * shape.field_width;
  const size_t of_candidate = shape.candidate_fields * shape.field_width;
  const auto any = [&](auto reads) { return std::any_of(blocks.begin(), blocks.end(), reads); };
  work->joined.Resize(0, 0);
  work->fields.Resize(0, 0);
  if (any([](const auto& block) { return block->reads_joined(); })) {
    work->joined.Resize(batch.candidates, shape.inputs());
  }
  if (any([](const auto& block) { return block->reads_fields(); })) {
    work->fields.Resize(batch.candidates, of_request + of_candidate);
  }
  for (size_t n = 0; n < work->joined.rows(); ++n) {
    const float* request = work->x_request.Row(batch.request_of[n]);
    std::copy_n(request, shape.request_width, work->joined.Row(n));
    std::copy_n(work->x_candidate.Row(n), shape.candidate_width,
                work->joined.Row(n) + shape.request_width);
  }
  for (size_t n = 0; n < work->fields.rows(); ++n) {
    const float* request = work->x_request.Row(batch.request_of[n]);
    std::copy_n(request, of_request, work->fields.Row(n));
    std::copy_n(work->x_candidate.Row(n), of_candidate, work->fields.Row(n) + of_request);
  }
}

BlockInput Net::InputOf(const Batch& batch, const Workspace& work) const {
  return {.request = work.x_request.view(),
          .candidate = work.x_candidate.view(),
          .request_of = &batch.request_of,
          .joined = work.joined.view(),
          .fields = work.fields.view()};
}

void Net::AddWide(const Batch& batch, Workspace* work) const {
  const kernels::Table& k = kernels::Active();
  const size_t T = config.schema.tasks.size();
  const auto add = [&](const std::vector<Layout::Field>& fields, const std::vector<uint32_t>& rows,
                       Matrix* sums) {
    for (size_t f = 0; f < fields.size(); ++f) {
      const nn::EmbeddingTable& table = tables[fields[f].table];
      for (size_t i = 0; i < sums->rows(); ++i) {
        k.axpy(1.0f, table.Tail(rows[i * fields.size() + f]), sums->Row(i), T);
      }
    }
  };
  Matrix& shared = work->wide_request;
  Matrix& logits = work->logits;
  shared.Resize(batch.requests, T);
  nn::MatMul(ConstMat(work->x_request.view())
                 .Cols(layout.request_numerics_column, 2 * layout.request_numerics),
             wide_request.value.view(), shared.view());
  add(layout.request_fields, work->request_rows, &shared);
  nn::MatMul(ConstMat(work->x_candidate.view())
                 .Cols(layout.candidate_numerics_column, 2 * layout.candidate_numerics),
             wide_candidate.value.view(), logits.view(), nn::Into::kAdd);
  add(layout.candidate_fields, work->candidate_rows, &logits);
  for (size_t n = 0; n < batch.candidates; ++n) {
    k.axpy(1.0f, shared.Row(batch.request_of[n]), logits.Row(n), T);
  }
}

void Net::Forward(const Batch& batch, const Pass& pass, Workspace* work) const {
  Embed(batch, work);
  for (size_t s = 0; s < layout.sequences.size(); ++s) Attend(batch, s, pass, work);
  Arrange(batch, work);
  const size_t N = batch.candidates;
  work->blocks.resize(blocks.size());
  work->outputs.Resize(N, layout.output_width);
  const BlockInput in = InputOf(batch, *work);
  size_t column = 0;
  for (size_t i = 0; i < blocks.size(); ++i) {
    blocks[i]->Forward(in, pass, &work->blocks[i],
                       work->outputs.view().Cols(column, layout.outputs[i]));
    column += layout.outputs[i];
  }
  work->logits.Resize(N, config.schema.tasks.size());
  head.Forward(work->outputs.view(), &work->head, work->logits.view());
  if (config.wide) AddWide(batch, work);
  if (layout.links.empty()) return;
  work->conditional.Resize(N, layout.links.size());
  nn::ChainForward(layout.links, work->logits.view(), work->conditional.view());
}

}  // namespace heed::model
