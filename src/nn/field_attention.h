// Attention among the fields of one row. Letters: B rows, F fields, d numbers a field.
//
// PairAttention (Xiao et al. 2017, AFM): the items are the P = F (F - 1) / 2 pairs of fields.
//   p_ij = e_i ∘ e_j          s_ij = h · relu(W p_ij + b)          a = softmax over the pairs
//   y = Σ a_ij p_ij  [d]      (a factorisation machine weighs all pairs the same)
// Fewer than two fields have no pair: y = 0.
//
// FieldSelfAttention (Song et al. 2019, AutoInt): the items are the fields; every field attends to
// all of them, itself too. H heads, W width of all heads together, dh = W / H.
//   q_f = e_f Wq, k_f = e_f Wk, v_f = e_f Wv           a_fg = softmax over g of q_f·k_g / sqrt(dh)
//   y_f = relu(Σ_g a_fg v_g + e_f Wr)  [W]
// (The paper has no 1 / sqrt(dh); learned projections take it up either way.)
#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "nn/linear.h"

namespace heed::nn {

struct PairAttentionTape {
  Matrix pairs;    // [B P, d], pair (0,1), (0,2) .. (1,2) ..
  Matrix hidden;   // [B P, A]
  Matrix weights;  // [B, P]
  Matrix d_pairs, d_hidden, d_scores;
};

class PairAttention {
 public:
  PairAttention() = default;
  // `hidden` is A, the width of the attention network.
  PairAttention(const std::string& name, size_t fields, size_t width, size_t hidden,
                Random& random);

  // x [B, F d] -> y [B, d], set.
  void Forward(ConstMat x, PairAttentionTape* tape, Mat y) const;
  // d_x [B, F d] is set.
  void Backward(ConstMat x, PairAttentionTape* tape, ConstMat d_y, Mat d_x);

  std::vector<Parameter*> Parameters() { return {&project.weight, &project.bias, &score}; }
  size_t pairs() const { return fields_ * (fields_ - 1) / 2; }

  Linear project;   // W, b: [d, A]
  Parameter score;  // h: [A, 1]

 private:
  size_t fields_ = 1, width_ = 0;
};

struct FieldSelfAttentionTape {
  std::vector<Matrix> q, k, v;  // [B F, dh] each: one a head; q is divided by sqrt(dh)
  Matrix weights;               // [B, H F F]: a row of each field's weights after the other
  Matrix y;                     // [B F, W]
  Matrix d_y, d_mix, d_q, d_k, d_v, d_scores;
  Matrix mix, flipped;  // [F, dh], [F, F]: scratch of one row and head
};

class FieldSelfAttention {
 public:
  FieldSelfAttention() = default;
  FieldSelfAttention(const std::string& name, size_t fields, size_t width, size_t heads,
                     size_t output_width, Random& random);

  // x [B, F d] -> y [B, F W], set.
  void Forward(ConstMat x, FieldSelfAttentionTape* tape, Mat y) const;
  // d_x [B, F d] is set.
  void Backward(ConstMat x, FieldSelfAttentionTape* tape, ConstMat d_y, Mat d_x);

  std::vector<Parameter*> Parameters() { return {&query, &key, &value, &residual}; }

  Parameter query, key, value, residual;  // [d, W]

 private:
  size_t fields_ = 0, width_ = 0, heads_ = 1, output_width_ = 0;
};

}  // namespace heed::nn
