// Multi-head target attention: each candidate attends to the history of its request.
//
// Letters: N candidates, R requests, L_r tokens of request r, Dq query width, Dt token width,
// H heads, dh = W / H the width of one head.
//   q = query Wq            k_i = token_i Wk            v_i = token_i Wv          (per head, dh wide)
//   s_i = q·k_i / sqrt(dh) - lambda_h log_age_i         s_null = null_score_h
//   a = softmax over the items and the null slot        out = sum_i a_i v_i       evidence = 1 - a_null
// Scaled dot product and heads: Vaswani et al. 2017. Attending with the candidate as the query: Zhou
// et al. 2018 (DIN). The null slot ("softmax plus one", here with a learned score) lets a head say
// that nothing in the history matters: a lone token does not get weight 1, and an empty history
// gives exactly zeros with evidence 0. lambda_h >= 0 forgets: with log_age = log1p(age / tau) a
// weight falls as a power of age.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "nn/mat.h"
#include "nn/parameter.h"

namespace heed::nn {

struct AttentionShape {
  size_t query_width = 0, token_width = 0;
  size_t heads = 1;
  size_t width = 1;       // W, of all heads together; a multiple of heads
  bool null_slot = true;  // false: plain softmax over the items
};

struct AttentionInput {
  ConstMat queries;                      // [N, Dq]
  ConstMat tokens;                       // [offsets[R], Dt]
  std::span<const uint32_t> offsets;     // [R + 1]
  std::span<const uint32_t> request_of;  // [N], ascending
  std::span<const float> log_age;        // [tokens], >= 0
  std::span<const uint8_t> excluded;     // [tokens], non-zero: masked, weight exactly 0; or empty
};

// Two ways to the same numbers. Shared: keys and values of a request's tokens are projected once and
// used by all its candidates. Absorbed: q·(Wk^T x) = (Wk q)·x moves the projections to the
// candidate's side, which is far less work when a request has few candidates (training).
enum class AttentionForm : uint8_t { kShared, kAbsorbed };

// What a forward pass leaves for the backward pass and for explanations; reused from batch to batch.
struct AttentionTape {
  AttentionForm form = AttentionForm::kShared;
  // Candidate n's run is [H, L + 1] from starts[n]; the last weight of a head is the null slot's.
  Floats weights;
  std::vector<size_t> starts;  // [N]
  Matrix q;                    // [N, W], already divided by sqrt(dh)
  Matrix keys, values;         // [tokens, W], shared form
  Matrix u, context;           // [N, H Dt], absorbed form: Wk q, and the weighted mean of tokens

  // Scratch of the backward pass.
  Floats d_scores;
  Matrix d_q, d_keys, d_values, d_u, d_context;
};

class TargetAttention {
 public:
  TargetAttention() = default;
  // Projections as in Linear (no bias); null score 0; decay as given.
  TargetAttention(const std::string& name, const AttentionShape& shape, float decay,
                  Random& random);

  // The form with fewer multiplications for this batch. A function of shapes only.
  AttentionForm BestForm(const AttentionInput& in) const;

  // out [N, W] and evidence [N, H] are set. tape->form must be chosen before.
  void Forward(const AttentionInput& in, AttentionTape* tape, Mat out, Mat evidence) const;

  // d_out [N, W], d_evidence [N, H] -> adds to d_queries [N, Dq] and d_tokens [tokens, Dt].
  void Backward(const AttentionInput& in, AttentionTape* tape, ConstMat d_out, ConstMat d_evidence,
                Mat d_queries, Mat d_tokens);

  // After an optimiser step: puts lambda back to >= 0 (projected gradient).
  void ClampDecay();

  std::vector<Parameter*> Parameters();
  const AttentionShape& shape() const { return shape_; }

  Parameter query;       // [Dq, W]
  Parameter key;         // [Dt, W]
  Parameter value;       // [Dt, W]
  Parameter null_score;  // [1, H]
  Parameter decay;       // [1, H]: lambda

 private:
  void Weigh(const AttentionInput& in, AttentionTape* tape, size_t n, Mat evidence) const;
  void WeighBackward(const AttentionInput& in, AttentionTape* tape, size_t n, ConstMat d_evidence);
  void ForwardShared(const AttentionInput& in, AttentionTape* tape, Mat out, Mat evidence) const;
  void ForwardAbsorbed(const AttentionInput& in, AttentionTape* tape, Mat out, Mat evidence) const;
  void BackwardShared(const AttentionInput& in, AttentionTape* tape, ConstMat d_out,
                      ConstMat d_evidence, Mat d_tokens);
  void BackwardAbsorbed(const AttentionInput& in, AttentionTape* tape, ConstMat d_out,
                        ConstMat d_evidence, Mat d_tokens);

  AttentionShape shape_;
};

// Mean of a history with one empty slot counted, so that a short history stays small:
// out[r] = sum of its tokens / (L_r + 1). tokens [offsets[R], D] -> out [R, D], set.
void MeanPoolForward(ConstMat tokens, std::span<const uint32_t> offsets, Mat out);
// Adds to d_tokens.
void MeanPoolBackward(std::span<const uint32_t> offsets, ConstMat d_out, Mat d_tokens);

}  // namespace heed::nn
