// Multi-head target attention: each candidate attends to the history of its request.
//
// Letters: N candidates, R requests, L_r tokens of request r, Dq query width, Dt token width,
// H heads, dh = W / H the width of one head.
//   q = query Wq + bq       k_i = token_i Wk            v_i = token_i Wv          (per head, dh wide)
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
#include "kernels/history.h"
#include "nn/mat.h"
#include "nn/parameter.h"

namespace heed::nn {

class Linear;  // nn/linear.h

struct AttentionShape {
  size_t query_width = 0, token_width = 0;
  size_t heads = 1;
  size_t width = 1;       // W, of all heads together; a multiple of heads
  bool null_slot = true;  // false: plain softmax over the items
};

// A batch's tokens as they lie in their tables: token t is the rows of its K parts side by side, or a
// projection of that. What the rows form reads instead of a matrix of tokens.
struct HistoryRows {
  std::vector<const float*> tables;    // [K]
  std::span<const uint32_t> rows;      // [tokens, K]
  size_t width = 0, stride = 0;        // d, and from row to row of a table
  const Linear* projection = nullptr;  // [K d, Dt]
  bool mean = false;                   // also the mean pool of each history, into tape->mean
  size_t parts() const { return tables.size(); }
};

// Takes the gradient of tokens' rows, one history after the other and from its first token on.
class TokenGradients {
 public:
  virtual ~TokenGradients() = default;
  // Tokens first .. first + tokens - 1 come next; a chance to fetch ahead.
  virtual void Start(size_t first, size_t tokens) = 0;
  // g [tokens, K d], g_stride from token to token. `next` is for kernels to fetch from.
  virtual void Take(size_t first, size_t tokens, const float* g, size_t g_stride,
                    kernels::RowFetch* next) = 0;
};

struct AttentionInput {
  ConstMat queries;                      // [N, Dq]
  ConstMat tokens;                       // [offsets[R], Dt]
  std::span<const uint32_t> offsets;     // [R + 1]
  std::span<const uint32_t> request_of;  // [N], ascending
  std::span<const float> log_age;        // [tokens], >= 0
  std::span<const uint8_t> excluded;     // [tokens], non-zero: masked, weight exactly 0; or empty
  // [R, H]: all scores of a request's candidates, the null slot's too, are multiplied by it before
  // the softmax (nn/temperature.h); no data: by 1.
  ConstMat inverse_temperature = {};
  const HistoryRows* rows = nullptr;  // with them the rows form can be had, which needs no tokens
};

// Three ways to the same numbers. Shared: keys and values of a request's tokens are projected once and
// used by all its candidates. Absorbed: q·(Wk^T x) = (Wk q)·x moves the projections to the
// candidate's side, which is far less work when a request has few candidates (training). Rows: the
// projection that made the tokens of rows moves there, too, as We Wk and We Wv, formed once a batch;
// what is left of the work on a history is L H D each for scores and context, on rows nobody copied.
enum class AttentionForm : uint8_t { kShared, kAbsorbed, kRows };

// What a forward pass leaves for the backward pass and for explanations; reused from batch to batch.
struct AttentionTape {
  AttentionForm form = AttentionForm::kShared;
  // Candidate n's run is [H, L + 1] from starts[n]; the last weight of a head is the null slot's.
  Floats weights;
  std::vector<size_t> starts;  // [N]
  Matrix q;                    // [N, W], already divided by sqrt(dh)
  Matrix keys, values;         // [tokens, W], shared form
  // Absorbed form: Wk q, and the weighted mean of tokens [N, H Dt]; of rows [N, H D] in the rows form.
  Matrix u, context;
  Matrix row_key, row_value;            // [D, W], rows form with a projection: We Wk, We Wv
  Matrix row_key_bias, row_value_bias;  // [1, W]: be Wk, be Wv
  Matrix evidence;                      // [N, H], rows form
  Matrix mean;                          // [R, D], rows form: sum of a history's rows / (L_r + 1)

  Floats cold_scores;            // like weights: the scores before the temperature, only with one
  Matrix d_inverse_temperature;  // [R, H], set by Backward, only with one

  // Scratch of the backward pass.
  Floats d_scores;
  Matrix d_q, d_keys, d_values, d_u, d_context;
  Matrix d_row_key, d_row_value, d_row_key_bias, d_row_value_bias;
  Matrix d_evidence;  // [N, H]
  std::vector<Matrix>
      d_lane;  // [some tokens + 2, D]: tokens' gradients, a base; lane's d_null, d_decay
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

  // The same after a Forward in the rows form, whose tokens' gradients go to `tokens` and to the
  // projection's (in.rows->projection, to be added to). d_mean [R, D] is that of tape->mean, or empty.
  // Requests are dealt to as many lanes as there are `tokens`, in order; each lane is one piece of a
  // ParallelFor.
  void BackwardRows(const AttentionInput& in, AttentionTape* tape, ConstMat d_out,
                    ConstMat d_evidence, ConstMat d_mean, Mat d_queries, Linear* projection,
                    std::span<TokenGradients* const> tokens);

  // After an optimiser step: puts lambda back to >= 0 (projected gradient).
  void ClampDecay();

  std::vector<Parameter*> Parameters();
  const AttentionShape& shape() const { return shape_; }

  Parameter query;       // [Dq, W]
  Parameter query_bias;  // [1, W]: what every candidate asks; without it no item can matter to none
  Parameter key;         // [Dt, W]
  Parameter value;       // [Dt, W]
  Parameter null_score;  // [1, H]
  Parameter decay;       // [1, H]: lambda

 private:
  void Weigh(const AttentionInput& in, AttentionTape* tape, size_t n, Mat evidence) const;
  void WeighBackward(const AttentionInput& in, AttentionTape* tape, size_t n, ConstMat d_evidence,
                     float* d_null_score, float* d_decay) const;
  struct RowsPass;
  void BackwardLane(const RowsPass& pass, size_t first_request, size_t last_request,
                    TokenGradients* tokens, Matrix* scratch) const;
  void ForwardShared(const AttentionInput& in, AttentionTape* tape, Mat out, Mat evidence) const;
  void ForwardAbsorbed(const AttentionInput& in, AttentionTape* tape, Mat out, Mat evidence) const;
  void ForwardRows(const AttentionInput& in, AttentionTape* tape, Mat out, Mat evidence) const;
  void StartBackward(const AttentionInput& in, AttentionTape* tape) const;
  void BackwardProjection(const AttentionTape& tape, Linear* projection);
  void BackwardQuery(const AttentionInput& in, AttentionTape* tape, Mat d_queries);
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
