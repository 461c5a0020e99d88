#include "nn/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/gemm.h"
#include "kernels/table.h"
#include "nn/linear.h"

namespace heed::nn {

using kernels::Gemm;
using kernels::Trans;

namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

Parameter Glorot(const std::string& name, size_t inputs, size_t outputs, Random& random) {
  Parameter p = Linear("", inputs, outputs, random).weight;
  p.name = name;
  return p;
}

// Calls body(r, first_candidate, candidates) for every request that has candidates.
template <typename Body>
void EachRequest(std::span<const uint32_t> request_of, Body body) {
  for (size_t n = 0; n < request_of.size();) {
    size_t end = n + 1;
    while (end < request_of.size() && request_of[end] == request_of[n]) ++end;
    body(request_of[n], n, end - n);
    n = end;
  }
}

float ScoreScale(const AttentionShape& shape) {
  const size_t head_width = shape.width / shape.heads;
  return 1.0f / std::sqrt(static_cast<float>(head_width));
}

size_t Length(const AttentionInput& in, size_t r) { return in.offsets[r + 1] - in.offsets[r]; }

}  // namespace

TargetAttention::TargetAttention(const std::string& name, const AttentionShape& shape,
                                 float initial_decay, Random& random)
    : query(Glorot(name + ".query", shape.query_width, shape.width, random)),
      query_bias(name + ".query_bias", 1, shape.width, false),
      key(Glorot(name + ".key", shape.token_width, shape.width, random)),
      value(Glorot(name + ".value", shape.token_width, shape.width, random)),
      null_score(name + ".null_score", 1, shape.heads, false),
      decay(name + ".decay", 1, shape.heads, false),
      shape_(shape) {
  assert(shape.heads > 0 && shape.width % shape.heads == 0);
  decay.value.Fill(initial_decay);
}

std::vector<Parameter*> TargetAttention::Parameters() {
  return {&query, &query_bias, &key, &value, &null_score, &decay};
}

void TargetAttention::ClampDecay() {
  for (size_t h = 0; h < shape_.heads; ++h) {
    decay.value.data()[h] = std::max(decay.value.data()[h], 0.0f);
  }
}

AttentionForm TargetAttention::BestForm(const AttentionInput& in) const {
  const double D = static_cast<double>(shape_.token_width), W = static_cast<double>(shape_.width);
  const double H = static_cast<double>(shape_.heads);
  const bool rows = in.rows != nullptr, projected = rows && in.rows->projection != nullptr;
  const double P = rows ? static_cast<double>(in.rows->parts() * in.rows->width) : 0.0;
  double shared = 0.0, absorbed = 0.0, of_rows = 0.0;
  EachRequest(in.request_of, [&](size_t r, size_t, size_t candidates) {
    const auto L = static_cast<double>(Length(in, r)), n = static_cast<double>(candidates);
    const double project = projected ? L * P * D : 0.0;
    shared += project + 2.0 * L * D * W + 2.0 * n * L * W;
    absorbed += project + 2.0 * n * D * W + 2.0 * n * L * H * D;
    of_rows += 2.0 * n * P * W + 2.0 * n * L * H * P;
  });
  if (rows && of_rows < shared && of_rows <= absorbed) return AttentionForm::kRows;
  return shared <= absorbed ? AttentionForm::kShared : AttentionForm::kAbsorbed;
}

void TargetAttention::Forward(const AttentionInput& in, AttentionTape* tape, Mat out,
                              Mat evidence) const {
  const size_t N = in.queries.rows, H = shape_.heads, W = shape_.width;
  assert(in.request_of.size() == N && out.rows == N && out.cols == W && evidence.cols == H);
  tape->starts.resize(N);
  size_t total = 0;
  for (size_t n = 0; n < N; ++n) {
    tape->starts[n] = total;
    total += H * (Length(in, in.request_of[n]) + 1);
  }
  tape->weights.resize(total);
  if (in.inverse_temperature.data != nullptr) tape->cold_scores.resize(total);
  tape->q.Resize(N, W);
  for (size_t n = 0; n < N; ++n) std::copy_n(query_bias.value.data(), W, tape->q.Row(n));
  MatMul(in.queries, query.value.view(), tape->q.view(), Into::kAdd);
  const float scale = ScoreScale(shape_);
  kernels::Active().scale(scale, tape->q.data(), tape->q.size());
  if (tape->form == AttentionForm::kShared) {
    ForwardShared(in, tape, out, evidence);
  } else if (tape->form == AttentionForm::kRows) {
    ForwardRows(in, tape, out, evidence);
  } else {
    ForwardAbsorbed(in, tape, out, evidence);
  }
}

