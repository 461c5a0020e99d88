// Every level the machine has, every length round the unroll edge, every misalignment, against the
// plain reference. Buffers end exactly at the vector's last element: AddressSanitizer sees a kernel
// that reads one further.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/denormals.h"
#include "kernels/gemm.h"
#include "kernels/table.h"

namespace heed::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> Numbers(Random& random, size_t n) {
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(random.Normal());
  return x;
}

void ExpectNear(const std::vector<float>& want, const std::vector<float>& got, double tolerance) {
  ASSERT_EQ(want.size(), got.size());
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_NEAR(want[i], got[i], tolerance * (1.0 + std::abs(static_cast<double>(want[i]))))
        << "at " << i;
  }
}

class Levels : public testing::TestWithParam<Level> {
 protected:
  const Table& table = TableOf(GetParam());
  const Table& plain = TableOf(Level::kScalar);
  Random random{17};

  // Calls check(n, shift): arrays of n + shift elements, of which the first `shift` are not used.
  template <typename Check>
  void EachLength(Check check) {
    for (size_t n = 0; n <= 70; ++n) {
      for (size_t shift = 0; shift < 4; ++shift) check(n, shift);
    }
    for (const size_t n : {127, 128, 129, 255, 256, 257, 1000}) {
      for (size_t shift = 0; shift < 17; ++shift) check(n, shift);
    }
  }
};

TEST_P(Levels, Sums) {
  EachLength([&](size_t n, size_t shift) {
    const auto a = Numbers(random, n + shift), b = Numbers(random, n + shift);
    const double tolerance = 1e-5 * (1.0 + static_cast<double>(n));
    ASSERT_NEAR(plain.dot(a.data() + shift, b.data() + shift, n),
                table.dot(a.data() + shift, b.data() + shift, n), tolerance);
    ASSERT_NEAR(plain.sum_squares(a.data() + shift, n), table.sum_squares(a.data() + shift, n),
                tolerance);
  });
}

TEST_P(Levels, Elementwise) {
  EachLength([&](size_t n, size_t shift) {
    const auto x = Numbers(random, n + shift), y = Numbers(random, n + shift);
    const auto both = [&](auto apply, double tolerance = 1e-6) {
      auto want = y, got = y;
      apply(plain, want.data() + shift);
      apply(table, got.data() + shift);
      ExpectNear(want, got, tolerance);
      for (size_t i = 0; i < shift; ++i) ASSERT_EQ(y[i], got[i]) << "wrote before the array";
    };
    both([&](const Table& t, float* out) { t.axpy(1.5f, x.data() + shift, out, n); });
    both([&](const Table& t, float* out) { t.scale(-0.3f, out, n); });
    both([&](const Table& t, float* out) { t.relu(out, n); });
    both([&](const Table& t, float* out) { t.relu_backward(x.data() + shift, out, n); });
    float null_grads[2], *null_grad = null_grads;
    both(
        [&](const Table& t, float* out) {
          *null_grad++ = t.softmax_backward(x.data() + shift, 0.3f, out, -0.7f, n);
        },
        1e-5 * (1.0 + static_cast<double>(n)));
    ASSERT_NEAR(null_grads[0], null_grads[1], 1e-5 * (1.0 + static_cast<double>(n)));
  });
}

TEST_P(Levels, ReluOfNaNIsZero) {
  std::vector<float> x(37, std::numeric_limits<float>::quiet_NaN());
  table.relu(x.data(), x.size());
  for (const float v : x) EXPECT_EQ(0.0f, v);
}

TEST_P(Levels, SoftmaxAgreesAndSumsToOne) {
  EachLength([&](size_t n, size_t shift) {
    for (const float null_score : {0.0f, 1.7f, -kInfinity}) {
      auto want = Numbers(random, n + shift);
      for (size_t i = shift; i < want.size(); i += 5) want[i] = -kInfinity;
      auto got = want;
      const float a = plain.softmax_null(want.data() + shift, n, null_score);
      const float b = table.softmax_null(got.data() + shift, n, null_score);
      ASSERT_NEAR(a, b, 1e-6);
      ExpectNear(want, got, 1e-6);
      double sum = b;
      for (size_t i = shift; i < got.size(); ++i) {
        sum += got[i];
        ASSERT_TRUE((i - shift) % 5 != 0 || got[i] == 0.0f) << "a masked score has weight";
      }
      const bool nothing = null_score == -kInfinity && n <= 1;
      ASSERT_NEAR(nothing ? 0.0 : 1.0, sum, 1e-5);
    }
  });
}

