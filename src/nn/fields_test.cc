// Attention among fields, the gate, the cross network, experts and the chain of tasks: what must hold
// whatever the numbers, plain loops beside them, and finite differences.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <numeric>

#include "nn/attention_for_test.h"
#include "nn/cross.h"
#include "nn/esmm.h"
#include "nn/experts.h"
#include "nn/feature_gate.h"
#include "nn/field_attention.h"
#include "nn/slope_for_test.h"

namespace heed::nn {
namespace {

Random Seeded() { return Random(*rc::gen::arbitrary<uint64_t>()); }

// The same row with its fields in another order.
Matrix Turned(const Matrix& x, size_t fields, const std::vector<size_t>& order) {
  const size_t d = x.cols() / fields;
  Matrix y(x.rows(), x.cols());
  for (size_t i = 0; i < x.rows(); ++i) {
    for (size_t f = 0; f < fields; ++f) std::copy_n(x.Row(i) + order[f] * d, d, y.Row(i) + f * d);
  }
  return y;
}

std::vector<size_t> AnyOrder(size_t fields, Random& random) {
  std::vector<size_t> order(fields);
  std::iota(order.begin(), order.end(), 0u);
  random.Shuffle(order);
  return order;
}

bool Near(const Matrix& a, const Matrix& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::abs(a.data()[i] - b.data()[i]) > 1e-4f * (1.0f + std::abs(b.data()[i]))) return false;
  }
  return a.size() == b.size();
}

RC_GTEST_PROP(PairAttention, WeightsSumToOneOverPairsAndOrderDoesNotMatter, ()) {
  Random random = Seeded();
  const size_t F = *rc::gen::inRange<size_t>(2, 7), d = *rc::gen::inRange<size_t>(1, 6);
  const PairAttention layer("pair", F, d, 4, random);
  Matrix x(3, F * d), y(3, d), turned(3, d);
  FillNormal(&x, random, *rc::gen::element(1.0, 100.0));
  PairAttentionTape tape;
  layer.Forward(x.view(), &tape, y.view());
  for (size_t i = 0; i < 3; ++i) {
    const float* w = tape.weights.Row(i);
    RC_ASSERT(std::abs(std::accumulate(w, w + layer.pairs(), 0.0f) - 1.0f) < 1e-5f);
    for (size_t j = 0; F == 2 && j < d; ++j) {  // one pair: weight 1
      RC_ASSERT(y.Row(i)[j] == x.Row(i)[j] * x.Row(i)[d + j]);
    }
  }
  layer.Forward(Turned(x, F, AnyOrder(F, random)).view(), &tape, turned.view());
  RC_ASSERT(Near(turned, y));
}

RC_GTEST_PROP(FieldSelfAttention, PermutingFieldsPermutesOutputs, ()) {
  Random random = Seeded();
  const size_t F = *rc::gen::inRange<size_t>(1, 7), d = *rc::gen::inRange<size_t>(1, 6);
  const size_t H = *rc::gen::inRange<size_t>(1, 4), W = H * 2;
  const FieldSelfAttention layer("self", F, d, H, W, random);
  Matrix x(2, F * d), y(2, F * W), turned(2, F * W);
  FillNormal(&x, random);
  FieldSelfAttentionTape tape;
  layer.Forward(x.view(), &tape, y.view());
  for (size_t i = 0; i < tape.weights.size(); i += F) {
    const float* w = tape.weights.data() + i;
    RC_ASSERT(std::abs(std::accumulate(w, w + F, 0.0f) - 1.0f) < 1e-5f);
  }
  const std::vector<size_t> order = AnyOrder(F, random);
  layer.Forward(Turned(x, F, order).view(), &tape, turned.view());
  RC_ASSERT(Near(turned, Turned(y, F, order)));
}