// Scores to weights, for one candidate.
void TargetAttention::Weigh(const AttentionInput& in, AttentionTape* tape, size_t n,
                            Mat evidence) const {
  const kernels::Table& k = kernels::Active();
  const size_t r = in.request_of[n], first = in.offsets[r], L = Length(in, r);
  for (size_t h = 0; h < shape_.heads; ++h) {
    float* s = tape->weights.data() + tape->starts[n] + h * (L + 1);
    k.axpy(-decay.value.data()[h], in.log_age.data() + first, s, L);
    if (!in.excluded.empty()) {
      for (size_t t = 0; t < L; ++t) {
        if (in.excluded[first + t] != 0) s[t] = kMasked;
      }
    }
    float null = kMasked;
    if (shape_.null_slot) null = null_score.value.data()[h];
    if (in.inverse_temperature.data != nullptr) {
      float* cold = tape->cold_scores.data() + tape->starts[n] + h * (L + 1);
      std::copy_n(s, L, cold);
      cold[L] = null;
      const float inverse = in.inverse_temperature.Row(r)[h];
      k.scale(inverse, s, L);
      null *= inverse;
    }
    s[L] = k.softmax_null(s, L, null);
    const bool any = shape_.null_slot || std::any_of(s, s + L, [](float w) { return w > 0.0f; });
    evidence.Row(n)[h] = any ? 1.0f - s[L] : 0.0f;
  }
}

void TargetAttention::ForwardShared(const AttentionInput& in, AttentionTape* tape, Mat out,
                                    Mat evidence) const {
  const size_t H = shape_.heads, W = shape_.width, dh = W / H;
  tape->keys.Resize(in.tokens.rows, W);
  tape->values.Resize(in.tokens.rows, W);
  MatMul(in.tokens, key.value.view(), tape->keys.view());
  MatMul(in.tokens, value.value.view(), tape->values.view());
  EachRequest(in.request_of, [&](size_t r, size_t n0, size_t count) {
    const size_t L = Length(in, r), first = in.offsets[r], stride = H * (L + 1);
    for (size_t h = 0; h < H; ++h) {
      float* s = tape->weights.data() + tape->starts[n0] + h * (L + 1);
      Gemm(Trans::kNo, Trans::kYes, count, L, dh, tape->q.Row(n0) + h * dh, W,
           tape->keys.data() + first * W + h * dh, W, 0.0f, s, stride);
    }
    for (size_t n = n0; n < n0 + count; ++n) Weigh(in, tape, n, evidence);
    for (size_t h = 0; h < H; ++h) {
      const float* w = tape->weights.data() + tape->starts[n0] + h * (L + 1);
      Gemm(Trans::kNo, Trans::kNo, count, dh, L, w, stride,
           tape->values.data() + first * W + h * dh, W, 0.0f, out.Row(n0) + h * dh, out.stride);
    }
  });
}

void TargetAttention::ForwardAbsorbed(const AttentionInput& in, AttentionTape* tape, Mat out,
                                      Mat evidence) const {
  const kernels::Table& k = kernels::Active();
  const size_t N = in.queries.rows, H = shape_.heads, W = shape_.width, dh = W / H;
  const size_t D = shape_.token_width;
  tape->u.Resize(N, H * D);
  tape->context.Resize(N, H * D);
  for (size_t h = 0; h < H; ++h) {
    Gemm(Trans::kNo, Trans::kYes, N, D, dh, tape->q.data() + h * dh, W, key.value.data() + h * dh,
         W, 0.0f, tape->u.data() + h * D, H * D);
  }
  for (size_t n = 0; n < N; ++n) {
    const size_t r = in.request_of[n], L = Length(in, r);
    const float* x = in.tokens.data + in.offsets[r] * D;
    float* s = tape->weights.data() + tape->starts[n];
    k.attend_scores(tape->u.Row(n), x, H, L, D, s, L + 1);
    Weigh(in, tape, n, evidence);
    k.attend_context(s, L + 1, x, H, L, D, tape->context.Row(n));
  }
  for (size_t h = 0; h < H; ++h) {
    Gemm(Trans::kNo, Trans::kNo, N, dh, D, tape->context.data() + h * D, H * D,
         value.value.data() + h * dh, W, 0.0f, out.data + h * dh, out.stride);
  }
}

