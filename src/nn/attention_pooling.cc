#include "nn/attention_pooling.h"

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

Parameter Uniform(const std::string& name, size_t rows, size_t cols, double limit, Random& random) {
  Parameter p(name, rows, cols, true);
  for (size_t i = 0; i < p.value.size(); ++i) {
    p.value.data()[i] = static_cast<float>(random.Uniform(-limit, limit));
  }
  return p;
}

Parameter Glorot(const std::string& name, size_t rows, size_t cols, size_t fan, Random& random) {
  return Uniform(name, rows, cols, std::sqrt(6.0 / static_cast<double>(std::max<size_t>(fan, 1))),
                 random);
}

size_t Length(const PoolingInput& in, size_t b) { return in.offsets[b + 1] - in.offsets[b]; }

}  // namespace

Pooling::Pooling(const std::string& name, const PoolingShape& shape, Random& random)
    : value(Glorot(name + ".value", shape.value_width == 0 ? 0 : shape.heads * shape.item_width,
                   shape.value_width, shape.item_width + shape.value_width, random)),
      null_score(name + ".null_score", 1, shape.heads, false),
      shape_(shape) {
  assert(shape.heads > 0 && shape.item_width > 0 && shape.temperature > 0.0f);
}

std::vector<Parameter*> Pooling::Own() {
  std::vector<Parameter*> own;
  if (shape_.value_width > 0) own.push_back(&value);
  if (shape_.null_slot) own.push_back(&null_score);
  return own;
}

void Pooling::Weigh(const PoolingInput& in, ConstMat keys, const Matrix& directions,
                    PoolingTape* tape, Mat out, Mat evidence) const {
  const kernels::Table& k = kernels::Active();
  const size_t B = in.offsets.size() - 1, H = shape_.heads, D = shape_.item_width;
  assert(in.items.cols == D && in.items.stride == D && keys.stride == keys.cols);
  assert(out.rows == B && out.cols == shape_.OutputWidth() && evidence.cols == H);
  tape->starts.resize(B);
  size_t total = 0;
  for (size_t b = 0; b < B; ++b) {
    tape->starts[b] = total;
    total += H * (Length(in, b) + 1);
  }
  tape->weights.resize(total);
  tape->context.Resize(B, H * D);
  for (size_t b = 0; b < B; ++b) {
    const size_t first = in.offsets[b], L = Length(in, b);
    float* run = tape->weights.data() + tape->starts[b];
    k.attend_scores(directions.data(), keys.Row(first), H, L, keys.cols, run, L + 1);
    for (size_t h = 0; h < H; ++h) {
      float* s = run + h * (L + 1);
      k.scale(1.0f / shape_.temperature, s, L);
      for (size_t t = 0; t < L && !in.excluded.empty(); ++t) {
        if (in.excluded[first + t] != 0) s[t] = -std::numeric_limits<float>::infinity();
      }
      const float null =
          shape_.null_slot ? null_score.value.data()[h] : -std::numeric_limits<float>::infinity();
      s[L] = k.softmax_null(s, L, null);
      const bool any = shape_.null_slot || std::any_of(s, s + L, [](float w) { return w > 0.0f; });
      evidence.Row(b)[h] = any ? 1.0f - s[L] : 0.0f;
    }
    k.attend_context(run, L + 1, in.items.Row(first), H, L, D, tape->context.Row(b));
  }
  const size_t V = shape_.value_width;
  for (size_t h = 0; h < H && V > 0; ++h) {
    Gemm(Trans::kNo, Trans::kNo, B, V, D, tape->context.data() + h * D, H * D,
         value.value.Row(h * D), V, 0.0f, out.data + h * V, out.stride);
  }
  for (size_t b = 0; b < B && V == 0; ++b) std::copy_n(tape->context.Row(b), H * D, out.Row(b));
}