TEST_P(Levels, SoftmaxOfHugeScoresIsFinite) {
  for (size_t n = 1; n < 40; ++n) {
    std::vector<float> s(n);
    for (size_t i = 0; i < n; ++i) s[i] = i % 2 == 0 ? 1e6f : -1e6f;
    const size_t high = (n + 1) / 2;
    const float null = table.softmax_null(s.data(), n, 0.0f);
    EXPECT_EQ(0.0f, null);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_FLOAT_EQ(i % 2 == 0 ? 1.0f / static_cast<float>(high) : 0.0f, s[i]);
    }
  }
}

TEST_P(Levels, Optimisers) {
  EachLength([&](size_t n, size_t shift) {
    const auto w = Numbers(random, n + shift), m = Numbers(random, n + shift),
               g = Numbers(random, n + shift);
    auto v = Numbers(random, n + shift);
    for (float& x : v) x *= x;
    const AdamStep step{.step_size = 0.01f,
                        .inv_sqrt_bias = 1.3f,
                        .beta1 = 0.9f,
                        .beta2 = 0.99f,
                        .epsilon = 1e-8f,
                        .l2 = 0.1f};
    auto w1 = w, m1 = m, v1 = v, w2 = w, m2 = m, v2 = v;
    plain.adam(w1.data() + shift, m1.data() + shift, v1.data() + shift, g.data() + shift, n, step);
    table.adam(w2.data() + shift, m2.data() + shift, v2.data() + shift, g.data() + shift, n, step);
    ExpectNear(w1, w2, 1e-6);
    ExpectNear(m1, m2, 1e-6);
    ExpectNear(v1, v2, 1e-6);
    w1 = w, w2 = w, v1 = v, v2 = v;
    plain.adagrad(w1.data() + shift, v1.data() + shift, g.data() + shift, n, 0.1f, 1e-8f, 0.01f);
    table.adagrad(w2.data() + shift, v2.data() + shift, g.data() + shift, n, 0.1f, 1e-8f, 0.01f);
    ExpectNear(w1, w2, 1e-6);
    ExpectNear(v1, v2, 1e-6);
  });
}

TEST_P(Levels, GatherAndScatter) {
  for (const size_t width : {1, 3, 4, 8, 15, 16, 17, 19, 33}) {
    for (const size_t n : {0, 1, 7, 8, 9, 40}) {
      const size_t stride = width + 3, rows = 10;
      const auto source = Numbers(random, rows * stride), g = Numbers(random, n * (width + 2));
      std::vector<uint32_t> index(2 * n);  // rows come again and again
      for (uint32_t& row : index) row = static_cast<uint32_t>(random.Below(rows));
      std::vector<float> want(n * (width + 1), 7.0f), got = want;
      plain.gather(source.data(), stride, index.data(), 2, n, width, want.data(), width + 1);
      table.gather(source.data(), stride, index.data(), 2, n, width, got.data(), width + 1);
      ASSERT_EQ(want, got);
      auto sums = source, sums2 = source;
      plain.scatter_add(g.data(), width + 2, index.data(), n, width, sums.data(), stride);
      table.scatter_add(g.data(), width + 2, index.data(), n, width, sums2.data(), stride);
      ASSERT_EQ(sums, sums2);
    }
  }
}

