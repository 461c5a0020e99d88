// Losses of choosing one item among many: softmax cross-entropy over all other items or over a
// sample of them, and binary cross-entropy against sampled negatives.
//
// Letters: B rows, D width, C candidates. Row b has a query h_b, a right answer p_b and
//   z+ = scale h_b·p_b                    z_c = scale h_b·e_c + offset_c
//   softmax:  loss_b = -log(exp(z+) / (exp(z+) + sum of exp(z_c) over c but the right answer))
//   binary:   loss_b = log(1 + exp(-z+)) + mean over its negatives of log(1 + exp(z))
// All items as candidates give the full softmax. With C candidates drawn with probabilities q and
// offset_c = -log(C q_c) the sum is an unbiased estimate of the full one (Bengio & Senecal 2008;
// "logQ correction", Yi et al. 2019); without offsets popular items, drawn more often, are held
// down.
// Rows of length 1 (NormalizeRows) and scale = 1 / temperature give the cosine softmax.
// Each loss is the mean over the rows and is summed in double in row order; each function computes
// its gradients at once, a block of rows at a time, so that no [B, C] matrix is kept.
#pragma once

#include <cstdint>
#include <span>

#include "nn/mat.h"

namespace heed::nn {

struct SoftmaxLossInput {
  ConstMat queries;     // [B, D]
  ConstMat positives;   // [B, D]
  ConstMat candidates;  // [C, D]
  std::span<const uint32_t>
      right;                       // [B]: the candidate that is the right answer, or C when none is
  std::span<const float> offsets;  // [C], or empty: all 0
  float scale = 1.0f;
};

// Sets d_queries and d_positives [B, D], adds to d_candidates [C, D]. `scratch` is resized. Without
// rows the loss is 0. Candidates are distinct: only the one in `right` is left out of the sum.
double SoftmaxLoss(const SoftmaxLossInput& in, Matrix* scratch, Mat d_queries, Mat d_positives,
                   Mat d_candidates);

// negatives [B K, D], K to a row. Sets all three gradients.
double BinaryLoss(ConstMat queries, ConstMat positives, ConstMat negatives, float scale,
                  Mat d_queries, Mat d_positives, Mat d_negatives);

}  // namespace heed::nn
