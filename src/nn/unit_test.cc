// What must hold of the DIN unit, the activations, batch norm and the temperature whatever the
// numbers, each against a plain loop, and their gradients by finite differences.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "nn/slope_for_test.h"
#include "nn/temperature.h"
#include "nn/unit_for_test.h"

namespace heed::nn {
namespace {

UnitCase AnyUnit(bool softmax, bool null_slot, Random& random) {
  const ActivationUnitShape shape{.query_width = *rc::gen::inRange<size_t>(1, 6),
                                  .token_width = *rc::gen::inRange<size_t>(1, 6),
                                  .hidden = {*rc::gen::inRange<size_t>(1, 6)},
                                  .activation = ActivationKind::kPRelu,
                                  .softmax = softmax,
                                  .null_slot = null_slot};
  const auto lengths =
      *rc::gen::nonEmpty(rc::gen::container<std::vector<uint32_t>>(rc::gen::inRange(0u, 9u)));
  return {shape, lengths, *rc::gen::inRange<size_t>(1, 4), random};
}

bool Near(double a, double b, double tolerance = 3e-5) {
  return std::abs(a - b) <= tolerance * (1.0 + std::abs(b));
}

// The network on [k, q, q - k, q ∘ k], laid out wide, number by number.
double PlainScore(const UnitCase& c, size_t n, size_t t) {
  const ActivationUnit& unit = c.layer;
  const size_t Dt = c.tokens.cols();
  std::vector<double> q(Dt, 0.0), x;
  for (size_t i = 0; i < Dt; ++i) {
    if (c.queries.cols() == Dt) {
      q[i] = static_cast<double>(c.queries.Row(n)[i]);
      continue;
    }
    for (size_t j = 0; j < c.queries.cols(); ++j) {
      q[i] += static_cast<double>(c.queries.Row(n)[j]) *
              static_cast<double>(unit.query.value.Row(j)[i]);
    }
  }
  const float* k = c.tokens.Row(t);
  for (size_t i = 0; i < Dt; ++i) x.push_back(static_cast<double>(k[i]));
  for (size_t i = 0; i < Dt; ++i) x.push_back(q[i]);
  for (size_t i = 0; i < Dt; ++i) x.push_back(q[i] - static_cast<double>(k[i]));
  for (size_t i = 0; i < Dt; ++i) x.push_back(q[i] * static_cast<double>(k[i]));
  const auto linear = [](const Linear& layer, const std::vector<double>& in) {
    std::vector<double> out;
    for (size_t o = 0; o < layer.outputs(); ++o) {
      out.push_back(static_cast<double>(layer.bias.value.data()[o]));
      for (size_t i = 0; i < in.size(); ++i) {
        out[o] += in[i] * static_cast<double>(layer.weight.value.Row(i)[o]);
      }
    }
    return out;
  };
  x = linear(unit.first, x);
  for (size_t l = 0; l < unit.layers.size(); ++l) {
    for (size_t j = 0; j < x.size(); ++j) {
      if (x[j] < 0.0) x[j] *= static_cast<double>(unit.bends[l].slope.value.data()[j]);
    }
    x = linear(unit.layers[l], x);
  }
  return x[0];
}

RC_GTEST_PROP(ActivationUnit, TheFactoredLayerIsTheWideOne, ()) {
  Random random(*rc::gen::arbitrary<uint64_t>());
  const UnitCase c = AnyUnit(false, false, random);
  const UnitAnswer answer(c);
  for (size_t n = 0; n < c.queries.rows(); ++n) {
    double evidence = 0.0;
    for (size_t t = 0; t < c.Length(n); ++t) {
      const double score = PlainScore(c, n, c.offsets[c.request_of[n]] + t);
      RC_ASSERT(Near(static_cast<double>(answer.Weights(n)[t]), score, 1e-4));
      evidence += score;
    }
    RC_ASSERT(Near(static_cast<double>(answer.evidence.Row(n)[0]), evidence, 1e-3));
  }
}

RC_GTEST_PROP(ActivationUnit, SoftmaxWeightsSumToOneOverTheItems, ()) {
  Random random(*rc::gen::arbitrary<uint64_t>());
  const bool null_slot = *rc::gen::arbitrary<bool>();
  UnitCase c = AnyUnit(true, null_slot, random);
  if (*rc::gen::arbitrary<bool>()) c.layer.layers.back().bias.value.Fill(1e6f);
  const UnitAnswer answer(c);
  for (size_t n = 0; n < c.queries.rows(); ++n) {
    const size_t L = c.Length(n);
    double sum = 0.0;
    for (size_t t = 0; t <= L; ++t) sum += static_cast<double>(answer.Weights(n)[t]);
    RC_ASSERT(Near(sum, L > 0 || null_slot ? 1.0 : 0.0));
    if (L == 1) RC_ASSERT((answer.Weights(n)[0] == 1.0f) || null_slot);
    if (L == 0) RC_ASSERT(answer.evidence.Row(n)[0] == 0.0f && answer.out.Row(n)[0] == 0.0f);
  }
}

RC_GTEST_PROP(ActivationUnit, MaskedIsExactlyZeroAndAsIfAbsent, ()) {
  Random random(*rc::gen::arbitrary<uint64_t>());
  const bool softmax = *rc::gen::arbitrary<bool>();
  UnitCase c = AnyUnit(softmax, *rc::gen::arbitrary<bool>(), random);
  for (size_t t = 0; t < c.tokens.rows(); ++t) c.excluded.push_back(random.Chance(0.4));
  UnitCase other = c;
  for (size_t t = 0; t < c.tokens.rows(); ++t) {  // what a masked token holds does not matter
    if (c.excluded[t] != 0) std::fill_n(other.tokens.Row(t), c.tokens.cols(), 77.0f);
  }
  UnitAnswer a(c), b(other);
  Matrix d_queries(c.queries.rows(), c.queries.cols()), d_tokens(c.tokens.rows(), c.tokens.cols());
  d_queries.Fill(0.0f);
  d_tokens.Fill(0.0f);
  c.layer.Backward(c.Input(), &a.tape, a.out.view(), a.evidence.view(), d_queries.view(),
                   d_tokens.view());
  for (size_t i = 0; i < a.out.size(); ++i) RC_ASSERT(a.out.data()[i] == b.out.data()[i]);
  for (size_t n = 0; n < c.queries.rows(); ++n) {
    for (size_t t = 0; t < c.Length(n); ++t) {
      if (c.excluded[c.offsets[c.request_of[n]] + t] != 0) RC_ASSERT(a.Weights(n)[t] == 0.0f);
    }
  }
  for (size_t t = 0; t < c.tokens.rows(); ++t) {
    for (size_t j = 0; j < c.tokens.cols(); ++j) {
      if (c.excluded[t] != 0) RC_ASSERT(d_tokens.Row(t)[j] == 0.0f);
    }
  }
}

// A token given twice: each of the two has a weight; together they count double.
TEST(ActivationUnit, DuplicatesWeighDoubleAndOrderDoesNotMatter) {
  Random random(5);
  UnitCase c({.query_width = 3, .token_width = 4, .hidden = {5}}, {3}, 1, random);
  std::copy_n(c.tokens.Row(0), 4, c.tokens.Row(1));
  c.log_age[1] = c.log_age[0];
  const UnitAnswer both(c, Phase::kServe);
  EXPECT_EQ(both.Weights(0)[0], both.Weights(0)[1]);
  UnitCase flipped = c;
  std::swap_ranges(flipped.tokens.Row(0), flipped.tokens.Row(0) + 4, flipped.tokens.Row(2));
  std::swap(flipped.log_age[0], flipped.log_age[2]);
  const UnitAnswer turned(flipped, Phase::kServe);
  EXPECT_NEAR(turned.Weights(0)[2], both.Weights(0)[0], 1e-6f);
  c.excluded = {0, 1, 0};
  const UnitAnswer once(c, Phase::kServe);
  EXPECT_NEAR(both.Weights(0)[0] / both.Weights(0)[2], once.Weights(0)[0] / once.Weights(0)[2],
              1e-4f);
}

TEST(ActivationUnit, GradientMatchesFiniteDifferences) {
  Random random(11);
  for (const bool softmax : {true, false}) {
    for (const ActivationKind kind : {ActivationKind::kPRelu, ActivationKind::kDice}) {
      UnitCase c({.query_width = 3,
                  .token_width = 4,
                  .hidden = {5, 3},
                  .activation = kind,
                  .softmax = softmax},
                 {4, 0, 6}, 2, random);
      Matrix d_out(6, 4), d_evidence(6, 1), d_queries(6, 3), d_tokens(10, 4);
      FillNormal(&d_out, random);
      FillNormal(&d_evidence, random);
      d_queries.Fill(0.0f);
      d_tokens.Fill(0.0f);
      UnitAnswer answer(c);
      c.layer.Backward(c.Input(), &answer.tape, d_out.view(), d_evidence.view(), d_queries.view(),
                       d_tokens.view());
      const auto loss = [&] {
        const UnitAnswer now(c);
        return Inner(now.out, d_out) + Inner(now.evidence, d_evidence);
      };
      for (Parameter* p : c.layer.Parameters()) ExpectSlopes(&p->value, p->grad, p->name, loss);
      ExpectSlopes(&c.queries, d_queries, "queries", loss);
      ExpectSlopes(&c.tokens, d_tokens, "tokens", loss);
    }
  }
}

TEST(BatchNorm, TrainingStandardisesAndServingLooksAtOneRow) {
  Random random(3);
  BatchNorm layer("norm", 2);
  Matrix x(50, 2), y(50, 2), one(1, 2);
  FillNormal(&x, random, 3.0);
  NormTape tape;
  layer.Forward(x.view(), Phase::kTrain, &tape, y.view());
  for (size_t j = 0; j < 2; ++j) {
    double sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < 50; ++i) {
      sum += static_cast<double>(y.Row(i)[j]);
      squares += static_cast<double>(y.Row(i)[j] * y.Row(i)[j]);
    }
    EXPECT_NEAR(sum / 50.0, 0.0, 1e-6);
    EXPECT_NEAR(squares / 50.0, 1.0, 1e-4);
  }
  for (int i = 0; i < 400; ++i) layer.Track(tape);
  EXPECT_NEAR(layer.running.variance.data()[0], tape.variance[0] * 50.0f / 49.0f, 1e-4f);
  layer.Forward(x.view(), Phase::kServe, &tape, y.view());
  layer.Forward(ConstMat(x.view()).Rows(7, 1), Phase::kServe, &tape, one.view());
  EXPECT_EQ(one.data()[1], y.Row(7)[1]);
}

TEST(Activation, DiceAndPReluAreTheirFormulasAndGradientsHold) {
  Random random(9);
  for (const ActivationKind kind :
       {ActivationKind::kRelu, ActivationKind::kPRelu, ActivationKind::kDice}) {
    for (const Phase phase : {Phase::kTrain, Phase::kServe}) {
      Activation layer("bend", kind, 3);
      FillNormal(&layer.slope.value, random);
      Matrix x(7, 3), y(7, 3), d(7, 3), d_x(7, 3);
      FillNormal(&x, random);
      FillNormal(&d, random);
      ActivationTape tape;
      const auto run = [&] {
        y = x;
        layer.Forward(phase, &tape, y.view());
      };
      run();
      for (size_t i = 0; i < 7; ++i) {
        for (size_t j = 0; j < 3; ++j) {
          const double v = static_cast<double>(x.Row(i)[j]);
          double p = v > 0.0 ? 1.0 : 0.0, a = 0.0;
          if (kind != ActivationKind::kRelu) a = static_cast<double>(layer.slope.value.data()[j]);
          if (kind == ActivationKind::kDice) {
            double mean = 0.0, variance = phase == Phase::kServe ? 1.0 : 0.0;
            for (size_t r = 0; r < 7 && phase == Phase::kTrain; ++r) {
              mean += static_cast<double>(x.Row(r)[j]) / 7.0;
            }
            for (size_t r = 0; r < 7 && phase == Phase::kTrain; ++r) {
              variance += std::pow(static_cast<double>(x.Row(r)[j]) - mean, 2.0) / 7.0;
            }
            p = 1.0 / (1.0 + std::exp(-(v - mean) / std::sqrt(variance + 1e-8)));
          }
          EXPECT_NEAR(y.Row(i)[j], p * v + (1.0 - p) * a * v, 1e-5);
        }
      }
      d_x = d;
      layer.Backward(&tape, d_x.view());
      ExpectSlopes(&x, d_x, "x", [&] {
        run();
        return Inner(y, d);
      });
    }
  }
}

TEST(Temperature, UntrainedChangesNothingAndHotIsFlat) {
  Random random(21);
  const AttentionCase c({.query_width = 4, .token_width = 5, .heads = 2, .width = 6}, {6, 3}, 2,
                        random);
  const AttentionAnswer plain(c);
  Temperature layer("temperature", 3, 2);
  Matrix context(2, 3), inverse(2, 2), out(4, 6), evidence(4, 2);
  FillNormal(&context, random);
  AttentionInput in = c.Input();
  AttentionTape tape;
  const auto run = [&] {
    layer.Forward(context.view(), inverse.view());
    in.inverse_temperature = inverse.view();
    c.layer.Forward(in, &tape, out.view(), evidence.view());
  };
  run();
  for (size_t i = 0; i < out.size(); ++i) EXPECT_NEAR(out.data()[i], plain.out.data()[i], 1e-5f);
  layer.linear.bias.value.Fill(1e6f);
  run();
  for (size_t t = 0; t < 7; ++t) EXPECT_NEAR(tape.weights[t], 1.0f / 7.0f, 1e-4f);
}

}  // namespace
}  // namespace heed::nn
