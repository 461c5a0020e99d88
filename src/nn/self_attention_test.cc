// Multi-head attention against its definition written as loops, its properties, its gradient.
#include "nn/self_attention.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <limits>

#include "nn/self_attention_for_test.h"

namespace heed::nn {
namespace {

using Lengths = std::vector<std::pair<uint32_t, uint32_t>>;

bool Near(double a, double b, double tolerance = 2e-5) {
  return std::abs(a - b) <= tolerance * (1.0 + std::abs(b));
}

MultiHeadShape RandomShape() {
  const size_t heads = *rc::gen::inRange<size_t>(1, 4);
  const size_t query_width = *rc::gen::inRange<size_t>(1, 12);
  const bool timed = *rc::gen::arbitrary<bool>();
  return {.query_width = query_width,
          .memory_width = query_width,
          .heads = heads,
          .width = heads * *rc::gen::inRange<size_t>(1, 9),
          .out_width = *rc::gen::inRange<size_t>(0, 9),
          .causal = *rc::gen::arbitrary<bool>(),
          .null_slot = *rc::gen::arbitrary<bool>(),
          .positions = *rc::gen::inRange<size_t>(0, 5),
          .intervals = timed ? *rc::gen::inRange<size_t>(0, 9) : 0,
          .decay = timed && *rc::gen::arbitrary<bool>()};
}

MultiHeadCase RandomCase(const MultiHeadShape& shape, Random& random) {
  std::vector<std::pair<uint32_t, uint32_t>> lengths;
  const auto sequences = *rc::gen::inRange<size_t>(1, 6);
  if (*rc::gen::arbitrary<bool>()) {
    std::vector<uint32_t> own;
    for (size_t r = 0; r < sequences; ++r) own.push_back(*rc::gen::inRange(0u, 14u));
    return {shape, own, random};
  }
  for (size_t r = 0; r < sequences; ++r) {
    lengths.emplace_back(*rc::gen::inRange(0u, 14u), *rc::gen::inRange(0u, 14u));
  }
  return {shape, lengths, random};
}

Random Seeded() { return Random(*rc::gen::arbitrary<uint64_t>()); }

// The definition, one number at a time, in double.
struct Reference {
  std::vector<double> weights, y;

