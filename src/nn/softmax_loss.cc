#include "nn/softmax_loss.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>

#include "kernels/gemm.h"
#include "kernels/table.h"
#include "nn/loss.h"

namespace heed::nn {

using kernels::Gemm;
using kernels::Trans;

namespace {

constexpr float kMasked = -std::numeric_limits<float>::infinity();
constexpr size_t kBlockNumbers = 1 << 20;  // scores held at a time: 4 MB, about a core's cache
constexpr size_t kBlockRows = 32;          // at least; fewer would starve the matrix product

}  // namespace

double SoftmaxLoss(const SoftmaxLossInput& in, Matrix* scratch, Mat d_queries, Mat d_positives,
                   Mat d_candidates) {
  const kernels::Table& k = kernels::Active();
  const size_t B = in.queries.rows, C = in.candidates.rows, D = in.queries.cols;
  assert(in.right.size() == B && (in.offsets.empty() || in.offsets.size() == C));
  const size_t block = std::max(kBlockRows, kBlockNumbers / std::max<size_t>(C, 1));
  const float share = 1.0f / static_cast<float>(std::max<size_t>(B, 1));
  double loss = 0.0;
  for (size_t b0 = 0; b0 < B; b0 += block) {
    const size_t rows = std::min(block, B - b0);
    const ConstMat queries = in.queries.Rows(b0, rows);
    const Mat d = d_queries.Rows(b0, rows);
    scratch->Resize(rows, C);
    Gemm(Trans::kNo, Trans::kYes, rows, C, D, queries.data, queries.stride, in.candidates.data,
         in.candidates.stride, 0.0f, scratch->data(), C);
    for (size_t i = 0; i < rows; ++i) {
      const size_t b = b0 + i;
      float* z = scratch->Row(i);
      if (in.scale != 1.0f) k.scale(in.scale, z, C);
      if (!in.offsets.empty()) k.axpy(1.0f, in.offsets.data(), z, C);
      if (in.right[b] < C) z[in.right[b]] = kMasked;
      // The right answer sits in the slot beside the candidates.
      const float right = in.scale * k.dot(queries.Row(i), in.positives.Row(b), D);
      const float p = k.softmax_null(z, C, right);
      loss -= std::log(static_cast<double>(std::max(p, FLT_MIN)));
      k.scale(in.scale * share, z, C);
      const float d_right = in.scale * share * (p - 1.0f);
      for (size_t j = 0; j < D; ++j) {
        d_positives.Row(b)[j] = d_right * queries.Row(i)[j];
        d.Row(i)[j] = d_right * in.positives.Row(b)[j];
      }
    }
    Gemm(Trans::kNo, Trans::kNo, rows, D, C, scratch->data(), C, in.candidates.data,
         in.candidates.stride, 1.0f, d.data, d.stride);
    Gemm(Trans::kYes, Trans::kNo, C, D, rows, scratch->data(), C, queries.data, queries.stride,
         1.0f, d_candidates.data, d_candidates.stride);
  }
  return loss / static_cast<double>(std::max<size_t>(B, 1));
}

double BinaryLoss(ConstMat queries, ConstMat positives, ConstMat negatives, float scale,
                  Mat d_queries, Mat d_positives, Mat d_negatives) {
  const kernels::Table& k = kernels::Active();
  const size_t B = queries.rows, D = queries.cols, K = B > 0 ? negatives.rows / B : 0;
  assert(negatives.rows == B * K);
  const double share = 1.0 / static_cast<double>(std::max<size_t>(B, 1));
  double loss = 0.0;
  for (size_t b = 0; b < B; ++b) {
    const float* h = queries.Row(b);
    float* d_h = d_queries.Row(b);
    std::fill_n(d_h, D, 0.0f);
    // label 1: the right answer; 0: a negative
    const auto judge = [&](const float* e, float* d_e, float label, double weight) {
      const float z = scale * k.dot(h, e, D);
      const float stable = std::max(z, 0.0f) - z * label + std::log1p(std::exp(-std::abs(z)));
      loss += weight * static_cast<double>(stable);
      const float d_z = static_cast<float>(weight) * scale * (Sigmoid(z) - label);
      for (size_t j = 0; j < D; ++j) {
        d_h[j] += d_z * e[j];
        d_e[j] = d_z * h[j];
      }
    };
    judge(positives.Row(b), d_positives.Row(b), 1.0f, share);
    for (size_t n = b * K; n < (b + 1) * K; ++n) {
      judge(negatives.Row(n), d_negatives.Row(n), 0.0f, share / static_cast<double>(K));
    }
  }
  return loss;
}

}  // namespace heed::nn
