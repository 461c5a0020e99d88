// The activation unit of DIN (Zhou et al. 2018): a small network weighs each token of a history for a
// candidate. Letters as in attention.h, with one head; A hidden units of the first layer.
//   q = query, or query Wq when its width is not the tokens' (Dq ≠ Dt)
//   s_i = network([k_i, q, q - k_i, q ∘ k_i])               k_i = token_i          (eq. 2 of the paper)
// Two ways from scores to weights:
//   sum       a_i = s_i: not normalised, so that the intensity of an interest is kept (the paper's
//             choice). evidence = Σ a_i. Ages and the null slot have no part.
//   softmax   a = softmax(s_i - lambda log_age_i) over the items and the null slot; evidence =
//             1 - a_null.
//   out = Σ a_i token_i  [Dt]
// The first layer W [4 Dt, A], with row blocks Wk, Wq, Wd, Wp, is factored exactly:
//   [k, q, q - k, q ∘ k] W = k (Wk - Wd + diag(q) Wp) + q (Wq + Wd)
// so a candidate costs one product of its tokens with a matrix of its own, Dt A a token in place of
// 4 Dt A, and the wide input is never laid out.
//
// An excluded token is as if absent: weight exactly 0, no gradient, no part in Dice's statistics.
//
// The rows form (as of attention.h) gives the same numbers where the bends look at one number at a time
// (not Dice) and nothing is excluded: it takes tokens from where their rows lie, and all of a history
// passes the unit, forward and back, before the next one comes. What lies between the layers is never
// laid out for the batch but computed again on the way back, which costs less than reading it would.
#pragma once

#include <string>
#include <vector>

#include "nn/activation.h"
#include "nn/attention.h"
#include "nn/linear.h"

namespace heed::nn {

struct ActivationUnitShape {
  size_t query_width = 0, token_width = 0;
  std::vector<size_t> hidden = {64, 16};  // at least one
  ActivationKind activation = ActivationKind::kDice;
  bool softmax = true;    // false: sum
  bool null_slot = true;  // with softmax
};

// Of the rows form. Matrices in it have their columns filled up with zeros (kernels/unit.h): Dt to T, the
// units of layer i to A_i; D = K d numbers of a token's rows to E.
struct UnitRowsTape {
  Matrix tokens;               // [tokens, T], with a projection
  Matrix mean;                 // [R, Dt], when asked: sum of a history's tokens / (L_r + 1)
  std::vector<uint32_t> iota;  // 0, 1, 2 ... of the longest history: rows of a matrix of its own

  // The weights, for the way there and back.
  Matrix event, event_bias;    // [D, T], [1, T], with a projection
  Matrix side, product;        // [Dt, A_0]: Wk - Wd, Wp
  std::vector<Matrix> weight;  // [A_(i-1), A_i], i > 0
  std::vector<Matrix> bias;    // [1, A_i]; that of the first is part of `base`
  std::vector<Matrix> slope;   // [1, A_i]; zeros for the rectifier
  Matrix score;                // [1, A] of the last layer
  Matrix event_t, side_t, product_t;
  std::vector<Matrix> weight_t;  // [A_i, A_(i-1)]

  // What a thread needs for itself; gradients are its own sums.
  struct Lane {
    Matrix own;                        // [Dt, A_0] or transposed
    std::vector<Matrix> bent, hidden;  // [L, A_i]: before the bend, after it
    Matrix d, d_before;                // [L, any A_i]
    Matrix d_scores;                   // [1, L]
    Matrix d_own, d_tokens, d_part, d_rows;
    Matrix row;  // [1, any width]
    Matrix d_event, d_event_bias, d_side, d_product, d_score;
    std::vector<Matrix> d_weight, d_bias, d_slope;
    float d_score_bias = 0.0f, d_null = 0.0f, d_decay = 0.0f;
  };
  std::vector<Lane> lanes;
};

struct ActivationUnitTape {
  bool rows_form = false;  // to be chosen before Forward
  UnitRowsTape rows;
  // Candidate n's run is [L + 1] from starts[n]; the last weight is the null slot's (0 in a sum).
  Floats weights;
  std::vector<size_t> starts;  // [N]