TEST(FieldSelfAttention, IsWhatTheFormulaSays) {
  Random random(2);
  const size_t F = 3, d = 2, W = 4;
  const FieldSelfAttention layer("self", F, d, 1, W, random);
  Matrix x(1, F * d), y(1, F * W);
  FillNormal(&x, random);
  FieldSelfAttentionTape tape;
  layer.Forward(x.view(), &tape, y.view());
  const auto projected = [&](const Parameter& p, size_t f, size_t j) {
    double sum = 0.0;
    for (size_t i = 0; i < d; ++i) {
      sum += static_cast<double>(x.data()[f * d + i]) * static_cast<double>(p.value.Row(i)[j]);
    }
    return sum;
  };
  for (size_t f = 0; f < F; ++f) {
    std::vector<double> mix(W, 0.0);
    double total = 0.0;
    for (size_t g = 0; g < F; ++g) {
      double score = 0.0;
      for (size_t j = 0; j < W; ++j) {
        score += projected(layer.query, f, j) * projected(layer.key, g, j) / 2.0;
      }
      total += std::exp(score);
      for (size_t j = 0; j < W; ++j) mix[j] += std::exp(score) * projected(layer.value, g, j);
    }
    for (size_t j = 0; j < W; ++j) {
      const double want = std::max(mix[j] / total + projected(layer.residual, f, j), 0.0);
      EXPECT_NEAR(y.data()[f * W + j], want, 1e-5);
    }
  }
}

TEST(FeatureGate, AnUntrainedGateIsOpenAndAnyIsWithinZeroAndTwo) {
  Random random(4);
  FeatureGate gate("gate", 4, 3, 5, random);
  Matrix x(6, 12), y(6, 12);
  FillNormal(&x, random);
  FeatureGateTape tape;
  gate.Forward(x.view(), &tape, y.view());
  for (size_t i = 0; i < x.size(); ++i) EXPECT_EQ(y.data()[i], x.data()[i]);
  FillNormal(&gate.excite.weight.value, random, 10.0);
  gate.Forward(x.view(), &tape, y.view());
  for (size_t i = 0; i < 6; ++i) {
    for (size_t f = 0; f < 4; ++f) {
      EXPECT_GE(tape.gate.Row(i)[f], 0.0f);
      EXPECT_LE(tape.gate.Row(i)[f], 2.0f);
      for (size_t j = f * 3; j < f * 3 + 3; ++j) {
        EXPECT_EQ(y.Row(i)[j], tape.gate.Row(i)[f] * x.Row(i)[j]);
      }
    }
  }
}

RC_GTEST_PROP(CrossNetwork, IsThePlainLoopAndLowRankIsItsProduct, ()) {
  Random random = Seeded();
  const size_t I = *rc::gen::inRange<size_t>(1, 7), K = *rc::gen::inRange<size_t>(1, 4);
  CrossNetwork low("low", {.inputs = I, .layers = K, .rank = 2}, random);
  CrossNetwork full("full", {.inputs = I, .layers = K}, random);
  Matrix x(2, I), y(2, I), y_low(2, I);
  FillNormal(&x, random);
  for (size_t l = 0; l < K; ++l) {
    FillNormal(&low.layers[l].bias.value, random);
    full.layers[l].bias = low.layers[l].bias;
    MatMul(low.narrow[l].value.view(), low.layers[l].weight.value.view(),
           full.layers[l].weight.value.view());
  }
  CrossTape tape;
  low.Forward(x.view(), &tape, y_low.view());
  full.Forward(x.view(), &tape, y.view());
  RC_ASSERT(Near(y_low, y));
  Matrix plain = x;
  for (size_t l = 0; l < K; ++l) {
    const Matrix before = plain;
    for (size_t i = 0; i < 2; ++i) {
      for (size_t j = 0; j < I; ++j) {
        float product = full.layers[l].bias.value.data()[j];
        for (size_t k = 0; k < I; ++k) {
          product += before.Row(i)[k] * full.layers[l].weight.value.Row(k)[j];
        }
        plain.Row(i)[j] = x.Row(i)[j] * product + before.Row(i)[j];
      }
    }
  }
  RC_ASSERT(Near(y, plain));
}

TEST(ExpertLayer, UntrainedGatesTakeTheMeanOfTheTasksOwnExperts) {
  Random random(6);
  const ExpertLayer layer("experts", {.inputs = 3, .outputs = 2, .tasks = 2, .shared = 1, .own = 1},
                          random);
  Matrix x(4, 3), y0(4, 2), y1(4, 2);
  FillNormal(&x, random);
  ExpertTape tape;
  layer.Forward({x.view(), x.view(), x.view()}, &tape, {y0.view(), y1.view()});
  for (size_t i = 0; i < y0.size(); ++i) {
    const float shared = tape.experts[0].data()[i];
    EXPECT_NEAR(y0.data()[i], (shared + tape.experts[1].data()[i]) / 2.0f, 1e-6f);
    EXPECT_NEAR(y1.data()[i], (shared + tape.experts[2].data()[i]) / 2.0f, 1e-6f);
  }
}

