// A target attention with random weights and a random batch for it, for tests and the PyTorch judge.
#pragma once

#include <cmath>
#include <vector>

#include "base/random.h"
#include "nn/attention.h"

namespace heed::nn {

inline void FillNormal(Matrix* m, Random& random, double deviation = 1.0) {
  for (size_t i = 0; i < m->size(); ++i) {
    m->data()[i] = static_cast<float>(random.Normal() * deviation);
  }
}

struct AttentionCase {
  AttentionShape shape;
  TargetAttention layer;
  Matrix queries, tokens;
  std::vector<uint32_t> offsets = {0}, request_of;
  std::vector<float> log_age;
  std::vector<uint8_t> excluded;

  // lengths: tokens of each request; every request gets `per_request` candidates.
  AttentionCase(const AttentionShape& attention_shape, const std::vector<uint32_t>& lengths,
                size_t per_request, Random& random)
      : shape(attention_shape), layer("attention", attention_shape, 0.0f, random) {
    for (size_t r = 0; r < lengths.size(); ++r) {
      offsets.push_back(offsets.back() + lengths[r]);
      request_of.insert(request_of.end(), per_request, static_cast<uint32_t>(r));
    }
    queries.Resize(request_of.size(), shape.query_width);
    tokens.Resize(offsets.back(), shape.token_width);
    FillNormal(&queries, random);
    FillNormal(&tokens, random);
    for (size_t t = 0; t < tokens.rows(); ++t) {
      log_age.push_back(static_cast<float>(std::log1p(random.Exponential(24.0))));
    }
    FillNormal(&layer.query_bias.value, random);
    for (size_t h = 0; h < shape.heads; ++h) {
      layer.null_score.value.data()[h] = static_cast<float>(random.Normal());
      layer.decay.value.data()[h] = static_cast<float>(random.Uniform());
    }
  }

  AttentionInput Input() const {
    return {queries.view(), tokens.view(), offsets, request_of, log_age, excluded};
  }
  size_t Length(size_t n) const { return offsets[request_of[n] + 1] - offsets[request_of[n]]; }
};

struct AttentionAnswer {
  AttentionTape tape;
  Matrix out, evidence;

  explicit AttentionAnswer(const AttentionCase& c, AttentionForm form = AttentionForm::kShared)
      : out(c.queries.rows(), c.shape.width), evidence(c.queries.rows(), c.shape.heads) {
    tape.form = form;
    c.layer.Forward(c.Input(), &tape, out.view(), evidence.view());
  }
  // Head h's weights of candidate n: its tokens, then the null slot.
  const float* Weights(const AttentionCase& c, size_t n, size_t h) const {
    return tape.weights.data() + tape.starts[n] + h * (c.Length(n) + 1);
  }
};

}  // namespace heed::nn
