#include "nn/self_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "kernels/gemm.h"
#include "kernels/table.h"

namespace heed::nn {

using kernels::Gemm;
using kernels::Trans;

namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();

Parameter Scores(const std::string& name, size_t rows, size_t heads) {
  Parameter p(name, rows, heads, false);
  p.value.Fill(0.0f);
  return p;
}

}  // namespace

// Where one sequence lies in the input and on the tape.
struct MultiHeadAttention::Sequence {
  size_t q0 = 0, queries = 0;  // first row, rows
  size_t m0 = 0, memory = 0;
  size_t run = 0;  // on the tape
  size_t pairs = 0;

  size_t Row(size_t h, size_t i) const { return run + (h * queries + i) * (memory + 1); }
};

MultiHeadInput SelfInput(ConstMat rows, std::span<const uint32_t> offsets) {
  return {.queries = rows, .memory = rows, .query_offsets = offsets, .memory_offsets = offsets};
}

MultiHeadAttention::MultiHeadAttention(const std::string& name, const MultiHeadShape& shape,
                                       Random& random)
    : query(name + ".query", shape.query_width, shape.width, random),
      value(name + ".value", shape.memory_width, shape.width, random),
      key(Linear(name + ".key", shape.memory_width, shape.width, random).weight),
      shape_(shape) {
  assert(shape.heads > 0 && shape.width % shape.heads == 0);
  if (shape.out_width > 0) out = Linear(name + ".out", shape.width, shape.out_width, random);
  const size_t places = shape.causal ? shape.positions : 2 * shape.positions - 1;
  if (shape.positions > 0) position = Scores(name + ".position", places, shape.heads);
  if (shape.intervals > 0) interval = Scores(name + ".interval", shape.intervals, shape.heads);
  if (shape.null_slot) null_score = Scores(name + ".null_score", 1, shape.heads);
  if (shape.decay) decay = Scores(name + ".decay", 1, shape.heads);
}

std::vector<Parameter*> MultiHeadAttention::Parameters() {
  std::vector<Parameter*> all;
  for (Linear* linear : {&query, &value, &out}) {
    if (linear == &out && shape_.out_width == 0) continue;
    all.push_back(&linear->weight);
    all.push_back(&linear->bias);
  }
  for (Parameter* p : {&key, &position, &interval, &null_score, &decay}) {
    if (p->value.size() > 0) all.push_back(p);
  }
  return all;
}

void MultiHeadAttention::ClampDecay() {
  float* lambda = decay.value.data();
  for (size_t h = 0; h < decay.value.size(); ++h) lambda[h] = std::max(lambda[h], 0.0f);
}

MultiHeadAttention::Sequence MultiHeadAttention::At(const MultiHeadInput& in,
                                                    const MultiHeadTape& tape, size_t r) const {
  const size_t q0 = in.query_offsets[r], m0 = in.memory_offsets[r];
  return {.q0 = q0,
          .queries = in.query_offsets[r + 1] - q0,
          .m0 = m0,
          .memory = in.memory_offsets[r + 1] - m0,
          .run = tape.starts[r],
          .pairs = tape.pair_starts[r]};
}

// The memory rows that query i may see are the first ones; how many.
size_t MultiHeadAttention::Visible(const Sequence& s, size_t i) const {
  if (!shape_.causal) return s.memory;
  const size_t end = i + 1 + s.memory;
  return end > s.queries ? std::min(end - s.queries, s.memory) : 0;
}

size_t MultiHeadAttention::PositionOf(const Sequence& s, size_t i, size_t j) const {
  const auto limit = static_cast<ptrdiff_t>(shape_.positions) - 1;
  const ptrdiff_t back =
      static_cast<ptrdiff_t>(i + s.memory) - static_cast<ptrdiff_t>(s.queries + j);
  if (shape_.causal) return static_cast<size_t>(std::min(back, limit));
  return static_cast<size_t>(std::clamp(back, -limit, limit) + limit);
}

size_t MultiHeadAttention::IntervalOf(float log_gap) const {
  const float bucket = log_gap * shape_.intervals_per_doubling / std::numbers::ln2_v<float>;
  const auto last = static_cast<float>(shape_.intervals - 1);
  return static_cast<size_t>(std::min(bucket, last));
}

