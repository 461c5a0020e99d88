#include "nn/field_attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/gemm.h"
#include "kernels/table.h"

namespace heed::nn {

using kernels::Gemm;
using kernels::Trans;

namespace {

Parameter Glorot(const std::string& name, size_t inputs, size_t outputs, Random& random) {
  Parameter p = Linear("", inputs, outputs, random).weight;
  p.name = name;
  return p;
}

// The rows of a view as fields: [B, F d] packed is [B F, d].
ConstMat Fields(ConstMat x, size_t fields) {
  assert(x.stride == x.cols);
  return {x.data, x.rows * fields, x.cols / fields, x.cols / fields};
}
Mat Fields(Mat x, size_t fields) {
  assert(x.stride == x.cols);
  return {x.data, x.rows * fields, x.cols / fields, x.cols / fields};
}

}  // namespace

PairAttention::PairAttention(const std::string& name, size_t fields, size_t width, size_t hidden,
                             Random& random)
    : project(name + ".project", width, hidden, random),
      score(Glorot(name + ".score", hidden, 1, random)),
      fields_(fields),
      width_(width) {
  assert(fields > 0);
}

void PairAttention::Forward(ConstMat x, PairAttentionTape* tape, Mat y) const {
  const kernels::Table& k = kernels::Active();
  const size_t B = x.rows, d = width_, P = pairs();
  assert(x.cols == fields_ * d && y.cols == d && y.rows == B);
  tape->pairs.Resize(B * P, d);
  tape->hidden.Resize(B * P, project.outputs());
  tape->weights.Resize(B, P);
  for (size_t b = 0, p = 0; b < B; ++b) {
    const float* e = x.Row(b);
    for (size_t i = 0; i < fields_; ++i) {
      for (size_t j = i + 1; j < fields_; ++j, ++p) {
        float* pair = tape->pairs.Row(p);
        for (size_t c = 0; c < d; ++c) pair[c] = e[i * d + c] * e[j * d + c];
      }
    }
  }
  project.Forward(tape->pairs.view(), tape->hidden.view());
  ReluForward(tape->hidden.view());
  MatMul(tape->hidden.view(), score.value.view(), {tape->weights.data(), B * P, 1, 1});
  for (size_t b = 0; b < B; ++b) {
    float* w = tape->weights.Row(b);
    k.softmax_null(w, P, -INFINITY);
    k.attend_context(w, P, tape->pairs.Row(b * P), 1, P, d, y.Row(b));
  }
}

void PairAttention::Backward(ConstMat x, PairAttentionTape* tape, ConstMat d_y, Mat d_x) {
  const kernels::Table& k = kernels::Active();
  const size_t B = x.rows, d = width_, P = pairs(), A = project.outputs();
  tape->d_scores.Resize(B, P);
  tape->d_hidden.Resize(B * P, A);
  tape->d_pairs.Resize(B * P, d);
  for (size_t b = 0; b < B; ++b) {
    const float *w = tape->weights.Row(b), *dy = d_y.Row(b);
    float* ds = tape->d_scores.Row(b);
    k.attend_scores(dy, tape->pairs.Row(b * P), 1, P, d, ds, P);
    k.softmax_backward(w, 0.0f, ds, 0.0f, P);
    for (size_t p = 0; p < P; ++p) {
      float* d_pair = tape->d_pairs.Row(b * P + p);
      for (size_t c = 0; c < d; ++c) d_pair[c] = w[p] * dy[c];
    }
  }
  const float* ds = tape->d_scores.data();
  Gemm(Trans::kYes, Trans::kNo, A, 1, B * P, tape->hidden.data(), A, ds, 1, 1.0f, score.grad.data(),
       1);
  Gemm(Trans::kNo, Trans::kYes, B * P, A, 1, ds, 1, score.value.data(), 1, 0.0f,
       tape->d_hidden.data(), A);
  ReluBackward(tape->hidden.view(), tape->d_hidden.view());
  Mat d_pairs = tape->d_pairs.view();
  project.Backward(tape->pairs.view(), tape->d_hidden.view(), &d_pairs, Into::kAdd);
  for (size_t b = 0, p = 0; b < B; ++b) {
    const float* e = x.Row(b);
    float* d_e = d_x.Row(b);
    std::fill(d_e, d_e + d_x.cols, 0.0f);
    for (size_t i = 0; i < fields_; ++i) {
      for (size_t j = i + 1; j < fields_; ++j, ++p) {
        const float* d_pair = d_pairs.Row(p);
        for (size_t c = 0; c < d; ++c) {
          d_e[i * d + c] += d_pair[c] * e[j * d + c];
          d_e[j * d + c] += d_pair[c] * e[i * d + c];
        }
      }
    }
  }
}

FieldSelfAttention::FieldSelfAttention(const std::string& name, size_t fields, size_t width,
                                       size_t heads, size_t output_width, Random& random)
    : query(Glorot(name + ".query", width, output_width, random)),
      key(Glorot(name + ".key", width, output_width, random)),
      value(Glorot(name + ".value", width, output_width, random)),
      residual(Glorot(name + ".residual", width, output_width, random)),
      fields_(fields),
      width_(width),
      heads_(heads),
      output_width_(output_width) {
  assert(heads > 0 && output_width % heads == 0);
}

void FieldSelfAttention::Forward(ConstMat x, FieldSelfAttentionTape* tape, Mat y) const {
  const kernels::Table& kernel = kernels::Active();
  const size_t B = x.rows, F = fields_, W = output_width_, H = heads_, dh = W / H;
  assert(x.cols == F * width_ && y.cols == F * W && y.rows == B);
  const ConstMat e = Fields(x, F);
  tape->y.Resize(B * F, W);
  tape->weights.Resize(B, H * F * F);
  for (auto* heads : {&tape->q, &tape->k, &tape->v}) heads->resize(H);
  MatMul(e, residual.value.view(), tape->y.view());
  Matrix& mix = tape->mix;
  mix.Resize(F, dh);
  for (size_t h = 0; h < H; ++h) {
    const auto project = [&](const Parameter& p, Matrix* out) {
      out->Resize(B * F, dh);
      MatMul(e, p.value.view().Cols(h * dh, dh), out->view());
    };
    project(query, &tape->q[h]);
    project(key, &tape->k[h]);
    project(value, &tape->v[h]);
    kernel.scale(1.0f / std::sqrt(static_cast<float>(dh)), tape->q[h].data(), tape->q[h].size());
    for (size_t b = 0; b < B; ++b) {
      float* w = tape->weights.Row(b) + h * F * F;
      kernel.attend_scores(tape->q[h].Row(b * F), tape->k[h].Row(b * F), F, F, dh, w, F);
      for (size_t f = 0; f < F; ++f) kernel.softmax_null(w + f * F, F, -INFINITY);
      kernel.attend_context(w, F, tape->v[h].Row(b * F), F, F, dh, mix.data());
      for (size_t f = 0; f < F; ++f) {
        kernel.axpy(1.0f, mix.Row(f), tape->y.Row(b * F + f) + h * dh, dh);
      }
    }
  }
  ReluForward(tape->y.view());
  for (size_t b = 0; b < B; ++b) std::copy_n(tape->y.Row(b * F), F * W, y.Row(b));
}

void FieldSelfAttention::Backward(ConstMat x, FieldSelfAttentionTape* tape, ConstMat d_y, Mat d_x) {
  const kernels::Table& kernel = kernels::Active();
  const size_t B = x.rows, F = fields_, d = width_, W = output_width_, H = heads_, dh = W / H;
  const ConstMat e = Fields(x, F);
  const Mat d_e = Fields(d_x, F);
  tape->d_y.Resize(B * F, W);
  for (size_t b = 0; b < B; ++b) std::copy_n(d_y.Row(b), F * W, tape->d_y.Row(b * F));
  ReluBackward(tape->y.view(), tape->d_y.view());
  const auto back = [&](ConstMat d_projected, size_t column, Parameter* p, float beta) {
    Gemm(Trans::kYes, Trans::kNo, d, d_projected.cols, B * F, e.data, e.stride, d_projected.data,
         d_projected.stride, 1.0f, p->grad.data() + column, W);
    Gemm(Trans::kNo, Trans::kYes, B * F, d, d_projected.cols, d_projected.data, d_projected.stride,
         p->value.data() + column, W, beta, d_e.data, d_e.stride);
  };
  back(tape->d_y.view(), 0, &residual, 0.0f);
  tape->d_mix.Resize(F, dh);
  tape->d_scores.Resize(F, F);
  tape->flipped.Resize(F, F);
  for (Matrix* m : {&tape->d_q, &tape->d_k, &tape->d_v}) m->Resize(B * F, dh);
  const auto flip = [&](const float* from) {  // [F, F] transposed: the rows of keys and values
    for (size_t f = 0; f < F; ++f) {
      for (size_t g = 0; g < F; ++g) tape->flipped.Row(g)[f] = from[f * F + g];
    }
    return tape->flipped.data();
  };
  for (size_t h = 0; h < H; ++h) {
    for (size_t b = 0; b < B; ++b) {
      const float* w = tape->weights.Row(b) + h * F * F;
      for (size_t f = 0; f < F; ++f) {
        std::copy_n(tape->d_y.Row(b * F + f) + h * dh, dh, tape->d_mix.Row(f));
      }
      float* ds = tape->d_scores.data();
      kernel.attend_scores(tape->d_mix.data(), tape->v[h].Row(b * F), F, F, dh, ds, F);
      for (size_t f = 0; f < F; ++f) {
        kernel.softmax_backward(w + f * F, 0.0f, ds + f * F, 0.0f, F);
      }
      kernel.attend_context(ds, F, tape->k[h].Row(b * F), F, F, dh, tape->d_q.Row(b * F));
      kernel.attend_context(flip(ds), F, tape->q[h].Row(b * F), F, F, dh, tape->d_k.Row(b * F));
      kernel.attend_context(flip(w), F, tape->d_mix.data(), F, F, dh, tape->d_v.Row(b * F));
    }
    kernel.scale(1.0f / std::sqrt(static_cast<float>(dh)), tape->d_q.data(), tape->d_q.size());
    back(tape->d_q.view(), h * dh, &query, 1.0f);
    back(tape->d_k.view(), h * dh, &key, 1.0f);
    back(tape->d_v.view(), h * dh, &value, 1.0f);
  }
}

}  // namespace heed::nn
