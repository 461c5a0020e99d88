// A DIN unit with random weights and a random batch for it, for tests and the PyTorch judge.
#pragma once

#include <vector>

#include "nn/activation_unit.h"
#include "nn/attention_for_test.h"

namespace heed::nn {

struct UnitCase {
  ActivationUnit layer;
  Matrix queries, tokens;
  std::vector<uint32_t> offsets = {0}, request_of;
  std::vector<float> log_age;
  std::vector<uint8_t> excluded;

  // lengths: tokens of each request; every request gets `per_request` candidates.
  UnitCase(const ActivationUnitShape& shape, const std::vector<uint32_t>& lengths,
           size_t per_request, Random& random)
      : layer("unit", shape, 0.3f, random) {
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
    for (Parameter* p : layer.Parameters()) {  // away from the zeros that hide mistakes
      for (size_t i = 0; i < p->value.size(); ++i) {
        p->value.data()[i] += static_cast<float>(random.Uniform(-0.2, 0.2));
      }
    }
  }

  AttentionInput Input() const {
    return {queries.view(), tokens.view(), offsets, request_of, log_age, excluded, {}};
  }
  size_t Length(size_t n) const { return offsets[request_of[n] + 1] - offsets[request_of[n]]; }
};

struct UnitAnswer {
  ActivationUnitTape tape;
  Matrix out, evidence;

  explicit UnitAnswer(const UnitCase& c, Phase phase = Phase::kTrain)
      : out(c.queries.rows(), c.layer.shape().token_width), evidence(c.queries.rows(), 1) {
    c.layer.Forward(c.Input(), phase, &tape, out.view(), evidence.view());
  }
  // Of candidate n: its tokens, then the null slot.
  const float* Weights(size_t n) const { return tape.weights.data() + tape.starts[n]; }
};

}  // namespace heed::nn