  // Without the excluded tokens. P pairs of a candidate and a token, candidate by candidate.
  Matrix kept_tokens;  // only when some are excluded
  std::vector<float> kept_age;
  std::vector<uint32_t> kept, offsets;  // index among all tokens; [R + 1]
  std::vector<size_t> first_pair;       // [N + 1]
  Matrix q;                             // [N, Dt]
  std::vector<Matrix> hidden;           // [P, width] each, after its activation
  std::vector<ActivationTape> bends;
  Matrix pair_weights;        // [P, 1]
  std::vector<float> nulls;   // [N]
  Matrix token_side, q_side;  // [Dt, A]: Wk - Wd, Wq + Wd

  Matrix own, d_own;  // [Dt, A]: Wk - Wd + diag(q) Wp of one candidate
  Matrix base;        // [N, A]
  Matrix d_q, d_base, d_pairs, d_token_side, d_q_side, d_kept;
  std::vector<Matrix> d_hidden;
};

class ActivationUnit {
 public:
  ActivationUnit() = default;
  ActivationUnit(const std::string& name, const ActivationUnitShape& shape, float initial_decay,
                 Random& random);

  // out [N, Dt] and evidence [N, 1] are set.
  void Forward(const AttentionInput& in, Phase phase, ActivationUnitTape* tape, Mat out,
               Mat evidence) const;
  // d_out [N, Dt], d_evidence [N, 1] -> adds to d_queries [N, Dq] and d_tokens [tokens, Dt].
  void Backward(const AttentionInput& in, ActivationUnitTape* tape, ConstMat d_out,
                ConstMat d_evidence, Mat d_queries, Mat d_tokens);

  // Whether Forward may have tape->rows_form, with in.rows.
  bool ReadsRows() const { return shape_.activation != ActivationKind::kDice; }
  // After a Forward in the rows form, as TargetAttention::BackwardRows; d_mean [R, Dt] is that of
  // tape->rows.mean, or empty.
  void BackwardRows(const AttentionInput& in, ActivationUnitTape* tape, ConstMat d_out,
                    ConstMat d_evidence, ConstMat d_mean, Mat d_queries, Linear* projection,
                    std::span<TokenGradients* const> tokens);

  void Track(const ActivationUnitTape& tape);  // after a step that counts: Dice's statistics
  void ClampDecay();                           // after an optimiser step: lambda >= 0

  std::vector<Parameter*> Parameters();
  void AddBuffers(std::vector<Buffer>* all) {
    for (Activation& bend : bends) bend.AddBuffers(all);
  }
  const ActivationUnitShape& shape() const { return shape_; }

  Parameter query;                // [Dq, Dt], only when Dq ≠ Dt
  Linear first;                   // [4 Dt, A]: rows of k, q, q - k, q ∘ k
  std::vector<Linear> layers;     // the others; the last gives the score
  std::vector<Activation> bends;  // one after each hidden layer
  Parameter null_score, decay;    // [1, 1], with softmax

 private:
  bool projects() const { return shape_.query_width != shape_.token_width; }
  void Keep(const AttentionInput& in, ActivationUnitTape* tape) const;
  ConstMat Tokens(const AttentionInput& in, const ActivationUnitTape& tape) const {
    return in.excluded.empty() ? in.tokens : tape.kept_tokens.view();
  }
  void OwnMatrix(const ActivationUnitTape& tape, size_t n, Matrix* own) const;
  float ToWeights(const float* log_age, float* s, size_t L, float* null) const;
  void Weigh(const AttentionInput& in, ActivationUnitTape* tape, Mat evidence) const;
  void Sides(const AttentionInput& in, ActivationUnitTape* tape) const;
  void BackwardSides(const AttentionInput& in, ActivationUnitTape* tape, Mat d_queries);

  void StartRows(const AttentionInput& in, ActivationUnitTape* tape) const;
  void ForwardRows(const AttentionInput& in, ActivationUnitTape* tape, Mat out, Mat evidence) const;
  void Layers(const kernels::TokenRows& tokens, size_t n, const ActivationUnitTape& tape,
              UnitRowsTape::Lane* lane, kernels::RowFetch* next) const;
  struct RowsPass;
  void StartLane(const RowsPass& pass, UnitRowsTape::Lane* lane) const;
  void BackwardCandidate(const RowsPass& pass, const kernels::TokenRows& tokens, size_t n,
                         UnitRowsTape::Lane* lane, kernels::RowFetch* next) const;
  void BackwardLane(const RowsPass& pass, size_t first, size_t last, TokenGradients* tokens,
                    UnitRowsTape::Lane* lane) const;
  void AddLane(const UnitRowsTape::Lane& lane, ActivationUnitTape* tape, Linear* projection);

  ActivationUnitShape shape_;
};

}  // namespace heed::nn