// Sizes the tape, and takes the logarithms of all gaps in time once for all heads.
void MultiHeadAttention::LayOut(const MultiHeadInput& in, MultiHeadTape* tape) const {
  const size_t R = in.query_offsets.size() - 1;
  tape->starts.resize(R);
  tape->pair_starts.resize(R);
  size_t total = 0, pairs = 0;
  for (size_t r = 0; r < R; ++r) {
    const size_t L = in.query_offsets[r + 1] - in.query_offsets[r];
    const size_t M = in.memory_offsets[r + 1] - in.memory_offsets[r];
    tape->starts[r] = total;
    tape->pair_starts[r] = pairs;
    total += shape_.heads * L * (M + 1);
    pairs += L * M;
  }
  tape->weights.resize(total);
  tape->log_gaps.resize(uses_time() ? pairs : 0);
  if (!uses_time()) return;
  assert(in.query_times.size() == in.queries.rows && in.memory_times.size() == in.memory.rows);
  for (size_t r = 0; r < R; ++r) {
    const Sequence s = At(in, *tape, r);
    float* gap = tape->log_gaps.data() + s.pairs;
    for (size_t i = 0; i < s.queries; ++i) {
      for (size_t j = 0; j < s.memory; ++j) {
        const double apart = std::abs(in.query_times[s.q0 + i] - in.memory_times[s.m0 + j]);
        *gap++ = std::log1p(static_cast<float>(apart / shape_.time_scale));
      }
    }
  }
}

// Products to weights, for one head of one sequence.
void MultiHeadAttention::Weigh(const MultiHeadInput& in, const Sequence& s, size_t h,
                               MultiHeadTape* tape) const {
  const kernels::Table& k = kernels::Active();
  const size_t H = shape_.heads;
  const float lambda = shape_.decay ? decay.value.data()[h] : 0.0f;
  float null = kMasked;
  if (shape_.null_slot) null = null_score.value.data()[h];
  for (size_t i = 0; i < s.queries; ++i) {
    float* row = tape->weights.data() + s.Row(h, i);
    const size_t visible = Visible(s, i);
    if (shape_.positions > 0) {
      for (size_t j = 0; j < visible; ++j) {
        row[j] += position.value.data()[PositionOf(s, i, j) * H + h];
      }
    }
    const float* gap = uses_time() ? tape->log_gaps.data() + s.pairs + i * s.memory : nullptr;
    if (shape_.intervals > 0) {
      for (size_t j = 0; j < visible; ++j) {
        row[j] += interval.value.data()[IntervalOf(gap[j]) * H + h];
      }
    }
    if (shape_.decay) k.axpy(-lambda, gap, row, visible);
    if (!in.excluded.empty()) {
      for (size_t j = 0; j < visible; ++j) {
        if (in.excluded[s.m0 + j] != 0) row[j] = kMasked;
      }
    }
    const float null_weight = k.softmax_null(row, visible, null);
    std::fill(row + visible, row + s.memory, 0.0f);
    row[s.memory] = null_weight;
  }
}

void MultiHeadAttention::Forward(const MultiHeadInput& in, Random* random, MultiHeadTape* tape,
                                 Mat y) const {
  const size_t N = in.queries.rows, T = in.memory.rows, H = shape_.heads, W = shape_.width;
  const size_t dh = W / H;
  const bool projected = shape_.out_width > 0;
  assert(in.query_offsets.size() == in.memory_offsets.size() && in.query_offsets.back() == N &&
         in.memory_offsets.back() == T && y.rows == N);
  LayOut(in, tape);
  tape->q.Resize(N, W);
  tape->k.Resize(T, W);
  tape->v.Resize(T, W);
  query.Forward(in.queries, tape->q.view());
  MatMul(in.memory, key.value.view(), tape->k.view());
  value.Forward(in.memory, tape->v.view());
  kernels::Active().scale(1.0f / std::sqrt(static_cast<float>(dh)), tape->q.data(), tape->q.size());
  const bool drops = random != nullptr && shape_.dropout > 0.0f;
  tape->kept.resize(drops ? tape->weights.size() : 0);
  if (projected) tape->context.Resize(N, W);
  const Mat context = projected ? tape->context.view() : y;
  for (size_t r = 0; r + 1 < in.query_offsets.size(); ++r) {
    const Sequence s = At(in, *tape, r);
    for (size_t h = 0; h < H; ++h) {
      float* weights = tape->weights.data() + s.Row(h, 0);
      Gemm(Trans::kNo, Trans::kYes, s.queries, s.memory, dh, tape->q.data() + s.q0 * W + h * dh, W,
           tape->k.data() + s.m0 * W + h * dh, W, 0.0f, weights, s.memory + 1);
      Weigh(in, s, h, tape);
      if (drops) {
        const size_t count = s.queries * (s.memory + 1);
        tape->dropped.assign(weights, weights + count);
        DropoutForward(shape_.dropout, *random, {tape->dropped.data(), 1, count, count},
                       {tape->kept.data() + s.Row(h, 0), 1, count, count});
        weights = tape->dropped.data();
      }
      Gemm(Trans::kNo, Trans::kNo, s.queries, dh, s.memory, weights, s.memory + 1,
           tape->v.data() + s.m0 * W + h * dh, W, 0.0f, context.Row(s.q0) + h * dh, context.stride);
    }
  }
  if (projected) out.Forward(tape->context.view(), y);
}