void Pooling::WeighBackward(const PoolingInput& in, PoolingTape* tape, ConstMat d_out,
                            ConstMat d_evidence) {
  const kernels::Table& k = kernels::Active();
  const size_t B = in.offsets.size() - 1, H = shape_.heads, D = shape_.item_width;
  const size_t V = shape_.value_width;
  tape->d_context.Resize(B, H * D);
  for (size_t h = 0; h < H && V > 0; ++h) {
    const float* dy = d_out.data + h * V;
    Gemm(Trans::kNo, Trans::kYes, B, D, V, dy, d_out.stride, value.value.Row(h * D), V, 0.0f,
         tape->d_context.data() + h * D, H * D);
    Gemm(Trans::kYes, Trans::kNo, D, V, B, tape->context.data() + h * D, H * D, dy, d_out.stride,
         1.0f, value.grad.Row(h * D), V);
  }
  for (size_t b = 0; b < B && V == 0; ++b) {
    std::copy_n(d_out.Row(b), H * D, tape->d_context.Row(b));
  }
  tape->d_scores.resize(tape->weights.size());
  for (size_t b = 0; b < B; ++b) {
    const size_t L = Length(in, b);
    const float* run = tape->weights.data() + tape->starts[b];
    float* d_run = tape->d_scores.data() + tape->starts[b];
    k.attend_scores(tape->d_context.Row(b), in.items.Row(in.offsets[b]), H, L, D, d_run, L + 1);
    for (size_t h = 0; h < H; ++h) {
      const float* w = run + h * (L + 1);
      float* g = d_run + h * (L + 1);
      // evidence = 1 - a_null, so the null weight's own gradient is -d_evidence.
      g[L] = k.softmax_backward(w, w[L], g, shape_.null_slot ? -d_evidence.Row(b)[h] : 0.0f, L);
      if (shape_.null_slot) null_score.grad.data()[h] += g[L];
      k.scale(1.0f / shape_.temperature, g, L);
    }
  }
}

AttentionPooling::AttentionPooling(const std::string& name, const PoolingShape& shape,
                                   Random& random)
    : Pooling(name, shape, random),
      score(Uniform(name + ".score", shape.heads, shape.item_width,
                    1.0 / static_cast<double>(shape.item_width), random)) {}

void AttentionPooling::Forward(const PoolingInput& in, PoolingTape* tape, Mat out,
                               Mat evidence) const {
  Weigh(in, in.items, score.value, tape, out, evidence);
}

void AttentionPooling::Backward(const PoolingInput& in, PoolingTape* tape, ConstMat d_out,
                                ConstMat d_evidence, Mat d_items) {
  const kernels::Table& k = kernels::Active();
  const size_t B = in.offsets.size() - 1, H = shape_.heads, D = shape_.item_width;
  assert(d_items.stride == D);
  WeighBackward(in, tape, d_out, d_evidence);
  tape->d_head.Resize(1, H * D);
  for (size_t b = 0; b < B; ++b) {
    const size_t first = in.offsets[b], L = Length(in, b);
    const float* w = tape->weights.data() + tape->starts[b];
    const float* ds = tape->d_scores.data() + tape->starts[b];
    k.attend_tokens(w, ds, L + 1, tape->d_context.Row(b), score.value.data(), H, L, D,
                    d_items.Row(first));
    k.attend_context(ds, L + 1, in.items.Row(first), H, L, D, tape->d_head.data());
    k.axpy(1.0f, tape->d_head.data(), score.grad.data(), H * D);
  }
}

std::vector<Parameter*> AttentionPooling::Parameters() {
  std::vector<Parameter*> all = Own();
  all.insert(all.begin(), &score);
  return all;
}

AdditiveAttention::AdditiveAttention(const std::string& name, const PoolingShape& shape,
                                     Random& random)
    : Pooling(name, shape, random),
      item(Glorot(name + ".item", shape.item_width, shape.hidden, shape.item_width + shape.hidden,
                  random)),
      query(Glorot(name + ".query", shape.query_width, shape.hidden,
                   shape.query_width + shape.hidden, random)),
      bias(name + ".bias", 1, shape.hidden, false),
      vector(Glorot(name + ".vector", shape.heads, shape.hidden, 1 + shape.hidden, random)) {}

