// Target attention in the rows form (attention.h).
//
// With token = We^T x + be, x the rows side by side: keys are x We Wk + be Wk and values alike. A score
// is u·x + q·(be Wk) with u = We Wk q, so scores read rows; the values' sum is (We Wv)^T of the rows'
// weighted sum, plus be Wv times the sum of weights, which is the evidence.
#include "nn/attention_rows.h"

#include <algorithm>
#include <tuple>

#include "base/team.h"
#include "kernels/denormals.h"
#include "kernels/gemm.h"
#include "kernels/history.h"
#include "kernels/table.h"
#include "nn/linear.h"

namespace heed::nn {

using kernels::Gemm;
using kernels::TokenRows;
using kernels::Trans;

namespace {

constexpr size_t kPiece = 64;  // requests that a thread takes at a time
constexpr size_t kBlock = 16;  // tokens whose gradients are in flight: 12 KB at R1's widths

}  // namespace

void TargetAttention::ForwardRows(const AttentionInput& in, AttentionTape* tape, Mat out,
                                  Mat evidence) const {
  const kernels::HistoryKernels& history = kernels::ActiveHistory();
  const kernels::Table& k = kernels::Active();
  const size_t N = in.queries.rows, H = shape_.heads, W = shape_.width, dh = W / H;
  const size_t D = in.rows->parts() * in.rows->width;
  const Linear* projection = in.rows->projection;
  if (projection != nullptr) {
    for (auto [product, bias, of] : {std::tuple{&tape->row_key, &tape->row_key_bias, &key},
                                     std::tuple{&tape->row_value, &tape->row_value_bias, &value}}) {
      product->Resize(D, W);
      bias->Resize(1, W);
      MatMul(projection->weight.value.view(), of->value.view(), product->view());
      MatMul(projection->bias.value.view(), of->value.view(), bias->view());
    }
  }
  const Matrix& row_key = projection != nullptr ? tape->row_key : key.value;
  const Matrix& row_value = projection != nullptr ? tape->row_value : value.value;
  assert(row_key.rows() == D);
  tape->u.Resize(N, H * D);
  tape->context.Resize(N, H * D);
  if (in.rows->mean) tape->mean.Resize(in.offsets.size() - 1, D);
  const size_t R = in.offsets.size() - 1;
  const auto attend = [&](size_t r, size_t n0, size_t count) {
    const TokenRows x = RowsOf(in, r);
    const size_t stride = x.tokens + 1;
    if (in.rows->mean) {
      history.sum(x, tape->mean.Row(r));
      k.scale(MeanShare(x.tokens), tape->mean.Row(r), D);
    }
    if (count == 0) return;
    float* s = tape->weights.data() + tape->starts[n0];
    kernels::RowFetch next{.of = RowsOf(in, r + 1), .eager = 4};
    history.scores(x, tape->u.Row(n0), count * H, s, stride, &next);
    for (size_t n = n0; n < n0 + count; ++n) {
      for (size_t h = 0; h < H && projection != nullptr; ++h) {
        const float same = k.dot(tape->q.Row(n) + h * dh, tape->row_key_bias.data() + h * dh, dh);
        float* own = s + ((n - n0) * H + h) * stride;
        for (size_t t = 0; t < x.tokens; ++t) own[t] += same;
      }
      Weigh(in, tape, n, evidence);
    }
    history.context(x, s, stride, count * H, tape->context.Row(n0), &next);
    history.fetch(&next);
  };
  tape->evidence.Resize(N, H);
  // The products with Wk and Wv go piece by piece, too: u and the contexts of a piece stay in the cache.
  ParallelFor((R + kPiece - 1) / kPiece, [&](size_t piece) {
    const kernels::FlushDenormals flush;
    const size_t first = piece * kPiece, last = std::min(R, first + kPiece);
    const size_t n0 = FirstOf(in, first), count = FirstOf(in, last) - n0;
    for (size_t h = 0; h < H; ++h) {
      Gemm(Trans::kNo, Trans::kYes, count, D, dh, tape->q.Row(n0) + h * dh, W,
           row_key.data() + h * dh, W, 0.0f, tape->u.Row(n0) + h * D, H * D);
    }
    EveryRequest(in, first, last, attend);
    for (size_t h = 0; h < H; ++h) {
      Gemm(Trans::kNo, Trans::kNo, count, dh, D, tape->context.Row(n0) + h * D, H * D,
           row_value.data() + h * dh, W, 0.0f, out.Row(n0) + h * dh, out.stride);
    }
    for (size_t n = n0; n < n0 + count; ++n) {
      std::copy_n(evidence.Row(n), H, tape->evidence.Row(n));
      for (size_t h = 0; h < H && projection != nullptr; ++h) {
        k.axpy(evidence.Row(n)[h], tape->row_value_bias.data() + h * dh, out.Row(n) + h * dh, dh);
      }
    }
  });
}

struct TargetAttention::RowsPass {
  const AttentionInput& in;
  AttentionTape* tape;
  ConstMat d_out, d_mean;
  const Matrix &row_key, &row_value;
};

void TargetAttention::BackwardLane(const RowsPass& pass, size_t first_request, size_t last_request,
                                   TokenGradients* tokens, Matrix* scratch) const {
  const kernels::HistoryKernels& history = kernels::ActiveHistory();
  const kernels::Table& k = kernels::Active();
  const AttentionInput& in = pass.in;
  AttentionTape* tape = pass.tape;
  const size_t H = shape_.heads, D = in.rows->parts() * in.rows->width;
  float* g = scratch->data();
  float* base = pass.d_mean.data == nullptr ? nullptr : scratch->Row(kBlock);
  float* d_null = scratch->Row(kBlock + 1);
  float* d_decay = d_null + H;
  std::fill_n(d_null, 2 * H, 0.0f);
  const auto weigh = [&](size_t n0, size_t count) {
    for (size_t n = n0; n < n0 + count; ++n) {
      WeighBackward(in, tape, n, tape->d_evidence.view(), d_null, d_decay);
    }
  };
  const auto back = [&](size_t r, size_t n0, size_t count) {
    const TokenRows x = RowsOf(in, r);
    const size_t first = in.offsets[r], stride = x.tokens + 1, heads = count * H;
    if (x.tokens == 0 || (count == 0 && base == nullptr)) {
      weigh(n0, count);
      std::fill_n(tape->d_u.data() + n0 * H * D, count * H * D, 0.0f);
      return;
    }
    kernels::RowFetch next;
    if (r + 1 < last_request) next.of = RowsOf(in, r + 1);
    tokens->Start(first, x.tokens);
    const size_t run = count > 0 ? tape->starts[n0] : 0;
    const float *w = tape->weights.data() + run, *u = tape->u.data() + n0 * H * D;
    float* ds = tape->d_scores.data() + run;
    const float* dc = tape->d_context.data() + n0 * H * D;
    history.scores(x, dc, heads, ds, stride, &next);
    weigh(n0, count);
    history.context(x, ds, stride, heads, tape->d_u.data() + n0 * H * D, &next);
    if (base != nullptr) {
      std::fill_n(base, D, 0.0f);
      k.axpy(MeanShare(x.tokens), pass.d_mean.Row(r), base, D);
    }
    for (size_t t = 0; t < x.tokens; t += kBlock) {
      const size_t some = std::min(kBlock, x.tokens - t);
      history.gradients(w + t, ds + t, stride, dc, u, base, heads, some, D, g, &next);
      tokens->Take(first + t, some, g, D, &next);
    }
    history.fetch(&next);
  };
  const size_t W = shape_.width, dh = W / H;
  for (size_t first = first_request; first < last_request; first += kPiece) {
    const size_t last = std::min(last_request, first + kPiece);
    const size_t n0 = FirstOf(in, first), count = FirstOf(in, last) - n0;
    for (size_t h = 0; h < H; ++h) {
      Gemm(Trans::kNo, Trans::kYes, count, D, dh, pass.d_out.Row(n0) + h * dh, pass.d_out.stride,
           pass.row_value.data() + h * dh, W, 0.0f, tape->d_context.Row(n0) + h * D, H * D);
    }
    EveryRequest(in, first, last, back);
    for (size_t h = 0; h < H; ++h) {
      Gemm(Trans::kNo, Trans::kNo, count, dh, D, tape->d_u.Row(n0) + h * D, H * D,
           pass.row_key.data() + h * dh, W, 0.0f, tape->d_q.Row(n0) + h * dh, W);
    }
  }
}

void TargetAttention::BackwardRows(const AttentionInput& in, AttentionTape* tape, ConstMat d_out,
                                   ConstMat d_evidence, ConstMat d_mean, Mat d_queries,
                                   Linear* projection, std::span<TokenGradients* const> tokens) {
  const kernels::Table& k = kernels::Active();
  const size_t N = in.queries.rows, H = shape_.heads, W = shape_.width, dh = W / H;
  const size_t D = in.rows->parts() * in.rows->width;
  assert(projection == in.rows->projection && tape->form == AttentionForm::kRows);
  StartBackward(in, tape);
  const bool projected = projection != nullptr;
  if (projected) {
    for (Matrix* m : {&tape->d_row_key, &tape->d_row_value}) m->Resize(D, W), m->Fill(0.0f);
    for (Matrix* m : {&tape->d_row_key_bias, &tape->d_row_value_bias}) {
      m->Resize(1, W);
      m->Fill(0.0f);
    }
  }
  const Matrix& row_key = projected ? tape->row_key : key.value;
  const Matrix& row_value = projected ? tape->row_value : value.value;
  Matrix& d_row_key = projected ? tape->d_row_key : key.grad;
  Matrix& d_row_value = projected ? tape->d_row_value : value.grad;

  tape->d_u.Resize(N, H * D);
  tape->d_context.Resize(N, H * D);
  for (size_t h = 0; h < H; ++h) {
    Gemm(Trans::kYes, Trans::kNo, D, dh, N, tape->context.data() + h * D, H * D,
         d_out.data + h * dh, d_out.stride, 1.0f, d_row_value.data() + h * dh, W);
  }
  // The sum of weights that be Wv meets is the evidence.
  tape->d_evidence.Resize(N, H);
  for (size_t n = 0; n < N; ++n) {
    for (size_t h = 0; h < H; ++h) {
      float d = d_evidence.Row(n)[h];
      if (projected) {
        const float* dy = d_out.Row(n) + h * dh;
        k.axpy(tape->evidence.Row(n)[h], dy, tape->d_row_value_bias.data() + h * dh, dh);
        d += k.dot(dy, tape->row_value_bias.data() + h * dh, dh);
      }
      tape->d_evidence.Row(n)[h] = d;
    }
  }
  const size_t R = in.offsets.size() - 1, lanes = tokens.size();
  tape->d_lane.resize(lanes);
  const RowsPass pass{in, tape, d_out, d_mean, row_key, row_value};
  ParallelFor(lanes, [&](size_t lane) {
    const kernels::FlushDenormals flush;
    tape->d_lane[lane].Resize(kBlock + 2, std::max(D, 2 * H));
    BackwardLane(pass, R * lane / lanes, R * (lane + 1) / lanes, tokens[lane], &tape->d_lane[lane]);
  });
  for (const Matrix& lane : tape->d_lane) {
    k.axpy(1.0f, lane.Row(kBlock + 1), null_score.grad.data(), H);
    k.axpy(1.0f, lane.Row(kBlock + 1) + H, decay.grad.data(), H);
  }
  for (size_t h = 0; h < H; ++h) {
    Gemm(Trans::kYes, Trans::kNo, D, dh, N, tape->d_u.data() + h * D, H * D,
         tape->q.data() + h * dh, W, 1.0f, d_row_key.data() + h * dh, W);
  }
  if (projected) {
    for (size_t n = 0; n < N; ++n) {
      const size_t r = in.request_of[n], L = in.offsets[r + 1] - in.offsets[r];
      for (size_t h = 0; h < H; ++h) {
        // Gradients of a softmax's scores sum to zero: the items' are minus the null slot's.
        const float d = -tape->d_scores[tape->starts[n] + h * (L + 1) + L];
        k.axpy(d, tape->row_key_bias.data() + h * dh, tape->d_q.Row(n) + h * dh, dh);
        k.axpy(d, tape->q.Row(n) + h * dh, tape->d_row_key_bias.data() + h * dh, dh);
      }
    }
    BackwardProjection(*tape, projection);
  }
  BackwardQuery(in, tape, d_queries);
}

// From the gradients of We Wk, We Wv, be Wk, be Wv to those of the four factors.
void TargetAttention::BackwardProjection(const AttentionTape& tape, Linear* projection) {
  const size_t W = shape_.width, I = shape_.token_width, D = tape.d_row_key.rows();
  const Matrix &we = projection->weight.value, &be = projection->bias.value;
  const auto back = [&](const Matrix& d_product, const Matrix& d_bias, Parameter& p) {
    Gemm(Trans::kYes, Trans::kNo, I, W, D, we.data(), I, d_product.data(), W, 1.0f, p.grad.data(),
         W);
    Gemm(Trans::kYes, Trans::kNo, I, W, 1, be.data(), I, d_bias.data(), W, 1.0f, p.grad.data(), W);
    Gemm(Trans::kNo, Trans::kYes, D, I, W, d_product.data(), W, p.value.data(), W, 1.0f,
         projection->weight.grad.data(), I);
    Gemm(Trans::kNo, Trans::kYes, 1, I, W, d_bias.data(), W, p.value.data(), W, 1.0f,
         projection->bias.grad.data(), I);
  };
  back(tape.d_row_key, tape.d_row_key_bias, key);
  back(tape.d_row_value, tape.d_row_value_bias, value);
}

}  // namespace heed::nn