  explicit Reference(const MultiHeadCase& c) {
    const size_t H = c.shape.heads, W = c.shape.width, dh = W / H;
    const MultiHeadInput in = c.Input();
    const auto product = [](const Matrix& w, const float* x, size_t o) {
      double sum = 0.0;
      for (size_t i = 0; i < w.rows(); ++i) {
        sum += static_cast<double>(x[i]) * static_cast<double>(w.Row(i)[o]);
      }
      return sum;
    };
    const auto project = [&](const Linear& linear, const float* x, size_t o) {
      return product(linear.weight.value, x, o) + static_cast<double>(linear.bias.value.data()[o]);
    };
    for (size_t r = 0; r < c.sequences(); ++r) {
      const size_t L = c.L(r), M = c.M(r), q0 = c.query_offsets[r], m0 = c.memory_offsets[r];
      std::vector<double> context(L * W, 0.0);
      for (size_t h = 0; h < H; ++h) {
        for (size_t i = 0; i < L; ++i) {
          std::vector<double> e(M + 1, 0.0);
          double sum = 0.0;
          for (size_t j = 0; j < M; ++j) {
            const auto back = static_cast<int>(i + M) - static_cast<int>(L + j);
            const bool hidden =
                (c.shape.causal && back < 0) || (!in.excluded.empty() && in.excluded[m0 + j] != 0);
            if (hidden) continue;
            double score = 0.0;
            for (size_t d = h * dh; d < (h + 1) * dh; ++d) {
              score += project(c.layer.query, in.queries.Row(q0 + i), d) *
                       product(c.layer.key.value, in.memory.Row(m0 + j), d);
            }
            score /= std::sqrt(static_cast<double>(dh));
            if (c.shape.positions > 0) {
              const int limit = static_cast<int>(c.shape.positions) - 1;
              const int place = std::clamp(back, -limit, limit) + (c.shape.causal ? 0 : limit);
              score += static_cast<double>(c.layer.position.value.data()[place * H + h]);
            }
            const double gap = std::log1p(
                std::abs(in.query_times[q0 + i] - in.memory_times[m0 + j]) / c.shape.time_scale);
            if (c.shape.intervals > 0) {
              const auto bucket =
                  std::min(static_cast<size_t>(gap / std::log(2.0)), c.shape.intervals - 1);
              score += static_cast<double>(c.layer.interval.value.data()[bucket * H + h]);
            }
            if (c.shape.decay) score -= static_cast<double>(c.layer.decay.value.data()[h]) * gap;
            sum += e[j] = std::exp(score);
          }
          if (c.shape.null_slot) {
            sum += e[M] = std::exp(static_cast<double>(c.layer.null_score.value.data()[h]));
          }
          for (size_t j = 0; j <= M; ++j) {
            weights.push_back(sum > 0.0 ? e[j] / sum : 0.0);
            if (j == M) continue;
            for (size_t d = h * dh; d < (h + 1) * dh; ++d) {
              context[i * W + d] +=
                  weights.back() * project(c.layer.value, in.memory.Row(m0 + j), d);
            }
          }
        }
      }
      for (size_t i = 0; i < L; ++i) {
        const std::vector<float> row(context.begin() + static_cast<ptrdiff_t>(i * W),
                                     context.begin() + static_cast<ptrdiff_t>((i + 1) * W));
        for (size_t o = 0; o < c.out_width(); ++o) {
          y.push_back(c.shape.out_width > 0 ? project(c.layer.out, row.data(), o)
                                            : static_cast<double>(row[o]));
        }
      }
    }
  }
};

RC_GTEST_PROP(MultiHead, EqualsItsDefinition, ()) {
  Random random = Seeded();
  MultiHeadCase c = RandomCase(RandomShape(), random);
  if (*rc::gen::arbitrary<bool>()) {
    for (size_t j = 0; j < c.memory.rows(); ++j) c.excluded.push_back(random.Chance(0.4));
  }
  const MultiHeadAnswer answer(c);
  const Reference reference(c);
  RC_ASSERT(answer.tape.weights.size() >= reference.weights.size());
  for (size_t p = 0; p < reference.weights.size(); ++p) {
    RC_ASSERT(Near(answer.tape.weights[p], reference.weights[p]));
  }
  for (size_t p = 0; p < reference.y.size(); ++p) {
    RC_ASSERT(Near(answer.y.data()[p], reference.y[p], 1e-4));
  }
}

RC_GTEST_PROP(MultiHead, WeightsSumToOneOverWhatIsSeenAndMaskedIsExactlyZero, ()) {
  Random random = Seeded();
  MultiHeadCase c = RandomCase(RandomShape(), random);
  for (size_t j = 0; j < c.memory.rows(); ++j) c.excluded.push_back(random.Chance(0.4));
  const MultiHeadAnswer answer(c);
  for (size_t r = 0; r < c.sequences(); ++r) {
    for (size_t h = 0; h < c.shape.heads; ++h) {
      for (size_t i = 0; i < c.L(r); ++i) {
        const float* w = answer.Weights(c, r, h, i);
        double sum = 0.0;
        bool any = c.shape.null_slot;
        for (size_t j = 0; j <= c.M(r); ++j) {
          RC_ASSERT(w[j] >= 0.0f);
          sum += static_cast<double>(w[j]);
          if (j == c.M(r)) break;
          const bool hidden = c.excluded[c.memory_offsets[r] + j] != 0 ||
                              (c.shape.causal && j + c.L(r) > i + c.M(r));
          if (hidden) RC_ASSERT(w[j] == 0.0f);
          any = any || !hidden;
        }
        RC_ASSERT(Near(sum, any ? 1.0 : 0.0));
        if (!c.shape.null_slot) RC_ASSERT(w[c.M(r)] == 0.0f);
      }
    }
  }
}

// What a causal layer says of a row does not change when rows come after it, and the gradient of
// its answer does not reach them.
RC_GTEST_PROP(MultiHead, TheFutureDoesNotMatter, ()) {
  Random random = Seeded();
  MultiHeadShape shape = RandomShape();
  shape.causal = true;
  const auto length = *rc::gen::inRange(2u, 14u), cut = *rc::gen::inRange(1u, length);
  MultiHeadCase whole(shape, std::vector<uint32_t>{length}, random);
  MultiHeadCase part = whole;
  part.query_offsets[1] = part.memory_offsets[1] = cut;
  part.queries.Resize(cut, shape.query_width);
  part.memory.Resize(cut, shape.query_width);
  part.query_times.resize(cut);
  MultiHeadAnswer a(whole);
  const MultiHeadAnswer b(part);
  for (size_t p = 0; p < b.y.size(); ++p) RC_ASSERT(Near(a.y.data()[p], b.y.data()[p]));
  Matrix d_y(length, whole.out_width()), d_queries, d_memory;
  d_y.Fill(0.0f);
  for (size_t i = 0; i < cut; ++i) std::fill_n(d_y.Row(i), d_y.cols(), 1.0f);
  MultiHeadBackward(&whole, &a, d_y.view(), &d_queries, &d_memory);
  for (size_t i = cut; i < length; ++i) {
    for (size_t d = 0; d < d_queries.cols(); ++d) RC_ASSERT(d_queries.Row(i)[d] == 0.0f);
  }
}

RC_GTEST_PROP(MultiHead, ExcludedRowsGetNoGradient, ()) {
  Random random = Seeded();
  MultiHeadCase c = RandomCase(RandomShape(), random);
  c.self = false;
  c.memory_times.resize(c.memory.rows(), 0.0);
  for (size_t j = 0; j < c.memory.rows(); ++j) c.excluded.push_back(random.Chance(0.5));
  MultiHeadAnswer answer(c);
  Matrix d_queries, d_memory;
  MultiHeadBackward(&c, &answer, answer.y.view(), &d_queries, &d_memory);
  for (size_t j = 0; j < c.memory.rows(); ++j) {
    if (c.excluded[j] == 0) continue;
    for (size_t d = 0; d < d_memory.cols(); ++d) RC_ASSERT(d_memory.Row(j)[d] == 0.0f);
  }
}

RC_GTEST_PROP(MultiHead, NothingToSeeIsTheOutputBias, ()) {
  Random random = Seeded();
  MultiHeadCase c = RandomCase(RandomShape(), random);
  c.excluded.assign(c.memory.rows(), 1);
  const MultiHeadAnswer answer(c);
  for (size_t i = 0; i < c.queries.rows(); ++i) {
    for (size_t o = 0; o < c.out_width(); ++o) {
      RC_ASSERT(answer.y.Row(i)[o] ==
                (c.shape.out_width > 0 ? c.layer.out.bias.value.data()[o] : 0.0f));
    }
  }
}

RC_GTEST_PROP(MultiHead, OneRowHasAllTheWeightUnlessThereIsANullSlot, ()) {
  Random random = Seeded();
  const MultiHeadShape shape = RandomShape();
  const MultiHeadCase c(shape, std::vector<uint32_t>{1, 1}, random);
  const MultiHeadAnswer answer(c);
  for (size_t r = 0; r < 2; ++r) {
    for (size_t h = 0; h < shape.heads; ++h) {
      // Beside a high score the null slot's weight is too small to show in the other.
      const float* w = answer.Weights(c, r, h, 0);
      const bool right = shape.null_slot ? w[1] > 0.0f : w[0] == 1.0f;
      RC_ASSERT(right);
    }
  }
}

RC_GTEST_PROP(MultiHead, ScoresOfAMillionStayFinite, ()) {
  Random random = Seeded();
  MultiHeadCase c = RandomCase(RandomShape(), random);
  for (size_t p = 0; p < c.queries.size(); ++p) c.queries.data()[p] *= 1e6f;
  c.self = false;
  c.memory_times.resize(c.memory.rows(), 0.0);
  MultiHeadAnswer answer(c);
  Matrix d_queries, d_memory;
  MultiHeadBackward(&c, &answer, answer.y.view(), &d_queries, &d_memory);
  for (size_t p = 0; p < answer.y.size(); ++p) RC_ASSERT(std::isfinite(answer.y.data()[p]));
  for (size_t p = 0; p < d_memory.size(); ++p) RC_ASSERT(std::isfinite(d_memory.data()[p]));
}

// Without places and a causal mask, a memory is a set.
RC_GTEST_PROP(MultiHead, TheOrderOfMemoryDoesNotMatter, ()) {
  Random random = Seeded();
  MultiHeadShape shape = RandomShape();
  shape.causal = false;
  shape.positions = 0;
  const auto length = *rc::gen::inRange(1u, 14u);
  const MultiHeadCase c(shape, Lengths{{3u, length}}, random);
  MultiHeadCase turned = c;
  for (size_t j = 0; j < length; ++j) {
    std::copy_n(c.memory.Row(length - 1 - j), shape.memory_width, turned.memory.Row(j));
    turned.memory_times[j] = c.memory_times[length - 1 - j];
  }
  const MultiHeadAnswer a(c), b(turned);
  for (size_t p = 0; p < a.y.size(); ++p) RC_ASSERT(Near(a.y.data()[p], b.y.data()[p], 1e-4));
  for (size_t h = 0; h < shape.heads; ++h) {
    for (size_t j = 0; j < length; ++j) {
      RC_ASSERT(Near(a.Weights(c, 0, h, 1)[j], b.Weights(turned, 0, h, 1)[length - 1 - j]));
    }
  }
}

double Probe(const MultiHeadCase& c) {
  const MultiHeadAnswer answer(c);
  double sum = 0.0;
  for (size_t p = 0; p < answer.y.size(); ++p) {
    sum += std::sin(static_cast<double>(p) + 1.0) * static_cast<double>(answer.y.data()[p]);
  }
  return sum;
}

// Causal self-attention with everything, and masked cross-attention without an output projection.
class MultiHeadGradient : public testing::TestWithParam<bool> {};

TEST_P(MultiHeadGradient, MatchesFiniteDifferences) {
  Random random(42);
  const bool self = GetParam();
  const MultiHeadShape shape{.query_width = 5,
                             .memory_width = self ? 5u : 4u,
                             .heads = 2,
                             .width = 6,
                             .out_width = self ? 3u : 0u,
                             .causal = self,
                             .null_slot = self,
                             .positions = 3,
                             .intervals = 4,
                             .decay = true};
  MultiHeadCase c = self ? MultiHeadCase(shape, std::vector<uint32_t>{4, 0, 5, 1}, random)
                         : MultiHeadCase(shape, Lengths{{3, 4}, {2, 0}, {0, 3}, {1, 6}}, random);
  c.excluded.assign(c.memory.rows(), 0);
  c.excluded[1] = c.excluded[6] = 1;
  MultiHeadAnswer answer(c);
  Matrix d_y(answer.y.rows(), answer.y.cols()), d_queries, d_memory;
  for (size_t p = 0; p < d_y.size(); ++p) {
    d_y.data()[p] = static_cast<float>(std::sin(static_cast<double>(p) + 1.0));
  }
  MultiHeadBackward(&c, &answer, d_y.view(), &d_queries, &d_memory);
  const auto check = [&](Matrix* values, const Matrix& gradient, const std::string& name) {
    double largest = 0.0;
    for (size_t p = 0; p < values->size(); ++p) {
      float& value = values->data()[p];
      const float saved = value, step = 1e-2f;
      value = saved + step;
      const double above = Probe(c);
      value = saved - step;
      const double below = Probe(c);
      value = saved;
      const double slope = (above - below) / (2.0 * static_cast<double>(step));
      ASSERT_NEAR(slope, static_cast<double>(gradient.data()[p]), 2e-3 * (1.0 + std::abs(slope)))
          << name << "[" << p << "]";
      largest = std::max(largest, std::abs(slope));
    }
    EXPECT_GT(largest, 1e-3) << name;
  };
  for (Parameter* p : c.layer.Parameters()) check(&p->value, p->grad, p->name);
  check(&c.queries, d_queries, "queries");
  if (!self) check(&c.memory, d_memory, "memory");
}

INSTANTIATE_TEST_SUITE_P(SelfAndCross, MultiHeadGradient, testing::Bool());

TEST(MultiHead, DropoutKeepsTheMeanAndItsGradientFollowsTheSameMask) {
  Random random(7);
  const MultiHeadShape shape{
      .query_width = 4, .memory_width = 4, .heads = 2, .width = 4, .dropout = 0.5f};
  MultiHeadCase c(shape, std::vector<uint32_t>{6}, random);
  const MultiHeadAnswer whole(c);
  MultiHeadTape tape;
  Matrix y(6, 4), mean(6, 4);
  mean.Fill(0.0f);
  const int draws = 4000;
  for (int n = 0; n < draws; ++n) {
    c.layer.Forward(c.Input(), &random, &tape, y.view());
    for (size_t p = 0; p < y.size(); ++p) mean.data()[p] += y.data()[p] / draws;
  }
  for (size_t p = 0; p < y.size(); ++p) EXPECT_NEAR(mean.data()[p], whole.y.data()[p], 0.1);

  // y is linear in the values' bias once the mask is drawn: slope = kept weights.
  Matrix d_y(6, 4), d(6, 4);
  d_y.Fill(1.0f);
  d.Fill(0.0f);
  c.layer.Backward(c.Input(), &tape, d_y.view(), d.view(), d.view());
  for (size_t h = 0; h < 2; ++h) {
    double kept = 0.0;
    for (size_t p = 0; p < 6 * 7; ++p) {
      const size_t at = h * 42 + p;
      if (p % 7 != 6) kept += static_cast<double>(tape.weights[at] * tape.kept[at]);
    }
    EXPECT_NEAR(c.layer.value.bias.grad.data()[2 * h], kept, 1e-4);
  }
}

TEST(MultiHead, DecayIsKeptNonNegative) {
  Random random(1);
  MultiHeadAttention layer(
      "a", {.query_width = 2, .memory_width = 2, .heads = 2, .width = 2, .decay = true}, random);
  layer.decay.value.data()[0] = -0.5f;
  layer.decay.value.data()[1] = 0.5f;
  layer.ClampDecay();
  EXPECT_EQ(layer.decay.value.data()[0], 0.0f);
  EXPECT_EQ(layer.decay.value.data()[1], 0.5f);
}

}  // namespace
}  // namespace heed::nn