void TargetAttention::Backward(const AttentionInput& in, AttentionTape* tape, ConstMat d_out,
                               ConstMat d_evidence, Mat d_queries, Mat d_tokens) {
  assert(tape->form != AttentionForm::kRows);
  StartBackward(in, tape);
  if (tape->form == AttentionForm::kShared) {
    BackwardShared(in, tape, d_out, d_evidence, d_tokens);
  } else {
    BackwardAbsorbed(in, tape, d_out, d_evidence, d_tokens);
  }
  BackwardQuery(in, tape, d_queries);
}

void TargetAttention::StartBackward(const AttentionInput& in, AttentionTape* tape) const {
  tape->d_scores.resize(tape->weights.size());
  if (in.inverse_temperature.data != nullptr) {
    tape->d_inverse_temperature.Resize(in.inverse_temperature.rows, shape_.heads);
    tape->d_inverse_temperature.Fill(0.0f);
  }
  tape->d_q.Resize(in.queries.rows, shape_.width);
}

void TargetAttention::BackwardQuery(const AttentionInput& in, AttentionTape* tape, Mat d_queries) {
  const size_t N = in.queries.rows, W = shape_.width;
  const float scale = ScoreScale(shape_);
  kernels::Active().scale(scale, tape->d_q.data(), tape->d_q.size());
  for (size_t n = 0; n < N; ++n) {
    kernels::Active().axpy(1.0f, tape->d_q.Row(n), query_bias.grad.data(), W);
  }
  Gemm(Trans::kYes, Trans::kNo, in.queries.cols, W, N, in.queries.data, in.queries.stride,
       tape->d_q.data(), W, 1.0f, query.grad.data(), W);
  Gemm(Trans::kNo, Trans::kYes, N, in.queries.cols, W, tape->d_q.data(), W, query.value.data(), W,
       1.0f, d_queries.data, d_queries.stride);
}

// Gradients of weights (in d_scores) to gradients of scores, for one candidate.
void TargetAttention::WeighBackward(const AttentionInput& in, AttentionTape* tape, size_t n,
                                    ConstMat d_evidence, float* d_null_score,
                                    float* d_decay) const {
  const kernels::Table& k = kernels::Active();
  const size_t r = in.request_of[n], first = in.offsets[r], L = Length(in, r);
  for (size_t h = 0; h < shape_.heads; ++h) {
    const float* w = tape->weights.data() + tape->starts[n] + h * (L + 1);
    float* g = tape->d_scores.data() + tape->starts[n] + h * (L + 1);
    // evidence = 1 - a_null, so the null weight's own gradient is -d_evidence.
    g[L] = k.softmax_backward(w, w[L], g, shape_.null_slot ? -d_evidence.Row(n)[h] : 0.0f, L);
    if (in.inverse_temperature.data != nullptr) {
      const float* cold = tape->cold_scores.data() + tape->starts[n] + h * (L + 1);
      float& d_inverse = tape->d_inverse_temperature.Row(r)[h];
      for (size_t t = 0; t <= L; ++t) {
        if (cold[t] != kMasked) d_inverse += g[t] * cold[t];
      }
      k.scale(in.inverse_temperature.Row(r)[h], g, L + 1);
    }
    if (shape_.null_slot) d_null_score[h] += g[L];
    d_decay[h] -= k.dot(g, in.log_age.data() + first, L);
  }
}

void TargetAttention::BackwardShared(const AttentionInput& in, AttentionTape* tape, ConstMat d_out,
                                     ConstMat d_evidence, Mat d_tokens) {
  const size_t H = shape_.heads, W = shape_.width, dh = W / H, T = in.tokens.rows;
  tape->d_keys.Resize(T, W);
  tape->d_values.Resize(T, W);
  tape->d_keys.Fill(0.0f);  // requests without candidates keep zeros
  tape->d_values.Fill(0.0f);
  EachRequest(in.request_of, [&](size_t r, size_t n0, size_t count) {
    const size_t L = Length(in, r), first = in.offsets[r] * W, stride = H * (L + 1);
    for (size_t h = 0; h < H; ++h) {
      const size_t run = tape->starts[n0] + h * (L + 1);
      const float* dy = d_out.Row(n0) + h * dh;
      Gemm(Trans::kNo, Trans::kYes, count, L, dh, dy, d_out.stride,
           tape->values.data() + first + h * dh, W, 0.0f, tape->d_scores.data() + run, stride);
      Gemm(Trans::kYes, Trans::kNo, L, dh, count, tape->weights.data() + run, stride, dy,
           d_out.stride, 0.0f, tape->d_values.data() + first + h * dh, W);
    }
    for (size_t n = n0; n < n0 + count; ++n)
      WeighBackward(in, tape, n, d_evidence, null_score.grad.data(), decay.grad.data());
    for (size_t h = 0; h < H; ++h) {
      const float* ds = tape->d_scores.data() + tape->starts[n0] + h * (L + 1);
      Gemm(Trans::kNo, Trans::kNo, count, dh, L, ds, stride, tape->keys.data() + first + h * dh, W,
           0.0f, tape->d_q.Row(n0) + h * dh, W);
      Gemm(Trans::kYes, Trans::kNo, L, dh, count, ds, stride, tape->q.Row(n0) + h * dh, W, 0.0f,
           tape->d_keys.data() + first + h * dh, W);
    }
  });
  const auto project = [&](const Matrix& d_projected, Parameter& p) {
    Gemm(Trans::kYes, Trans::kNo, in.tokens.cols, W, T, in.tokens.data, in.tokens.stride,
         d_projected.data(), W, 1.0f, p.grad.data(), W);
    Gemm(Trans::kNo, Trans::kYes, T, in.tokens.cols, W, d_projected.data(), W, p.value.data(), W,
         1.0f, d_tokens.data, d_tokens.stride);
  };
  project(tape->d_keys, key);
  project(tape->d_values, value);
}

