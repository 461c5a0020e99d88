#include <algorithm>
#include <cmath>

#include "kernels/table.h"
#include "model/ranker_net.h"

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
  for (size_t s = 0; s < layout.sequences.size(); ++s) {
    attention.emplace_back("attention." + std::to_string(s),
                           nn::AttentionShape{.query_width = layout.sequences[s].queries.size() * d,
                                              .token_width = layout.sequences[s].tables.size() * d,
                                              .heads = config.attention_heads,
                                              .width = config.attention_width,
                                              .null_slot = config.null_slot},
                           config.initial_decay, random);
  }
  size_t inputs = layout.request_width + layout.candidate_width;
  for (size_t i = 0; i < config.hidden.size(); ++i) {
    layers.emplace_back("hidden." + std::to_string(i), inputs, config.hidden[i], random);
    inputs = config.hidden[i];
  }
  layers.emplace_back("head", inputs, T, random);
  if (config.wide) {
    wide_request = {"wide.request", 2 * layout.request_numerics, T, true};
    wide_candidate = {"wide.candidate", 2 * layout.candidate_numerics, T, true};
  }
}

std::vector<nn::Parameter*> Net::Parameters() {
  std::vector<nn::Parameter*> all;
  for (nn::TargetAttention& a : attention) {
    for (nn::Parameter* p : a.Parameters()) all.push_back(p);
  }
  for (nn::Linear& layer : layers) {
    all.push_back(&layer.weight);
    all.push_back(&layer.bias);
  }
  if (config.wide) {
    all.push_back(&wide_request);
    all.push_back(&wide_candidate);
  }
  return all;
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
  gather(layout.candidate_fields, work->candidate_rows, &work->x_candidate);
  EmbedNumerics(batch, work);
}

nn::AttentionInput Net::AttentionOf(const Batch& batch, size_t s, Workspace* work) const {
  return {.queries = work->sequences[s].queries.view(),
          .tokens = work->sequences[s].tokens.view(),
          .offsets = batch.sequences[s].offsets,
          .request_of = batch.request_of,
          .log_age = work->sequences[s].log_age,
          .excluded = {}};
}

void Net::Attend(const Batch& batch, size_t s, Workspace* work) const {
  const size_t d = config.embedding_width;
  const Layout::Sequence& where = layout.sequences[s];
  const SequenceBatch& sequence = batch.sequences[s];
  Workspace::Sequence& own = work->sequences[s];
  const size_t tokens = sequence.age_s.size(), parts = where.tables.size();
  own.tokens.Resize(tokens, parts * d);
  for (size_t k = 0; k < parts; ++k) {
    tables[where.tables[k]].Gather(own.rows.data() + k, parts, 0, own.tokens.view().Cols(k * d, d));
  }
  own.log_age.resize(tokens);
  for (size_t t = 0; t < tokens; ++t) {
    own.log_age[t] = std::log1p(sequence.age_s[t] / config.age_scale_s);
  }
  own.queries.Resize(batch.candidates, where.queries.size() * d);
  for (size_t q = 0; q < where.queries.size(); ++q) {
    const size_t column = layout.candidate_fields[where.queries[q]].column;
    for (size_t n = 0; n < batch.candidates; ++n) {
      std::memcpy(own.queries.Row(n) + q * d, work->x_candidate.Row(n) + column, d * sizeof(float));
    }
  }
  const nn::AttentionInput in = AttentionOf(batch, s, work);
  own.tape.form = attention[s].BestForm(in);
  const Mat x = work->x_candidate.view();
  attention[s].Forward(in, &own.tape, x.Cols(where.out_column, config.attention_width),
                       x.Cols(where.evidence_column, config.attention_heads));
  const Mat shared = work->x_request.view();
  for (size_t r = 0; r < batch.requests; ++r) {
    const uint32_t length = sequence.offsets[r + 1] - sequence.offsets[r];
    shared.Row(r)[where.length_column] = std::log1p(static_cast<float>(length));
  }
  if (config.mean_pool) {
    nn::MeanPoolForward(own.tokens.view(), sequence.offsets,
                        shared.Cols(where.mean_column, parts * d));
  }
}

void Net::AddWide(const Batch& batch, Workspace* work) const {
  const kernels::Table& k = kernels::Active();
  const size_t d = config.embedding_width, T = config.schema.tasks.size();
  const auto add = [&](const std::vector<Layout::Field>& fields, const std::vector<uint32_t>& rows,
                       Matrix* sums) {
    for (size_t f = 0; f < fields.size(); ++f) {
      const nn::EmbeddingTable& table = tables[fields[f].table];
      for (size_t i = 0; i < sums->rows(); ++i) {
        k.axpy(1.0f, table.Row(rows[i * fields.size() + f]) + d, sums->Row(i), T);
      }
    }
  };
  Matrix& shared = work->wide_request;
  Matrix& logits = work->logits();
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

void Net::Forward(const Batch& batch, Random* dropout, Workspace* work) const {
  Embed(batch, work);
  for (size_t s = 0; s < layout.sequences.size(); ++s) Attend(batch, s, work);
  const size_t N = batch.candidates;
  work->activations.resize(layers.size());
  work->masks.resize(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    Matrix& y = work->activations[i];
    y.Resize(N, layers[i].outputs());
    if (i == 0) {
      work->products.Resize(batch.requests, layers[0].outputs());
      layers[0].ForwardSplit(work->x_request.view(), work->x_candidate.view(), batch.request_of,
                             work->products.view(), y.view());
    } else {
      layers[i].Forward(work->activations[i - 1].view(), y.view());
    }
    if (i + 1 == layers.size()) break;
    nn::ReluForward(y.view());
    if (dropout != nullptr) {
      work->masks[i].Resize(N, y.cols());
      nn::DropoutForward(config.dropout, *dropout, y.view(), work->masks[i].view());
    }
  }
  if (config.wide) AddWide(batch, work);
}

}  // namespace heed::model