RC_GTEST_PROP(Chain, IsTheProductOfProbabilities, ()) {
  const auto any = [] { return static_cast<float>(*rc::gen::inRange(-3000, 3000)) / 100.0f; };
  const float a = any(), c = any();
  const double p = 1.0 / (1.0 + std::exp(-static_cast<double>(a)));
  const double q = 1.0 / (1.0 + std::exp(-static_cast<double>(c)));
  const double z = static_cast<double>(ProductLogit(a, c));
  RC_ASSERT(std::abs(1.0 / (1.0 + std::exp(-z)) - p * q) <= 1e-5 * p * q);
  RC_ASSERT(z <= std::min(static_cast<double>(a), static_cast<double>(c)) + 1e-5);
}

TEST(Chain, StaysFiniteWhereProbabilitiesDoNot) {
  EXPECT_FLOAT_EQ(ProductLogit(-1e6f, 1e6f), -1e6f);
  EXPECT_FLOAT_EQ(ProductLogit(-1e6f, -1e6f), -2e6f);
  EXPECT_NEAR(ProductLogit(1e6f, 1e6f), 1e6f, 1.0f);
  Matrix logits(1, 2), conditional(1, 1), d(1, 2);
  for (const float big : {-1e6f, 1e6f}) {
    logits.Fill(big);
    d.Fill(1.0f);
    const std::vector<ChainLink> links = {{.task = 1, .given = 0}};
    ChainForward(links, logits.view(), conditional.view());
    ChainBackward(links, logits.view(), conditional.view(), d.view());
    for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(std::isfinite(d.data()[i]));
  }
}

// A layer of one input and one output against finite differences, parameters and input.
template <typename Layer, typename Forward, typename Backward>
void CheckGradient(Layer* layer, size_t in, size_t out, Random& random, Forward forward,
                   Backward backward) {
  for (Parameter* p : layer->Parameters()) {
    for (size_t i = 0; i < p->value.size(); ++i) {
      p->value.data()[i] += static_cast<float>(random.Uniform(-0.3, 0.3));
    }
  }
  Matrix x(3, in), y(3, out), d_y(3, out), d_x(3, in);
  FillNormal(&x, random);
  FillNormal(&d_y, random);
  forward(x, &y);
  backward(x, d_y, &d_x);
  const auto loss = [&] {
    forward(x, &y);
    return Inner(y, d_y);
  };
  for (Parameter* p : layer->Parameters()) ExpectSlopes(&p->value, p->grad, p->name, loss);
  ExpectSlopes(&x, d_x, "x", loss);
}

TEST(Fields, GradientsMatchFiniteDifferences) {
  Random random(8);
  PairAttention pair("pair", 4, 3, 5, random);
  PairAttentionTape pair_tape;
  CheckGradient(
      &pair, 12, 3, random,
      [&](const Matrix& x, Matrix* y) { pair.Forward(x.view(), &pair_tape, y->view()); },
      [&](const Matrix& x, const Matrix& d, Matrix* d_x) {
        pair.Backward(x.view(), &pair_tape, d.view(), d_x->view());
      });
  FieldSelfAttention self("self", 4, 3, 2, 6, random);
  FieldSelfAttentionTape self_tape;
  CheckGradient(
      &self, 12, 24, random,
      [&](const Matrix& x, Matrix* y) { self.Forward(x.view(), &self_tape, y->view()); },
      [&](const Matrix& x, const Matrix& d, Matrix* d_x) {
        self.Backward(x.view(), &self_tape, d.view(), d_x->view());
      });
  FeatureGate gate("gate", 4, 3, 5, random);
  FeatureGateTape gate_tape;
  CheckGradient(
      &gate, 12, 12, random,
      [&](const Matrix& x, Matrix* y) { gate.Forward(x.view(), &gate_tape, y->view()); },
      [&](const Matrix& x, const Matrix& d, Matrix* d_x) {
        gate.Backward(x.view(), &gate_tape, d.view(), d_x->view());
      });
  CrossNetwork cross("cross", {.inputs = 5, .layers = 2, .rank = 2}, random);
  CrossTape cross_tape;
  CheckGradient(
      &cross, 5, 5, random,
      [&](const Matrix& x, Matrix* y) { cross.Forward(x.view(), &cross_tape, y->view()); },
      [&](const Matrix&, const Matrix& d, Matrix* d_x) {
        cross.Backward(&cross_tape, d.view(), d_x->view());
      });
}

}  // namespace
}  // namespace heed::nn