void TargetAttention::BackwardAbsorbed(const AttentionInput& in, AttentionTape* tape,
                                       ConstMat d_out, ConstMat d_evidence, Mat d_tokens) {
  const kernels::Table& k = kernels::Active();
  const size_t N = in.queries.rows, H = shape_.heads, W = shape_.width, dh = W / H;
  const size_t D = shape_.token_width;
  tape->d_u.Resize(N, H * D);
  tape->d_context.Resize(N, H * D);
  for (size_t h = 0; h < H; ++h) {
    Gemm(Trans::kNo, Trans::kYes, N, D, dh, d_out.data + h * dh, d_out.stride,
         value.value.data() + h * dh, W, 0.0f, tape->d_context.data() + h * D, H * D);
    Gemm(Trans::kYes, Trans::kNo, D, dh, N, tape->context.data() + h * D, H * D,
         d_out.data + h * dh, d_out.stride, 1.0f, value.grad.data() + h * dh, W);
  }
  for (size_t n = 0; n < N; ++n) {
    const size_t r = in.request_of[n], L = Length(in, r);
    const float* x = in.tokens.data + in.offsets[r] * D;
    const float* w = tape->weights.data() + tape->starts[n];
    float* ds = tape->d_scores.data() + tape->starts[n];
    k.attend_scores(tape->d_context.Row(n), x, H, L, D, ds, L + 1);
    WeighBackward(in, tape, n, d_evidence, null_score.grad.data(), decay.grad.data());
    k.attend_context(ds, L + 1, x, H, L, D, tape->d_u.Row(n));
    k.attend_tokens(w, ds, L + 1, tape->d_context.Row(n), tape->u.Row(n), H, L, D,
                    d_tokens.Row(in.offsets[r]));
  }
  for (size_t h = 0; h < H; ++h) {
    Gemm(Trans::kNo, Trans::kNo, N, dh, D, tape->d_u.data() + h * D, H * D,
         key.value.data() + h * dh, W, 0.0f, tape->d_q.data() + h * dh, W);
    Gemm(Trans::kYes, Trans::kNo, D, dh, N, tape->d_u.data() + h * D, H * D,
         tape->q.data() + h * dh, W, 1.0f, key.grad.data() + h * dh, W);
  }
}

void MeanPoolForward(ConstMat tokens, std::span<const uint32_t> offsets, Mat out) {
  const kernels::Table& k = kernels::Active();
  for (size_t r = 0; r < out.rows; ++r) {
    float* sum = out.Row(r);
    std::fill(sum, sum + out.cols, 0.0f);
    for (size_t t = offsets[r]; t < offsets[r + 1]; ++t) k.axpy(1.0f, tokens.Row(t), sum, out.cols);
    k.scale(1.0f / static_cast<float>(offsets[r + 1] - offsets[r] + 1), sum, out.cols);
  }
}

void MeanPoolBackward(std::span<const uint32_t> offsets, ConstMat d_out, Mat d_tokens) {
  const kernels::Table& k = kernels::Active();
  for (size_t r = 0; r < d_out.rows; ++r) {
    const float share = 1.0f / static_cast<float>(offsets[r + 1] - offsets[r] + 1);
    for (size_t t = offsets[r]; t < offsets[r + 1]; ++t) {
      k.axpy(share, d_out.Row(r), d_tokens.Row(t), d_out.cols);
    }
  }
}

}  // namespace heed::nn
