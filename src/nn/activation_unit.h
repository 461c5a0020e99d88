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

struct ActivationUnitTape {
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
  void Weigh(const AttentionInput& in, ActivationUnitTape* tape, Mat evidence) const;

  ActivationUnitShape shape_;
};

}  // namespace heed::nn
