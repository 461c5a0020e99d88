// Attention pooling: each ragged sequence of items becomes one vector, weighted by what the items
// themselves (and, if there is one, a query) say.
//
// Letters: B sequences, L items of one, T items in all, D item width, H heads, A hidden width,
// Q query width, tau temperature.
//   softmax pooling   s_i = w_h . x_i / tau                              (Yang et al. 2016 without
//                                                                         their hidden layer)
//   additive          s_i = v_h . tanh(x_i W + q U + b) / tau            (Bahdanau et al. 2015)
//   both              a = softmax(s) over the L items and the null slot; y_h = sum_i a_i x_i, or
//                     y_h = (sum_i a_i x_i) V_h with a value projection; evidence_h = 1 - a_null
// The softmax runs over items, never over features. One item without the null slot has weight 1;
// an excluded item has weight exactly 0 and no gradient; nothing to see gives zeros and evidence 0.
//
// Forward is const and thread-safe; Backward adds to the parameters' gradients and belongs to one
// thread; the tape is the caller's.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "nn/mat.h"
#include "nn/parameter.h"

namespace heed::nn {

struct PoolingShape {
  size_t item_width = 1;   // D
  size_t query_width = 0;  // Q of additive attention; 0: no query
  size_t hidden = 1;       // A of additive attention
  size_t heads = 1;        // H
  size_t value_width = 0;  // of one head's output; 0: D, no projection
  bool null_slot = false;
  float temperature = 1.0f;  // tau > 0: large is even, small picks the maximum

  size_t OutputWidth() const { return heads * (value_width == 0 ? item_width : value_width); }
};

struct PoolingInput {
  ConstMat items;                     // [T, D], stride D
  std::span<const uint32_t> offsets;  // [B + 1]
  std::span<const uint8_t> excluded;  // [T], non-zero: masked; or empty
  ConstMat queries;                   // [B, Q], where the shape has a query
};

struct PoolingTape {
  // Sequence b's run is [H, L + 1] from Start(b); the last weight of a head is the null slot's.
  Floats weights;
  std::vector<size_t> starts;  // [B]
  Matrix context;              // [B, H D]: weighted sums before the value projection
  Matrix hidden;               // [T, A], additive: tanh(...)

  Matrix d_context, d_hidden, d_query, d_head;  // scratch of the backward pass
  Floats d_scores, zeros;
};

// The part that both forms share: scores to weights to outputs.
class Pooling {
 public:
  const PoolingShape& shape() const { return shape_; }

  Parameter value;       // [H D, value_width]; empty without the projection
  Parameter null_score;  // [1, H]

 protected:
  Pooling() = default;
  Pooling(const std::string& name, const PoolingShape& shape, Random& random);

  // keys [T, K] and directions [H, K]: s = directions . key / tau.
  void Weigh(const PoolingInput& in, ConstMat keys, const Matrix& directions, PoolingTape* tape,
             Mat out, Mat evidence) const;
  // Leaves the scores' gradients (of directions . key) in tape->d_scores.
  void WeighBackward(const PoolingInput& in, PoolingTape* tape, ConstMat d_out,
                     ConstMat d_evidence);
  std::vector<Parameter*> Own();

  PoolingShape shape_;
};

class AttentionPooling : public Pooling {
 public:
  AttentionPooling() = default;
  // Scores uniform in ±1 / D, value projection as in Linear, null score 0.
  AttentionPooling(const std::string& name, const PoolingShape& shape, Random& random);

  // out [B, OutputWidth] and evidence [B, H] are set.
  void Forward(const PoolingInput& in, PoolingTape* tape, Mat out, Mat evidence) const;
  // d_out, d_evidence -> adds to d_items [T, D], stride D.
  void Backward(const PoolingInput& in, PoolingTape* tape, ConstMat d_out, ConstMat d_evidence,
                Mat d_items);

  std::vector<Parameter*> Parameters();

  Parameter score;  // [H, D]: w, a row a head
};

class AdditiveAttention : public Pooling {
 public:
  AdditiveAttention() = default;
  AdditiveAttention(const std::string& name, const PoolingShape& shape, Random& random);

  void Forward(const PoolingInput& in, PoolingTape* tape, Mat out, Mat evidence) const;
  // Adds to d_items [T, D] and, where there is a query, to d_queries [B, Q].
  void Backward(const PoolingInput& in, PoolingTape* tape, ConstMat d_out, ConstMat d_evidence,
                Mat d_items, Mat d_queries);

  std::vector<Parameter*> Parameters();

  Parameter item;    // [D, A]: W
  Parameter query;   // [Q, A]: U; empty without a query
  Parameter bias;    // [1, A]: b
  Parameter vector;  // [H, A]: v, a row a head
};

}  // namespace heed::nn
