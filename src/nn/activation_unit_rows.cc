// DIN's activation unit in the rows form (activation_unit.h): one history at a time, forward and back.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/team.h"
#include "kernels/denormals.h"
#include "kernels/table.h"
#include "kernels/unit.h"
#include "nn/activation_unit.h"
#include "nn/attention_rows.h"

namespace heed::nn {

using kernels::RowFetch;
using kernels::TokenRows;
using kernels::UnitPadded;

namespace {

constexpr size_t kLanes = 4;   // of the forward pass; fixed, whatever the number of threads
constexpr size_t kBlock = 24;  // tokens whose rows' gradients are in flight: 18 KB at R1's widths

// `from`, its columns filled up with zeros.
void Pad(ConstMat from, Matrix* to) {
  to->Resize(from.rows, UnitPadded(from.cols));
  to->Fill(0.0f);
  for (size_t i = 0; i < from.rows; ++i) std::copy_n(from.Row(i), from.cols, to->Row(i));
}

// The transpose of `from`, likewise.
void PadTransposed(ConstMat from, Matrix* to) {
  to->Resize(from.cols, UnitPadded(from.rows));
  to->Fill(0.0f);
  for (size_t i = 0; i < from.rows; ++i) {
    for (size_t j = 0; j < from.cols; ++j) to->Row(j)[i] = from.Row(i)[j];
  }
}

void Zero(size_t rows, size_t cols, Matrix* m) {
  m->Resize(rows, cols);
  m->Fill(0.0f);
}

// Adds the first columns of padded gradients to those of the weights.
void AddTo(const Matrix& sums, Matrix* grad) {
  for (size_t i = 0; i < grad->rows(); ++i) {
    kernels::Active().axpy(1.0f, sums.Row(i), grad->Row(i), grad->cols());
  }
}

// Rows of a matrix as tokens of one part.
class OwnRows {
 public:
  OwnRows(const float* data, size_t stride, const UnitRowsTape& tape)
      : data_(data), stride_(stride), iota_(tape.iota.data()) {}
  TokenRows Of(size_t rows, size_t width) const {
    return {.tables = &data_,
            .rows = iota_,
            .tokens = rows,
            .parts = 1,
            .width = width,
            .stride = stride_};
  }