void AdditiveAttention::Forward(const PoolingInput& in, PoolingTape* tape, Mat out,
                                Mat evidence) const {
  const kernels::Table& k = kernels::Active();
  const size_t A = shape_.hidden, B = in.offsets.size() - 1;
  tape->hidden.Resize(in.items.rows, A);
  MatMul(in.items, item.value.view(), tape->hidden.view());
  tape->d_query.Resize(B, A);
  for (size_t b = 0; b < B; ++b) std::copy_n(bias.value.data(), A, tape->d_query.Row(b));
  if (shape_.query_width > 0) {
    MatMul(in.queries, query.value.view(), tape->d_query.view(), Into::kAdd);
  }
  for (size_t b = 0; b < B; ++b) {
    for (size_t t = in.offsets[b]; t < in.offsets[b + 1]; ++t) {
      k.axpy(1.0f, tape->d_query.Row(b), tape->hidden.Row(t), A);
    }
  }
  float* hidden = tape->hidden.data();
  for (size_t i = 0; i < tape->hidden.size(); ++i) hidden[i] = std::tanh(hidden[i]);
  const Matrix& keys = tape->hidden;
  Weigh(in, keys.view(), vector.value, tape, out, evidence);
}

void AdditiveAttention::Backward(const PoolingInput& in, PoolingTape* tape, ConstMat d_out,
                                 ConstMat d_evidence, Mat d_items, Mat d_queries) {
  const kernels::Table& k = kernels::Active();
  const size_t B = in.offsets.size() - 1, T = in.items.rows;
  const size_t H = shape_.heads, D = shape_.item_width, A = shape_.hidden;
  assert(d_items.stride == D);
  WeighBackward(in, tape, d_out, d_evidence);
  tape->d_hidden.Resize(T, A);
  tape->d_hidden.Fill(0.0f);
  tape->d_query.Resize(B, A);
  tape->d_query.Fill(0.0f);
  tape->d_head.Resize(1, H * A);
  tape->zeros.assign(std::max(tape->weights.size(), H * std::max(A, D)), 0.0f);
  const float* zeros = tape->zeros.data();
  for (size_t b = 0; b < B; ++b) {
    const size_t first = in.offsets[b], L = Length(in, b);
    const float* w = tape->weights.data() + tape->starts[b];
    const float* ds = tape->d_scores.data() + tape->starts[b];
    k.attend_tokens(w, zeros, L + 1, tape->d_context.Row(b), zeros, H, L, D, d_items.Row(first));
    k.attend_tokens(zeros, ds, L + 1, zeros, vector.value.data(), H, L, A,
                    tape->d_hidden.Row(first));
    k.attend_context(ds, L + 1, tape->hidden.Row(first), H, L, A, tape->d_head.data());
    k.axpy(1.0f, tape->d_head.data(), vector.grad.data(), H * A);
    for (size_t t = first; t < first + L; ++t) {
      float* d = tape->d_hidden.Row(t);
      const float* y = tape->hidden.Row(t);
      for (size_t j = 0; j < A; ++j) d[j] *= 1.0f - y[j] * y[j];
      k.axpy(1.0f, d, tape->d_query.Row(b), A);
    }
    k.axpy(1.0f, tape->d_query.Row(b), bias.grad.data(), A);
  }
  Gemm(Trans::kYes, Trans::kNo, D, A, T, in.items.data, D, tape->d_hidden.data(), A, 1.0f,
       item.grad.data(), A);
  Gemm(Trans::kNo, Trans::kYes, T, D, A, tape->d_hidden.data(), A, item.value.data(), A, 1.0f,
       d_items.data, D);
  if (shape_.query_width == 0) return;
  const size_t Q = shape_.query_width;
  Gemm(Trans::kYes, Trans::kNo, Q, A, B, in.queries.data, in.queries.stride, tape->d_query.data(),
       A, 1.0f, query.grad.data(), A);
  Gemm(Trans::kNo, Trans::kYes, B, Q, A, tape->d_query.data(), A, query.value.data(), A, 1.0f,
       d_queries.data, d_queries.stride);
}

std::vector<Parameter*> AdditiveAttention::Parameters() {
  std::vector<Parameter*> all = Own();
  all.insert(all.begin(), {&item, &bias, &vector});
  if (shape_.query_width > 0) all.push_back(&query);
  return all;
}

}  // namespace heed::nn
