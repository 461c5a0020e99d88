#include "nn/activation_unit.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/gemm.h"
#include "kernels/table.h"
#include "kernels/unit.h"

namespace heed::nn {

using kernels::Gemm;
using kernels::Trans;

ActivationUnit::ActivationUnit(const std::string& name, const ActivationUnitShape& shape,
                               float initial_decay, Random& random)
    : shape_(shape) {
  assert(!shape.hidden.empty());
  const size_t Dt = shape.token_width;
  if (projects()) {
    query = Linear("", shape.query_width, Dt, random).weight;
    query.name = name + ".query";
  }
  first = Linear(name + ".unit.0", 4 * Dt, shape.hidden[0], random);
  for (size_t i = 0; i < shape.hidden.size(); ++i) {
    const size_t next = i + 1 < shape.hidden.size() ? shape.hidden[i + 1] : 1;
    layers.emplace_back(name + ".unit." + std::to_string(i + 1), shape.hidden[i], next, random);
    bends.emplace_back(name + ".bend." + std::to_string(i), shape.activation, shape.hidden[i]);
  }
  if (shape.softmax) {
    null_score = {name + ".null_score", 1, 1, false};
    decay = {name + ".decay", 1, 1, false};
    decay.value.Fill(initial_decay);
  }
}

std::vector<Parameter*> ActivationUnit::Parameters() {
  std::vector<Parameter*> all;
  if (projects()) all.push_back(&query);
  all.insert(all.end(), {&first.weight, &first.bias});
  for (size_t i = 0; i < layers.size(); ++i) {
    for (Parameter* p : bends[i].Parameters()) all.push_back(p);
    all.insert(all.end(), {&layers[i].weight, &layers[i].bias});
  }
  if (shape_.softmax) all.insert(all.end(), {&null_score, &decay});
  return all;
}

void ActivationUnit::ClampDecay() {
  if (shape_.softmax) decay.value.data()[0] = std::max(decay.value.data()[0], 0.0f);
}

void ActivationUnit::Track(const ActivationUnitTape& tape) {
  if (tape.rows_form)
    return;  // only of bends without averages: nothing to track, and no tapes of them
  for (size_t i = 0; i < bends.size(); ++i) bends[i].Track(tape.bends[i]);
}

// The tokens that are not excluded, and where each candidate's pairs and weights begin.
void ActivationUnit::Keep(const AttentionInput& in, ActivationUnitTape* tape) const {
  const size_t R = in.offsets.size() - 1, N = in.request_of.size();
  tape->offsets.assign(1, 0);
  tape->kept.clear();
  for (size_t r = 0; r < R; ++r) {
    for (uint32_t t = in.offsets[r]; t < in.offsets[r + 1]; ++t) {
      if (in.excluded.empty() || in.excluded[t] == 0) tape->kept.push_back(t);
    }
    tape->offsets.push_back(static_cast<uint32_t>(tape->kept.size()));
  }
  tape->kept_age.resize(tape->kept.size());
  for (size_t i = 0; i < tape->kept.size(); ++i) tape->kept_age[i] = in.log_age[tape->kept[i]];
  if (!in.excluded.empty()) {
    tape->kept_tokens.Resize(tape->kept.size(), shape_.token_width);
    for (size_t i = 0; i < tape->kept.size(); ++i) {
      std::copy_n(in.tokens.Row(tape->kept[i]), shape_.token_width, tape->kept_tokens.Row(i));
    }
  }
  tape->first_pair.resize(N + 1);
  tape->starts.resize(N);
  size_t pairs = 0, weights = 0;
  for (size_t n = 0; n < N; ++n) {
    const size_t r = in.request_of[n];
    tape->first_pair[n] = pairs;
    tape->starts[n] = weights;
    pairs += tape->offsets[r + 1] - tape->offsets[r];
    weights += in.offsets[r + 1] - in.offsets[r] + 1;
  }
  tape->first_pair[N] = pairs;
  tape->weights.assign(weights, 0.0f);
}

void ActivationUnit::OwnMatrix(const ActivationUnitTape& tape, size_t n, Matrix* own) const {
  const size_t Dt = shape_.token_width, A = first.outputs();
  const float* q = tape.q.Row(n);
  for (size_t i = 0; i < Dt; ++i) {
    const float *side = tape.token_side.Row(i), *product = first.weight.value.Row(3 * Dt + i);
    float* out = own->Row(i);
    for (size_t j = 0; j < A; ++j) out[j] = side[j] + q[i] * product[j];
  }
}

// What a candidate brings to the first layer whatever the token: q (Wq + Wd) + b.
void ActivationUnit::Sides(const AttentionInput& in, ActivationUnitTape* tape) const {
  const size_t N = in.queries.rows, Dt = shape_.token_width, A = first.outputs();
  tape->q.Resize(N, tape->rows_form ? kernels::UnitPadded(Dt) : Dt);
  tape->base.Resize(N, tape->rows_form ? kernels::UnitPadded(A) : A);
  if (tape->rows_form) tape->q.Fill(0.0f), tape->base.Fill(0.0f);
  const Mat q = tape->q.view().Cols(0, Dt), base = tape->base.view().Cols(0, A);
  if (projects()) {
    MatMul(in.queries, query.value.view(), q);
  } else {
    for (size_t n = 0; n < N; ++n) std::copy_n(in.queries.Row(n), Dt, q.Row(n));
  }
  tape->token_side.Resize(Dt, A);
  tape->q_side.Resize(Dt, A);
  const ConstMat w = first.weight.value.view();
  for (size_t i = 0; i < Dt; ++i) {
    for (size_t j = 0; j < A; ++j) {
      tape->token_side.Row(i)[j] = w.Row(i)[j] - w.Row(2 * Dt + i)[j];
      tape->q_side.Row(i)[j] = w.Row(Dt + i)[j] + w.Row(2 * Dt + i)[j];
    }
  }
  for (size_t n = 0; n < N; ++n) std::copy_n(first.bias.value.data(), A, base.Row(n));
  MatMul(q, tape->q_side.view(), base, Into::kAdd);
}

void ActivationUnit::Forward(const AttentionInput& in, Phase phase, ActivationUnitTape* tape,
                             Mat out, Mat evidence) const {
  const size_t N = in.queries.rows, Dt = shape_.token_width, A = first.outputs();
  assert(in.request_of.size() == N && out.rows == N && out.cols == Dt && evidence.cols == 1);
  if (tape->rows_form) return ForwardRows(in, tape, out, evidence);
  assert(in.tokens.stride == Dt && in.tokens.cols == Dt);
  Keep(in, tape);
  const size_t P = tape->first_pair[N];
  Sides(in, tape);
  const ConstMat tokens = Tokens(in, *tape);
  tape->hidden.resize(shape_.hidden.size());
  tape->bends.resize(bends.size());
  tape->own.Resize(Dt, A);
  tape->hidden[0].Resize(P, A);
  for (size_t n = 0; n < N; ++n) {
    const size_t first_pair = tape->first_pair[n], L = tape->first_pair[n + 1] - first_pair;
    if (L == 0) continue;
    for (size_t i = 0; i < L; ++i) {
      std::copy_n(tape->base.Row(n), A, tape->hidden[0].Row(first_pair + i));
    }
    OwnMatrix(*tape, n, &tape->own);
    Gemm(Trans::kNo, Trans::kNo, L, A, Dt, tokens.Row(tape->offsets[in.request_of[n]]), Dt,
         tape->own.data(), A, 1.0f, tape->hidden[0].Row(first_pair), A);
  }
  for (size_t i = 0; i < bends.size(); ++i) {
    bends[i].Forward(phase, &tape->bends[i], tape->hidden[i].view());
    const bool last = i + 1 == bends.size();
    Matrix& next = last ? tape->pair_weights : tape->hidden[i + 1];
    next.Resize(P, layers[i].outputs());
    layers[i].Forward(tape->hidden[i].view(), next.view());
  }
  Weigh(in, tape, evidence);
  for (size_t n = 0; n < N; ++n) {
    const size_t first_pair = tape->first_pair[n], L = tape->first_pair[n + 1] - first_pair;
    kernels::Active().attend_context(tape->pair_weights.data() + first_pair, L,
                                     tokens.Row(tape->offsets[in.request_of[n]]), 1, L, Dt,
                                     out.Row(n));
  }
}

// Scores of L tokens to weights, in place, and the null slot's; returns the evidence.
float ActivationUnit::ToWeights(const float* log_age, float* s, size_t L, float* null) const {
  const kernels::Table& k = kernels::Active();
  *null = 0.0f;
  if (!shape_.softmax) return std::accumulate(s, s + L, 0.0f);
  k.axpy(-decay.value.data()[0], log_age, s, L);
  *null = k.softmax_null(s, L, shape_.null_slot ? null_score.value.data()[0] : -INFINITY);
  return shape_.null_slot ? 1.0f - *null : (L > 0 ? 1.0f : 0.0f);
}

// The same for all pairs, and a copy for explanations.
void ActivationUnit::Weigh(const AttentionInput& in, ActivationUnitTape* tape, Mat evidence) const {
  const size_t N = in.queries.rows;
  tape->nulls.assign(N, 0.0f);
  for (size_t n = 0; n < N; ++n) {
    const size_t r = in.request_of[n], begin = tape->offsets[r];
    const size_t L = tape->offsets[r + 1] - begin;
    float* s = tape->pair_weights.data() + tape->first_pair[n];
    evidence.Row(n)[0] = ToWeights(tape->kept_age.data() + begin, s, L, &tape->nulls[n]);
    float* weights = tape->weights.data() + tape->starts[n];
    for (size_t i = 0; i < L; ++i) weights[tape->kept[begin + i] - in.offsets[r]] = s[i];
    weights[in.offsets[r + 1] - in.offsets[r]] = tape->nulls[n];
  }
}

void ActivationUnit::Backward(const AttentionInput& in, ActivationUnitTape* tape, ConstMat d_out,
                              ConstMat d_evidence, Mat d_queries, Mat d_tokens) {
  const kernels::Table& k = kernels::Active();
  const size_t N = in.queries.rows, Dt = shape_.token_width, A = first.outputs();
  const size_t P = tape->first_pair[N];
  const ConstMat tokens = Tokens(in, *tape);
  tape->d_kept.Resize(tokens.rows, Dt);
  tape->d_kept.Fill(0.0f);
  tape->d_pairs.Resize(P, 1);
  for (size_t n = 0; n < N; ++n) {
    const size_t first_pair = tape->first_pair[n], L = tape->first_pair[n + 1] - first_pair;
    const size_t begin = tape->offsets[in.request_of[n]];
    const float* w = tape->pair_weights.data() + first_pair;
    float* d = tape->d_pairs.data() + first_pair;
    k.attend_scores(d_out.Row(n), tokens.Row(begin), 1, L, Dt, d, L);
    for (size_t i = 0; i < L; ++i) k.axpy(w[i], d_out.Row(n), tape->d_kept.Row(begin + i), Dt);
    const float d_e = d_evidence.Row(n)[0];
    if (!shape_.softmax) {
      for (size_t i = 0; i < L; ++i) d[i] += d_e;
      continue;
    }
    // evidence = 1 - a_null, so the null weight's own gradient is -d_evidence.
    const float d_null =
        k.softmax_backward(w, tape->nulls[n], d, shape_.null_slot ? -d_e : 0.0f, L);
    if (shape_.null_slot) null_score.grad.data()[0] += d_null;
    decay.grad.data()[0] -= k.dot(d, tape->kept_age.data() + begin, L);
  }
  tape->d_hidden.resize(bends.size());
  for (size_t i = bends.size(); i-- > 0;) {
    const bool last = i + 1 == bends.size();
    tape->d_hidden[i].Resize(P, shape_.hidden[i]);
    Mat d_hidden = tape->d_hidden[i].view();
    layers[i].Backward(tape->hidden[i].view(),
                       last ? tape->d_pairs.view() : tape->d_hidden[i + 1].view(), &d_hidden);
    bends[i].Backward(&tape->bends[i], d_hidden);
  }
  tape->own.Resize(Dt, A);
  tape->d_own.Resize(Dt, A);
  tape->d_token_side.Resize(Dt, A);
  tape->d_token_side.Fill(0.0f);
  tape->d_base.Resize(N, A);
  tape->d_base.Fill(0.0f);
  tape->d_q.Resize(N, Dt);
  tape->d_q.Fill(0.0f);
  const ConstMat w = first.weight.value.view();
  const Mat g = first.weight.grad.view();
  for (size_t n = 0; n < N; ++n) {
    const size_t first_pair = tape->first_pair[n], L = tape->first_pair[n + 1] - first_pair;
    if (L == 0) continue;
    const size_t begin = tape->offsets[in.request_of[n]];
    const float* d_pre = tape->d_hidden[0].Row(first_pair);
    for (size_t i = 0; i < L; ++i) k.axpy(1.0f, d_pre + i * A, tape->d_base.Row(n), A);
    OwnMatrix(*tape, n, &tape->own);
    Gemm(Trans::kNo, Trans::kYes, L, Dt, A, d_pre, A, tape->own.data(), A, 1.0f,
         tape->d_kept.Row(begin), Dt);
    Gemm(Trans::kYes, Trans::kNo, Dt, A, L, tokens.Row(begin), Dt, d_pre, A, 0.0f,
         tape->d_own.data(), A);
    k.axpy(1.0f, tape->d_own.data(), tape->d_token_side.data(), Dt * A);
    for (size_t i = 0; i < Dt; ++i) {
      k.axpy(tape->q.Row(n)[i], tape->d_own.Row(i), g.Row(3 * Dt + i), A);
      tape->d_q.Row(n)[i] += k.dot(w.Row(3 * Dt + i), tape->d_own.Row(i), A);
    }
  }
  BackwardSides(in, tape, d_queries);
  for (size_t i = 0; i < tape->kept.size(); ++i) {
    k.axpy(1.0f, tape->d_kept.Row(i), d_tokens.Row(tape->kept[i]), Dt);
  }
}

// From the gradients of q, of the base and of Wk - Wd to those of the query and the first layer's blocks.
void ActivationUnit::BackwardSides(const AttentionInput& in, ActivationUnitTape* tape,
                                   Mat d_queries) {
  const kernels::Table& k = kernels::Active();
  const size_t N = in.queries.rows, Dt = shape_.token_width, A = first.outputs();
  const size_t T = tape->q.cols(), padded = tape->base.cols();
  const Mat g = first.weight.grad.view();
  tape->d_q_side.Resize(Dt, A);
  Gemm(Trans::kYes, Trans::kNo, Dt, A, N, tape->q.data(), T, tape->d_base.data(), padded, 0.0f,
       tape->d_q_side.data(), A);
  Gemm(Trans::kNo, Trans::kYes, N, Dt, A, tape->d_base.data(), padded, tape->q_side.data(), A, 1.0f,
       tape->d_q.data(), T);
  for (size_t n = 0; n < N; ++n) k.axpy(1.0f, tape->d_base.Row(n), first.bias.grad.data(), A);
  for (size_t i = 0; i < Dt; ++i) {
    k.axpy(1.0f, tape->d_token_side.Row(i), g.Row(i), A);
    k.axpy(1.0f, tape->d_q_side.Row(i), g.Row(Dt + i), A);
    k.axpy(-1.0f, tape->d_token_side.Row(i), g.Row(2 * Dt + i), A);
    k.axpy(1.0f, tape->d_q_side.Row(i), g.Row(2 * Dt + i), A);
  }
  if (projects()) {
    const size_t Dq = shape_.query_width;
    Gemm(Trans::kYes, Trans::kNo, Dq, Dt, N, in.queries.data, in.queries.stride, tape->d_q.data(),
         T, 1.0f, query.grad.data(), Dt);
    Gemm(Trans::kNo, Trans::kYes, N, Dq, Dt, tape->d_q.data(), T, query.value.data(), Dt, 1.0f,
         d_queries.data, d_queries.stride);
  } else {
    for (size_t n = 0; n < N; ++n) k.axpy(1.0f, tape->d_q.Row(n), d_queries.Row(n), Dt);
  }
}

}  // namespace heed::nn
