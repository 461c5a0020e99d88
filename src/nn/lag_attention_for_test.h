// A lag attention with random weights and random seconds, some of them absent.
#pragma once

#include <vector>

#include "base/random.h"
#include "nn/attention_for_test.h"
#include "nn/lag_attention.h"

namespace heed::nn {

struct LagCase {
  LagAttention layer;
  Matrix tokens;
  std::vector<uint8_t> present;

  LagCase(const LagShape& shape, size_t seconds, double missing, Random& random)
      : layer("lag", shape), tokens(seconds, shape.width) {
    FillNormal(&tokens, random);
    for (size_t t = 0; t < seconds; ++t) present.push_back(!random.Chance(missing));
    FillNormal(&layer.content.value, random);
    FillNormal(&layer.null_score.value, random);
    const auto set = [&](Parameter& p, double low, double high) {
      p.value.Fill(static_cast<float>(random.Uniform(low, high)));
    };
    set(layer.lag, 0, static_cast<double>(shape.look_back) - 1);
    set(layer.decay, 0.01, 1), set(layer.rise, 0.01, 1);
  }
};

struct LagAnswer {
  LagTape tape;
  Matrix y;
  std::vector<float> evidence;

  explicit LagAnswer(const LagCase& c)
      : y(c.tokens.rows(), c.tokens.cols()), evidence(c.tokens.rows()) {
    c.layer.Forward({c.tokens.view(), c.present}, &tape, y.view(), evidence);
  }
};

}  // namespace heed::nn
