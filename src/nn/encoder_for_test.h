// Random encoders and losses with numbers for them, for tests and the judge.
#pragma once

#include <vector>

#include "nn/attention_for_test.h"
#include "nn/encoder.h"
#include "nn/softmax_loss.h"

namespace heed::nn {

struct EncoderCase {
  Encoder layer;
  Matrix rows;
  std::vector<uint32_t> offsets = {0};

  // A causal encoder with two heads and relative places.
  EncoderCase(const EncoderShape& shape, const std::vector<uint32_t>& lengths, Random& random)
      : layer("encoder", Causal(shape), random) {
    for (const uint32_t length : lengths) offsets.push_back(offsets.back() + length);
    rows.Resize(offsets.back(), shape.width);
    FillNormal(&rows, random);
    for (Parameter* p : layer.Parameters()) {
      p->grad.Fill(0.0f);
      if (p->value.rows() > 1) continue;
      for (size_t i = 0; i < p->value.size(); ++i) {  // biases and gains, away from 0 and 1
        p->value.data()[i] += static_cast<float>(0.3 * random.Normal());
      }
    }
  }
  static EncoderShape Causal(EncoderShape shape) {
    shape.attention.heads = 2;
    shape.attention.causal = true;
    shape.attention.positions = 3;
    return shape;
  }
  EncoderInput Input() const { return {.rows = rows.view(), .offsets = offsets}; }
};

struct SoftmaxCase {
  Matrix queries, positives, candidates, scratch;
  Matrix d_queries, d_positives, d_candidates;
  std::vector<uint32_t> right;
  std::vector<float> offsets;

  SoftmaxCase(size_t rows, size_t count, size_t width, bool with_offsets, Random& random)
      : queries(rows, width),
        positives(rows, width),
        candidates(count, width),
        d_queries(rows, width),
        d_positives(rows, width),
        d_candidates(count, width) {
    for (Matrix* m : {&queries, &positives, &candidates}) FillNormal(m, random);
    // Some right answers are no candidate.
    for (size_t b = 0; b < rows; ++b) {
      right.push_back(static_cast<uint32_t>(random.Below(count + 1)));
    }
    for (size_t c = 0; with_offsets && c < count; ++c) {
      offsets.push_back(static_cast<float>(random.Normal()));
    }
  }
  double Loss(float scale) {
    d_candidates.Fill(0.0f);
    return SoftmaxLoss({.queries = queries.view(),
                        .positives = positives.view(),
                        .candidates = candidates.view(),
                        .right = right,
                        .offsets = offsets,
                        .scale = scale},
                       &scratch, d_queries.view(), d_positives.view(), d_candidates.view());
  }
};

}  // namespace heed::nn
