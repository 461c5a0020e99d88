#include <algorithm>

#include "kernels/gemm.h"
#include "kernels/table.h"
#include "model/ranker_net.h"
#include "nn/loss.h"

namespace heed::model {

using nn::ConstMat;
using nn::Mat;
using nn::Matrix;

void Net::BackwardWide(const Batch& batch, ConstMat d_logits, Workspace* work) {
  const kernels::Table& k = kernels::Active();
  const size_t d = config.embedding_width, T = config.schema.tasks.size();
  Matrix& d_shared = work->d_wide_request;
  d_shared.Resize(batch.requests, T);
  d_shared.Fill(0.0f);
  for (size_t n = 0; n < batch.candidates; ++n) {
    k.axpy(1.0f, d_logits.Row(n), d_shared.Row(batch.request_of[n]), T);
  }
  const auto back = [&](ConstMat x, ConstMat d_sums, const std::vector<Layout::Field>& fields,
                        const std::vector<uint32_t>& rows, nn::Parameter* numbers) {
    kernels::Gemm(kernels::Trans::kYes, kernels::Trans::kNo, x.cols, T, x.rows, x.data, x.stride,
                  d_sums.data, d_sums.stride, 1.0f, numbers->grad.data(), T);
    for (size_t f = 0; f < fields.size(); ++f) {
      work->d_rows[fields[f].table].Add(rows.data() + f, fields.size(), d, d_sums);
    }
  };
  back(ConstMat(work->x_request.view())
           .Cols(layout.request_numerics_column, 2 * layout.request_numerics),
       d_shared.view(), layout.request_fields, work->request_rows, &wide_request);
  back(ConstMat(work->x_candidate.view())
           .Cols(layout.candidate_numerics_column, 2 * layout.candidate_numerics),
       d_logits, layout.candidate_fields, work->candidate_rows, &wide_candidate);
}

void Net::BackwardSequence(const Batch& batch, size_t s, Workspace* work) {
  const size_t d = config.embedding_width;
  const Layout::Sequence& where = layout.sequences[s];
  Workspace::Sequence& own = work->sequences[s];
  const size_t tokens = own.tokens.rows(), parts = where.tables.size();
  own.d_tokens.Resize(tokens, parts * d);
  own.d_tokens.Fill(0.0f);
  own.d_queries.Resize(batch.candidates, where.queries.size() * d);
  own.d_queries.Fill(0.0f);
  const Mat d_x = work->d_candidate.view();
  attention[s].Backward(AttentionOf(batch, s, work), &own.tape,
                        d_x.Cols(where.out_column, config.attention_width),
                        d_x.Cols(where.evidence_column, config.attention_heads),
                        own.d_queries.view(), own.d_tokens.view());
  const auto axpy = kernels::Active().axpy;
  for (size_t q = 0; q < where.queries.size(); ++q) {
    const size_t column = layout.candidate_fields[where.queries[q]].column;
    for (size_t n = 0; n < batch.candidates; ++n) {
      axpy(1.0f, own.d_queries.Row(n) + q * d, d_x.Row(n) + column, d);
    }
  }
  if (config.mean_pool) {
    nn::MeanPoolBackward(batch.sequences[s].offsets,
                         ConstMat(work->d_request.view()).Cols(where.mean_column, parts * d),
                         own.d_tokens.view());
  }
  for (size_t k = 0; k < parts; ++k) {
    work->d_rows[where.tables[k]].Add(own.rows.data() + k, parts, 0,
                                      ConstMat(own.d_tokens.view()).Cols(k * d, d));
  }
}

void Net::ScatterFields(Workspace* work) const {
  const size_t d = config.embedding_width;
  const auto scatter = [&](const std::vector<Layout::Field>& fields,
                           const std::vector<uint32_t>& rows, const Matrix& d_x) {
    for (size_t f = 0; f < fields.size(); ++f) {
      work->d_rows[fields[f].table].Add(rows.data() + f, fields.size(), 0,
                                        d_x.view().Cols(fields[f].column, d));
    }
  };
  scatter(layout.request_fields, work->request_rows, work->d_request);
  scatter(layout.candidate_fields, work->candidate_rows, work->d_candidate);
}

double Net::Backward(const Batch& batch, bool dropout, Workspace* work) {
  for (nn::Parameter* p : Parameters()) p->grad.Fill(0.0f);
  work->d_rows.resize(tables.size());
  for (size_t i = 0; i < tables.size(); ++i) {
    work->d_rows[i].Start(tables[i].rows(), tables[i].width());
  }
  const size_t N = batch.candidates;
  work->d_activations.resize(layers.size());
  std::vector<float> task_weights;
  for (const TaskSpec& task : config.schema.tasks) task_weights.push_back(task.loss_weight);
  Matrix& d_logits = work->d_activations.back();
  d_logits.Resize(N, task_weights.size());
  const double loss = nn::BceWithLogits(work->logits().view(), batch.labels, batch.weights,
                                        task_weights, d_logits.view());
  if (config.wide) BackwardWide(batch, d_logits.view(), work);
  for (size_t i = layers.size() - 1; i > 0; --i) {
    Matrix& d_x = work->d_activations[i - 1];
    d_x.Resize(N, layers[i].inputs());
    Mat d_input = d_x.view();
    layers[i].Backward(work->activations[i - 1].view(), work->d_activations[i].view(), &d_input);
    if (dropout) nn::DropoutBackward(work->masks[i - 1].view(), d_input);
    nn::ReluBackward(work->activations[i - 1].view(), d_input);
  }
  work->d_request.Resize(batch.requests, layout.request_width);
  work->d_candidate.Resize(N, layout.candidate_width);
  work->d_products.Resize(batch.requests, layers[0].outputs());
  layers[0].BackwardSplit(work->x_request.view(), work->x_candidate.view(), batch.request_of,
                          work->d_activations[0].view(), work->d_products.view(),
                          work->d_request.view(), work->d_candidate.view());
  for (size_t s = 0; s < layout.sequences.size(); ++s) BackwardSequence(batch, s, work);
  ScatterFields(work);
  return loss;
}

}  // namespace heed::model