// Gradients of weights (in d_scores) to gradients of scores, for one head of one sequence.
void MultiHeadAttention::WeighBackward(const Sequence& s, size_t h, MultiHeadTape* tape) {
  const kernels::Table& k = kernels::Active();
  const size_t H = shape_.heads;
  for (size_t i = 0; i < s.queries; ++i) {
    const float* w = tape->weights.data() + s.Row(h, i);
    float* g = tape->d_scores.data() + i * (s.memory + 1);
    const size_t visible = Visible(s, i);
    const float d_null = k.softmax_backward(w, w[s.memory], g, 0.0f, visible);
    std::fill(g + visible, g + s.memory + 1, 0.0f);
    if (shape_.null_slot) null_score.grad.data()[h] += d_null;
    if (shape_.positions > 0) {
      for (size_t j = 0; j < visible; ++j) {
        position.grad.data()[PositionOf(s, i, j) * H + h] += g[j];
      }
    }
    const float* gap = uses_time() ? tape->log_gaps.data() + s.pairs + i * s.memory : nullptr;
    if (shape_.intervals > 0) {
      for (size_t j = 0; j < visible; ++j) {
        interval.grad.data()[IntervalOf(gap[j]) * H + h] += g[j];
      }
    }
    if (shape_.decay) decay.grad.data()[h] -= k.dot(g, gap, visible);
  }
}

void MultiHeadAttention::Backward(const MultiHeadInput& in, MultiHeadTape* tape, ConstMat d_y,
                                  Mat d_queries, Mat d_memory) {
  const size_t N = in.queries.rows, T = in.memory.rows, H = shape_.heads, W = shape_.width;
  const size_t dh = W / H;
  tape->d_q.Resize(N, W);
  tape->d_k.Resize(T, W);
  tape->d_v.Resize(T, W);
  ConstMat d_context = d_y;
  if (shape_.out_width > 0) {
    tape->d_context.Resize(N, W);
    Mat d = tape->d_context.view();
    out.Backward(tape->context.view(), d_y, &d);
    d_context = d;
  }
  for (size_t r = 0; r + 1 < in.query_offsets.size(); ++r) {
    const Sequence s = At(in, *tape, r);
    const size_t count = s.queries * (s.memory + 1);
    tape->d_scores.resize(std::max(tape->d_scores.size(), count));
    for (size_t h = 0; h < H; ++h) {
      const size_t q_at = s.q0 * W + h * dh, m_at = s.m0 * W + h * dh;
      const float* weights = tape->weights.data() + s.Row(h, 0);
      const float* d = d_context.Row(s.q0) + h * dh;
      float* d_scores = tape->d_scores.data();
      Gemm(Trans::kNo, Trans::kYes, s.queries, s.memory, dh, d, d_context.stride,
           tape->v.data() + m_at, W, 0.0f, d_scores, s.memory + 1);
      if (!tape->kept.empty()) {
        const float* kept = tape->kept.data() + s.Row(h, 0);
        tape->dropped.resize(std::max(tape->dropped.size(), count));
        for (size_t p = 0; p < count; ++p) tape->dropped[p] = weights[p] * kept[p];
        DropoutBackward({kept, s.queries, s.memory, s.memory + 1},
                        {d_scores, s.queries, s.memory, s.memory + 1});
        weights = tape->dropped.data();
      }
      Gemm(Trans::kYes, Trans::kNo, s.memory, dh, s.queries, weights, s.memory + 1, d,
           d_context.stride, 0.0f, tape->d_v.data() + m_at, W);
      WeighBackward(s, h, tape);
      Gemm(Trans::kNo, Trans::kNo, s.queries, dh, s.memory, d_scores, s.memory + 1,
           tape->k.data() + m_at, W, 0.0f, tape->d_q.data() + q_at, W);
      Gemm(Trans::kYes, Trans::kNo, s.memory, dh, s.queries, d_scores, s.memory + 1,
           tape->q.data() + q_at, W, 0.0f, tape->d_k.data() + m_at, W);
    }
  }
  kernels::Active().scale(1.0f / std::sqrt(static_cast<float>(dh)), tape->d_q.data(),
                          tape->d_q.size());
  query.Backward(in.queries, tape->d_q.view(), &d_queries, Into::kAdd);
  Gemm(Trans::kYes, Trans::kNo, in.memory.cols, W, T, in.memory.data, in.memory.stride,
       tape->d_k.data(), W, 1.0f, key.grad.data(), W);
  Gemm(Trans::kNo, Trans::kYes, T, in.memory.cols, W, tape->d_k.data(), W, key.value.data(), W,
       1.0f, d_memory.data, d_memory.stride);
  value.Backward(in.memory, tape->d_v.view(), &d_memory, Into::kAdd);
}

}  // namespace heed::nn