TEST_P(Levels, AttentionProducts) {
  for (const size_t H : {1, 2, 3, 4, 5, 8, 9}) {
    for (const size_t D : {1, 3, 4, 8, 15, 16, 17, 33, 64}) {
      for (const size_t L : {0, 1, 2, 7, 50}) {
        const size_t stride = L + 1;
        const auto u = Numbers(random, H * D), x = Numbers(random, L * D),
                   c = Numbers(random, H * D);
        const auto w = Numbers(random, H * stride), ds = Numbers(random, H * stride);
        std::vector<float> s1(H * stride, 7.0f), s2 = s1;
        plain.attend_scores(u.data(), x.data(), H, L, D, s1.data(), stride);
        table.attend_scores(u.data(), x.data(), H, L, D, s2.data(), stride);
        ExpectNear(s1, s2, 1e-5);
        std::vector<float> c1(H * D, 7.0f), c2 = c1;
        plain.attend_context(w.data(), stride, x.data(), H, L, D, c1.data());
        table.attend_context(w.data(), stride, x.data(), H, L, D, c2.data());
        ExpectNear(c1, c2, 1e-5);
        auto dx1 = x, dx2 = x;
        plain.attend_tokens(w.data(), ds.data(), stride, c.data(), u.data(), H, L, D, dx1.data());
        table.attend_tokens(w.data(), ds.data(), stride, c.data(), u.data(), H, L, D, dx2.data());
        ExpectNear(dx1, dx2, 1e-5);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Attainable, Levels, testing::ValuesIn(AttainableLevels()),
                         [](const auto& level) { return std::string(LevelName(level.param)); });

// Guards against a build that silently falls back to the plain loops.
TEST(Dispatch, SimdBuildHasSimdLevels) {
#if HEED_SIMD && (defined(__x86_64__) || defined(__aarch64__))
  EXPECT_GE(AttainableLevels().size(), 2u);
  EXPECT_NE(TableOf(AttainableLevels().back()).dot, TableOf(Level::kScalar).dot);
#else
  EXPECT_EQ(AttainableLevels().size(), 1u);
#endif
}

TEST(Gemm, AgreesWithReference) {
  Random random(3);
  for (const size_t M : {0, 1, 3, 17, 64}) {
    for (const size_t N : {0, 1, 5, 16, 33}) {
      for (const size_t K : {0, 1, 4, 31, 100}) {
        for (const Trans ta : {Trans::kNo, Trans::kYes}) {
          for (const Trans tb : {Trans::kNo, Trans::kYes}) {
            for (const float beta : {0.0f, 1.0f, 0.5f}) {
              const size_t as = (ta == Trans::kYes ? M : K) + 2,
                           bs = (tb == Trans::kYes ? K : N) + 1;
              const auto a = Numbers(random, (ta == Trans::kYes ? K : M) * as);
              const auto b = Numbers(random, (tb == Trans::kYes ? N : K) * bs);
              auto want = Numbers(random, M * (N + 3));
              auto got = want;
              if (beta == 0.0f && !got.empty() && N > 0) got[0] = kInfinity;
              reference::Gemm(ta, tb, M, N, K, a.data(), as, b.data(), bs, beta, want.data(),
                              N + 3);
              Gemm(ta, tb, M, N, K, a.data(), as, b.data(), bs, beta, got.data(), N + 3);
              ExpectNear(want, got, 3e-5);
            }
          }
        }
      }
    }
  }
}

TEST(Gemm, SameBitsEveryTime) {
  Random random(5);
  const size_t M = 200, N = 130, K = 300;
  const auto a = Numbers(random, M * K), b = Numbers(random, K * N);
  std::vector<float> first(M * N), again(M * N);
  Gemm(Trans::kNo, Trans::kNo, M, N, K, a.data(), K, b.data(), N, 0.0f, first.data(), N);
  for (int i = 0; i < 5; ++i) {
    Gemm(Trans::kNo, Trans::kNo, M, N, K, a.data(), K, b.data(), N, 0.0f, again.data(), N);
    ASSERT_EQ(first, again);
  }
}

TEST(FlushDenormals, RoundsToZeroAndRestores) {
  volatile float tiny = 1e-30f;
  {
    const FlushDenormals flush;
#if defined(__SSE2__) || defined(__aarch64__)
    EXPECT_EQ(0.0f, tiny * 1e-10f);
#endif
  }
  EXPECT_NE(0.0f, tiny * 1e-10f);
}

}  // namespace
}  // namespace heed::kernels
