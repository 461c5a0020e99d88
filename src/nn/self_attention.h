// Multi-head scaled dot-product attention of every row of a sequence to the rows of a memory: its
// own sequence (self-attention) or another one (cross), for many sequences of any length at once.
//
// Letters: R sequences; of sequence r: L_r queries (rows of width Dq) and M_r memory rows (width
// Dt), packed one after another as the offsets say; H heads, dh = W / H the width of one head.
//   q_i = x_i Wq + bq        k_j = m_j Wk        v_j = m_j Wv + bv             (per head, dh wide)
//   s_ij = q_i·k_j / sqrt(dh) + position[p(i, j)] + interval[b(i, j)] - lambda g(i, j)
//   a_i = softmax over the visible j and the null slot      y_i = concat_h(sum_j a_ij v_j) Wo + bo
// A causal layer shows query i the memory up to its own place: the last query stands beside the
// last memory row, j - i <= M - L. An excluded memory row is visible to nobody. A query that sees
// nothing gets weights 0, a sum of exactly zero, and so y_i = bo.
//
// Scaled dot product and heads: Vaswani et al. 2017; causal over items: Kang & McAuley 2018
// (SASRec). Keys have no bias: it would add one number to all scores of a query, which a softmax
// does not notice. The learned biases are scalars per head: by relative place (Raffel et al. 2020,
// here one value for each distance up to a limit) and by the logarithm of the time between two rows,
// in the spirit of TiSASRec (Li, Wang & McAuley 2020), which keeps vectors. Age decay: lambda >= 0,
// g = log1p(|t_i - t_j| / time_scale), so a weight falls as a power of age. Null slot: attention.h.
//
// Weights are over the M_r rows, never over features. Forward is const and thread-safe; Backward
// adds to the parameters' gradients and belongs to one thread; the caller keeps the tape.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "nn/linear.h"
#include "nn/mat.h"
#include "nn/parameter.h"

namespace heed::nn {

struct MultiHeadShape {
  size_t query_width = 0, memory_width = 0;
  size_t heads = 1;
  size_t width = 1;      // W, of all heads together; a multiple of heads
  size_t out_width = 0;  // of Wo; 0: no output projection, y is the heads' sums, W wide
  bool causal = false;
  bool null_slot = false;
  // Values of the bias by place: distances of positions - 1 and more share one. A layer that is not
  // causal tells before from after and has 2 positions - 1. 0: no such bias.
  size_t positions = 0;
  // Values of the bias by time: bucket floor(intervals_per_doubling log2(1 + |t_i - t_j| /
  // time_scale)), the last one open. 0: no such bias.
  size_t intervals = 0;
  float intervals_per_doubling = 1.0f;
  bool decay = false;        // lambda, per head
  double time_scale = 3600;  // in the unit of the times
  float dropout = 0.0f;      // of weights, in training
};

struct MultiHeadInput {
  ConstMat queries;                         // [query_offsets[R], Dq]
  ConstMat memory;                          // [memory_offsets[R], Dt]
  std::span<const uint32_t> query_offsets;  // [R + 1]
  std::span<const uint32_t> memory_offsets;
  std::span<const uint8_t> excluded;                  // [memory rows], non-zero: masked; or empty
  std::span<const double> query_times, memory_times;  // of each row, when the shape asks for time
};
MultiHeadInput SelfInput(ConstMat rows, std::span<const uint32_t> offsets);

// What a forward pass leaves for the backward pass and for explanations; reused.
struct MultiHeadTape {
  // Sequence r's run is [H, L_r, M_r + 1] from starts[r]; the last of a row is the null slot's.
  // Dropout has not touched these.
  Floats weights;
  std::vector<size_t> starts;  // [R]
  Matrix q, k, v;              // q already divided by sqrt(dh)
  Matrix context;              // the heads' sums, before Wo
  Floats kept;                 // dropout's factors, in the layout of weights; empty without
  Floats log_gaps;             // g(i, j), [L_r, M_r] from pair_starts[r]; empty without times
  std::vector<size_t> pair_starts;

  Floats dropped, d_scores;  // scratch
  Matrix d_q, d_k, d_v, d_context;
};

class MultiHeadAttention {
 public:
  MultiHeadAttention() = default;
  // Projections as in Linear; biases, null scores and lambda start at 0.
  MultiHeadAttention(const std::string& name, const MultiHeadShape& shape, Random& random);

  // y [queries, out_width, or W without Wo] is set. `random` draws the dropout; null: none, as when
  // serving.
  void Forward(const MultiHeadInput& in, Random* random, MultiHeadTape* tape, Mat y) const;

  // d_y of y's shape. Adds to d_queries and d_memory, which may be the same rows (self-attention).
  void Backward(const MultiHeadInput& in, MultiHeadTape* tape, ConstMat d_y, Mat d_queries,
                Mat d_memory);

  // After an optimiser step: puts lambda back to >= 0 (projected gradient).
  void ClampDecay();

  std::vector<Parameter*> Parameters();  // of the parts that the shape asks for
  const MultiHeadShape& shape() const { return shape_; }

  Linear query, value, out;
  Parameter key;         // [Dt, W]
  Parameter position;    // [values, H]; index distance, + positions - 1 when not causal
  Parameter interval;    // [intervals, H]
  Parameter null_score;  // [1, H]
  Parameter decay;       // [1, H]: lambda

 private:
  struct Sequence;
  Sequence At(const MultiHeadInput& in, const MultiHeadTape& tape, size_t r) const;
  bool uses_time() const { return shape_.intervals > 0 || shape_.decay; }
  size_t Visible(const Sequence& s, size_t i) const;
  size_t PositionOf(const Sequence& s, size_t i, size_t j) const;
  size_t IntervalOf(float log_gap) const;
  void LayOut(const MultiHeadInput& in, MultiHeadTape* tape) const;
  void Weigh(const MultiHeadInput& in, const Sequence& s, size_t h, MultiHeadTape* tape) const;
  void WeighBackward(const Sequence& s, size_t h, MultiHeadTape* tape);

  MultiHeadShape shape_;
};

}  // namespace heed::nn