 private:
  const float* data_;
  size_t stride_;
  const uint32_t* iota_;
};

}  // namespace

void ActivationUnit::StartRows(const AttentionInput& in, ActivationUnitTape* tape) const {
  const size_t N = in.request_of.size(), Dt = shape_.token_width;
  UnitRowsTape& own = tape->rows;
  size_t weights = 0, longest = 1;
  tape->starts.resize(N);
  for (size_t n = 0; n < N; ++n) {
    const size_t r = in.request_of[n], L = in.offsets[r + 1] - in.offsets[r];
    tape->starts[n] = weights;
    weights += L + 1;
  }
  for (size_t r = 0; r + 1 < in.offsets.size(); ++r) {
    longest = std::max<size_t>(longest, in.offsets[r + 1] - in.offsets[r]);
  }
  tape->weights.resize(weights);
  own.iota.resize(longest);
  std::iota(own.iota.begin(), own.iota.end(), 0u);
  Sides(in, tape);
  if (const Linear* projection = in.rows->projection; projection != nullptr) {
    Pad(projection->weight.value.view(), &own.event);
    Pad(projection->bias.value.view(), &own.event_bias);
    own.tokens.Resize(in.offsets.back(), UnitPadded(Dt));
  }
  Pad(tape->token_side.view(), &own.side);
  Pad(first.weight.value.view().Rows(3 * Dt, Dt), &own.product);
  const size_t hidden = bends.size();
  own.weight.resize(hidden);
  own.bias.resize(hidden);
  own.slope.resize(hidden);
  for (size_t i = 0; i < hidden; ++i) {
    const size_t A = shape_.hidden[i];
    if (bends[i].kind() == ActivationKind::kRelu) {
      Zero(1, UnitPadded(A), &own.slope[i]);
    } else {
      Pad(bends[i].slope.value.view(), &own.slope[i]);
    }
    if (i == 0) continue;
    Pad(layers[i - 1].weight.value.view(), &own.weight[i]);
    Pad(layers[i - 1].bias.value.view(), &own.bias[i]);
  }
  PadTransposed(layers.back().weight.value.view(), &own.score);
}

// The hidden layers of candidate n into lane->bent and lane->hidden.
void ActivationUnit::Layers(const TokenRows& tokens, size_t n, const ActivationUnitTape& tape,
                            UnitRowsTape::Lane* lane, RowFetch* next) const {
  const kernels::UnitKernels& unit = kernels::ActiveUnit();
  const UnitRowsTape& own = tape.rows;
  const size_t L = tokens.tokens, A = tape.base.cols();
  unit.own(own.side.data(), own.product.data(), tape.q.Row(n), shape_.token_width, A,
           lane->own.data());
  for (size_t i = 0; i < bends.size(); ++i) {
    const size_t columns = UnitPadded(shape_.hidden[i]);
    lane->bent[i].Resize(L, columns);
    lane->hidden[i].Resize(L, columns);
    if (i == 0) {
      unit.times(tokens, lane->own.data(), tape.base.Row(n), A, lane->bent[0].data(), next);
    } else {
      const OwnRows before(lane->hidden[i - 1].data(), lane->hidden[i - 1].cols(), own);
      unit.times(before.Of(L, shape_.hidden[i - 1]), own.weight[i].data(), own.bias[i].data(),
                 columns, lane->bent[i].data(), next);
    }
    unit.bend(lane->bent[i].data(), own.slope[i].data(), L, columns, lane->hidden[i].data());
  }
}

void ActivationUnit::ForwardRows(const AttentionInput& in, ActivationUnitTape* tape, Mat out,
                                 Mat evidence) const {
  const kernels::UnitKernels& unit = kernels::ActiveUnit();
  const kernels::HistoryKernels& history = kernels::ActiveHistory();
  const kernels::Table& k = kernels::Active();
  assert(in.rows != nullptr && in.excluded.empty() && ReadsRows());
  StartRows(in, tape);
  UnitRowsTape& own = tape->rows;
  const size_t R = in.offsets.size() - 1, Dt = shape_.token_width, T = UnitPadded(Dt);
  const size_t last = bends.size() - 1;
  if (in.rows->mean) own.mean.Resize(R, Dt);
  if (own.lanes.size() < kLanes) own.lanes.resize(kLanes);
  ParallelFor(kLanes, [&](size_t which) {
    const kernels::FlushDenormals flush;
    UnitRowsTape::Lane* lane = &own.lanes[which];
    lane->own.Resize(Dt, tape->base.cols());
    lane->bent.resize(bends.size());
    lane->hidden.resize(bends.size());
    const auto attend = [&](size_t r, size_t n0, size_t count) {
      const TokenRows x = RowsOf(in, r);
      const size_t L = x.tokens;
      RowFetch next{.of = RowsOf(in, r + 1), .eager = 2};
      const bool projected = in.rows->projection != nullptr;
      const OwnRows projection(projected ? own.tokens.Row(in.offsets[r]) : nullptr, T, own);
      const TokenRows tokens = projected ? projection.Of(L, Dt) : x;
      if (projected) {
        unit.times(x, own.event.data(), own.event_bias.data(), T, own.tokens.Row(in.offsets[r]),
                   &next);
      }
      if (in.rows->mean) {
        history.sum(tokens, own.mean.Row(r));
        k.scale(MeanShare(L), own.mean.Row(r), Dt);
      }
      for (size_t n = n0; n < n0 + count; ++n) {
        Layers(tokens, n, *tape, lane, &next);
        float* s = tape->weights.data() + tape->starts[n];
        k.attend_scores(own.score.data(), lane->hidden[last].data(), 1, L, own.score.cols(), s, L);
        const float bias = layers.back().bias.value.data()[0];
        for (size_t t = 0; t < L; ++t) s[t] += bias;
        evidence.Row(n)[0] = ToWeights(in.log_age.data() + in.offsets[r], s, L, s + L);
        history.context(tokens, s, L + 1, 1, out.Row(n), &next);
      }
      history.fetch(&next);
    };
    EveryRequest(in, R * which / kLanes, R * (which + 1) / kLanes, attend);
  });
}

struct ActivationUnit::RowsPass {
  const AttentionInput& in;
  ActivationUnitTape* tape;
  ConstMat d_out, d_evidence, d_mean;
};

void ActivationUnit::StartLane(const RowsPass& pass, UnitRowsTape::Lane* lane) const {
  const UnitRowsTape& own = pass.tape->rows;
  const size_t Dt = shape_.token_width, T = UnitPadded(Dt), A = own.side.cols();
  lane->own.Resize(std::max(Dt, first.outputs()), std::max(T, A));
  lane->bent.resize(bends.size());
  lane->hidden.resize(bends.size());
  lane->d_own.Resize(Dt, A);
  lane->d_rows.Resize(kBlock, own.event_t.cols());
  lane->row.Resize(1, std::max(T, own.score.cols()));
  Zero(own.event.rows(), own.event.cols(), &lane->d_event);
  Zero(1, T, &lane->d_event_bias);
  Zero(Dt, A, &lane->d_side);
  Zero(Dt, A, &lane->d_product);
  Zero(1, own.score.cols(), &lane->d_score);
  lane->d_weight.resize(bends.size());
  lane->d_bias.resize(bends.size());
  lane->d_slope.resize(bends.size());
  for (size_t i = 0; i < bends.size(); ++i) {
    Zero(own.weight[i].rows(), own.weight[i].cols(), &lane->d_weight[i]);
    Zero(1, own.slope[i].cols(), &lane->d_bias[i]);
    Zero(1, own.slope[i].cols(), &lane->d_slope[i]);
  }
  lane->d_score_bias = lane->d_null = lane->d_decay = 0.0f;
}

// Adds what candidate n says of the tokens to lane->d_tokens.
void ActivationUnit::BackwardCandidate(const RowsPass& pass, const TokenRows& tokens, size_t n,
                                       UnitRowsTape::Lane* lane, RowFetch* next) const {
  const kernels::UnitKernels& unit = kernels::ActiveUnit();
  const kernels::Table& k = kernels::Active();
  ActivationUnitTape* tape = pass.tape;
  const UnitRowsTape& own = tape->rows;
  const size_t L = tokens.tokens, Dt = shape_.token_width, T = tape->q.cols();
  const size_t last = bends.size() - 1;
  Layers(tokens, n, *tape, lane, next);

  const float* w = tape->weights.data() + tape->starts[n];
  lane->d_scores.Resize(1, L);
  float* ds = lane->d_scores.data();
  kernels::ActiveHistory().scores(tokens, pass.d_out.Row(n), 1, ds, L, next);
  for (size_t t = 0; t < L; ++t) k.axpy(w[t], pass.d_out.Row(n), lane->d_tokens.Row(t), Dt);
  const float d_e = pass.d_evidence.Row(n)[0];
  if (shape_.softmax) {
    // evidence = 1 - a_null, so the null weight's own gradient is -d_evidence.
    const float d_null = k.softmax_backward(w, w[L], ds, shape_.null_slot ? -d_e : 0.0f, L);
    const size_t begin = pass.in.offsets[pass.in.request_of[n]];
    if (shape_.null_slot) lane->d_null += d_null;
    lane->d_decay -= k.dot(ds, pass.in.log_age.data() + begin, L);
  } else {
    for (size_t t = 0; t < L; ++t) ds[t] += d_e;
  }

  const OwnRows scores(ds, 1, own);
  lane->d.Resize(L, own.score.cols());
  unit.times(scores.Of(L, 1), own.score.data(), nullptr, own.score.cols(), lane->d.data(), next);
  k.attend_context(ds, L, lane->hidden[last].data(), 1, L, own.score.cols(), lane->row.data());
  k.axpy(1.0f, lane->row.data(), lane->d_score.data(), own.score.cols());
  for (size_t t = 0; t < L; ++t) lane->d_score_bias += ds[t];
  for (size_t i = bends.size(); i-- > 0;) {
    const size_t columns = own.slope[i].cols();
    float* d_bias = i > 0 ? lane->d_bias[i].data() : tape->d_base.Row(n);
    unit.bend_backward(lane->bent[i].data(), own.slope[i].data(), L, columns, lane->d.data(),
                       lane->d_slope[i].data(), d_bias);
    if (i == 0) break;
    const OwnRows before(lane->hidden[i - 1].data(), lane->hidden[i - 1].cols(), own);
    unit.outer(before.Of(L, shape_.hidden[i - 1]), lane->d.data(), columns,
               lane->d_weight[i].data(), next);
    const OwnRows d(lane->d.data(), columns, own);
    lane->d_before.Resize(L, own.slope[i - 1].cols());
    unit.times(d.Of(L, shape_.hidden[i]), own.weight_t[i].data(), nullptr, lane->d_before.cols(),
               lane->d_before.data(), next);
    std::swap(lane->d, lane->d_before);
  }

  const size_t A = own.side.cols();
  lane->d_own.Fill(0.0f);
  unit.outer(tokens, lane->d.data(), A, lane->d_own.data(), next);
  unit.own_backward(lane->d_own.data(), own.product.data(), tape->q.Row(n), Dt, A,
                    lane->d_side.data(), lane->d_product.data(), tape->d_q.Row(n));
  unit.own_transposed(own.side_t.data(), own.product_t.data(), tape->q.Row(n), T, first.outputs(),
                      lane->own.data());
  const OwnRows d(lane->d.data(), A, own);
  lane->d_part.Resize(L, T);
  unit.times(d.Of(L, first.outputs()), lane->own.data(), nullptr, T, lane->d_part.data(), next);
  k.axpy(1.0f, lane->d_part.data(), lane->d_tokens.data(), L * T);
}

void ActivationUnit::BackwardLane(const RowsPass& pass, size_t first_request, size_t last_request,
                                  TokenGradients* to, UnitRowsTape::Lane* lane) const {
  const kernels::UnitKernels& unit = kernels::ActiveUnit();
  const kernels::Table& k = kernels::Active();
  const AttentionInput& in = pass.in;
  const UnitRowsTape& own = pass.tape->rows;
  const size_t Dt = shape_.token_width, T = UnitPadded(Dt);
  StartLane(pass, lane);
  const auto back = [&](size_t r, size_t n0, size_t count) {
    const TokenRows x = RowsOf(in, r);
    const size_t L = x.tokens, begin = in.offsets[r];
    const bool mean = pass.d_mean.data != nullptr, projected = in.rows->projection != nullptr;
    if (L == 0 || (count == 0 && !mean)) return;
    RowFetch next;
    if (r + 1 < last_request) next.of = RowsOf(in, r + 1);
    to->Start(begin, L);
    const OwnRows projection(projected ? own.tokens.Row(begin) : nullptr, T, own);
    Zero(L, T, &lane->d_tokens);
    for (size_t t = 0; t < L && mean; ++t) {
      k.axpy(MeanShare(L), pass.d_mean.Row(r), lane->d_tokens.Row(t), Dt);
    }
    for (size_t n = n0; n < n0 + count; ++n) {
      BackwardCandidate(pass, projected ? projection.Of(L, Dt) : x, n, lane, &next);
    }
    const OwnRows d(lane->d_tokens.data(), T, own);
    if (projected) {
      unit.outer(x, lane->d_tokens.data(), T, lane->d_event.data(), &next);
      kernels::ActiveHistory().sum(d.Of(L, T), lane->row.data());
      k.axpy(1.0f, lane->row.data(), lane->d_event_bias.data(), T);
    }
    for (size_t t = 0; t < L; t += kBlock) {
      const size_t some = std::min(kBlock, L - t);
      if (!projected) {
        to->Take(begin + t, some, lane->d_tokens.Row(t), T, &next);
        continue;
      }
      const OwnRows of(lane->d_tokens.Row(t), T, own);
      const size_t E = own.event_t.cols();
      unit.times(of.Of(some, Dt), own.event_t.data(), nullptr, E, lane->d_rows.data(), &next);
      to->Take(begin + t, some, lane->d_rows.data(), E, &next);
    }
    kernels::ActiveHistory().fetch(&next);
  };
  EveryRequest(in, first_request, last_request, back);
}

void ActivationUnit::AddLane(const UnitRowsTape::Lane& lane, ActivationUnitTape* tape,
                             Linear* projection) {
  const size_t Dt = shape_.token_width, A = first.outputs();
  const kernels::Table& k = kernels::Active();
  for (size_t i = 0; i < Dt; ++i) {
    k.axpy(1.0f, lane.d_side.Row(i), tape->d_token_side.Row(i), A);
    k.axpy(1.0f, lane.d_product.Row(i), first.weight.grad.Row(3 * Dt + i), A);
  }
  for (size_t i = 0; i < bends.size(); ++i) {
    if (bends[i].kind() != ActivationKind::kRelu) AddTo(lane.d_slope[i], &bends[i].slope.grad);
    if (i == 0) continue;
    AddTo(lane.d_weight[i], &layers[i - 1].weight.grad);
    AddTo(lane.d_bias[i], &layers[i - 1].bias.grad);
  }
  k.axpy(1.0f, lane.d_score.data(), layers.back().weight.grad.data(), layers.back().inputs());
  layers.back().bias.grad.data()[0] += lane.d_score_bias;
  if (shape_.softmax) {
    null_score.grad.data()[0] += lane.d_null;
    decay.grad.data()[0] += lane.d_decay;
  }
  if (projection == nullptr) return;
  AddTo(lane.d_event, &projection->weight.grad);
  AddTo(lane.d_event_bias, &projection->bias.grad);
}

void ActivationUnit::BackwardRows(const AttentionInput& in, ActivationUnitTape* tape,
                                  ConstMat d_out, ConstMat d_evidence, ConstMat d_mean,
                                  Mat d_queries, Linear* projection,
                                  std::span<TokenGradients* const> tokens) {
  assert(tape->rows_form && projection == in.rows->projection);
  UnitRowsTape& own = tape->rows;
  const size_t N = in.queries.rows, R = in.offsets.size() - 1, Dt = shape_.token_width;
  if (projection != nullptr) PadTransposed(projection->weight.value.view(), &own.event_t);
  PadTransposed(tape->token_side.view(), &own.side_t);
  PadTransposed(first.weight.value.view().Rows(3 * Dt, Dt), &own.product_t);
  own.weight_t.resize(bends.size());
  for (size_t i = 1; i < bends.size(); ++i) {
    PadTransposed(layers[i - 1].weight.value.view(), &own.weight_t[i]);
  }
  Zero(Dt, first.outputs(), &tape->d_token_side);
  Zero(N, tape->base.cols(), &tape->d_base);
  Zero(N, tape->q.cols(), &tape->d_q);
  const size_t lanes = tokens.size();
  if (own.lanes.size() < lanes) own.lanes.resize(lanes);
  const RowsPass pass{in, tape, d_out, d_evidence, d_mean};
  ParallelFor(lanes, [&](size_t lane) {
    const kernels::FlushDenormals flush;
    BackwardLane(pass, R * lane / lanes, R * (lane + 1) / lanes, tokens[lane], &own.lanes[lane]);
  });
  for (size_t lane = 0; lane < lanes; ++lane) AddLane(own.lanes[lane], tape, projection);
  BackwardSides(in, tape, d_queries);
}

}  // namespace heed::nn
