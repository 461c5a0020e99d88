// Every level against the plain reference: all widths round the edges of tiles and panels, all
// epilogues. Buffers end exactly where the contract says.
#include "kernels/product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"

namespace heed::kernels {
namespace {

std::vector<float> Numbers(Random& random, size_t n, double deviation = 1.0) {
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(random.Normal() * deviation);
  return x;
}

class ProductLevels : public testing::TestWithParam<Level> {
 protected:
  const Products& products = ProductsOf(GetParam());
  const Products& plain = ProductsOf(Level::kScalar);
  Random random{23};

  void Multiply(const Products& with, Precision precision, const std::vector<float>& a, size_t M,
                size_t K, const PackedMatrix& w, const Epilogue& end) {
    const size_t stride = w.padded_K();
    if (precision == Precision::kFp32) {
      std::vector<float> x(M * stride, 0.0f);
      for (size_t m = 0; m < M; ++m) std::copy_n(a.data() + m * K, K, x.data() + m * stride);
      with.fp32(x.data(), stride, M, w.panels(), end);
    } else if (precision == Precision::kBf16) {
      std::vector<Bf16> x(M * stride, 0);
      for (size_t m = 0; m < M; ++m) {
        for (size_t k = 0; k < K; ++k) x[m * stride + k] = ToBf16(a[m * K + k]);
      }
      with.bf16(x.data(), stride, M, w.panels(), end);
    } else {
      std::vector<uint8_t> x(M * stride, 0);
      for (size_t m = 0; m < M; ++m) {
        for (size_t k = 0; k < K; ++k) {
          x[m * stride + k] =
              static_cast<uint8_t>(std::clamp(a[m * K + k] * 40.0f + 128.0f, 0.0f, 255.0f));
        }
      }
      with.int8(x.data(), stride, M, w.panels(), end);
    }
  }
};

TEST_P(ProductLevels, EveryShapeAndEpilogue) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kInt8}) {
    for (const size_t M : {1, 2, 3, 4, 5, 11, 12, 13, 16, 25, 41}) {
      for (const size_t K : {1, 2, 3, 4, 7, 16, 65}) {
        for (const size_t N : {1, 4, 15, 16, 17, 32, 33, 48, 49, 80, 128}) {
          const auto a = Numbers(random, M * K), weights = Numbers(random, K * (N + 3), 0.3);
          const PackedMatrix w(weights.data(), K, N, N + 3, precision);
          const size_t padded = w.padded_N(), stride = padded + 5;
          const auto bias = Numbers(random, padded), slope = Numbers(random, padded, 0.2),
                     scale = Numbers(random, padded), add = Numbers(random, M * (padded + 1));
          std::vector<Bf16> add_bf16(add.size());
          plain.to_bf16(add.data(), add.size(), add_bf16.data());
          const int kind = static_cast<int>(random.Below(6));
          Epilogue end{.stride = stride};
          if (precision == Precision::kInt8) end.scale = w.scale();
          if (kind >= 1) end.bias = bias.data();
          if (kind == 2) end.scale = scale.data();
          if (kind == 3) end.relu = true;
          if (kind == 4) end.slope = slope.data();
          if (kind == 3) end.add = add.data();
          if (kind == 5) end.add_bf16 = add_bf16.data();
          end.add_stride = padded + 1;
          const size_t size = (M - 1) * stride + padded;
          std::vector<float> want(size, -7.0f), got(size, -7.0f);
          end.fp32 = want.data();
          Multiply(plain, precision, a, M, K, w, end);
          end.fp32 = got.data();
          Multiply(products, precision, a, M, K, w, end);
          for (size_t i = 0; i < size; ++i) {
            ASSERT_NEAR(want[i], got[i],
                        3e-6 * (1.0 + std::abs(static_cast<double>(want[i])) +
                                (precision == Precision::kInt8 ? 20.0 : 2.0) *
                                    std::sqrt(static_cast<double>(K))))
                << PrecisionName(precision) << " M " << M << " K " << K << " N " << N << " kind "
                << kind << " at " << i;
            if (i % stride >= padded) {
              ASSERT_EQ(got[i], -7.0f) << "wrote beside the columns";
            }
          }
          // The same numbers, rounded on their way out.
          std::vector<uint8_t> u8(size, 9);
          end.fp32 = nullptr;
          end.u8 = u8.data();
          const auto u8_scale = Numbers(random, padded, 20.0);
          end.u8_scale = u8_scale.data();
          end.u8_zero = 100.0f;
          Multiply(products, precision, a, M, K, w, end);
          std::vector<Bf16> bf16(size, 9);
          end.u8 = nullptr;
          end.bf16 = bf16.data();
          Multiply(products, precision, a, M, K, w, end);
          for (size_t i = 0; i < size; ++i) {
            if (i % stride >= padded) continue;
            const float y = got[i];
            ASSERT_NEAR(u8[i], std::clamp(y * u8_scale[i % stride] + 100.0f, 0.0f, 255.0f), 0.51f);
            ASSERT_NEAR(FromBf16(bf16[i]), y, std::abs(y) / 250 + 1e-30f);
          }
        }
      }
    }
  }
}

// fp32 against double precision, where sums of bf16 products would show: exponents far apart, sums that
// cancel, shapes that the matrix unit takes and shapes that it leaves.
TEST_P(ProductLevels, Fp32IsWithinItsBound) {
  const auto wide = [&](size_t n) {
    std::vector<float> x = Numbers(random, n);
    for (float& v : x) v = std::ldexp(v, static_cast<int>(random.Below(61)) - 30);
    return x;
  };
  for (const size_t M : {5, 16, 20, 70}) {
    for (const size_t K : {1, 2, 31, 32, 33, 200}) {
      for (const size_t N : {33, 64, 112}) {
        for (const bool cancels : {false, true}) {
          auto a = wide(M * K), w = wide(K * N);
          // Neighbours undo each other but for their last bits.
          for (size_t k = 1; cancels && k < K; k += 2) {
            for (size_t m = 0; m < M; ++m) {
              a[m * K + k] = std::nextafter(-a[m * K + k - 1], std::numeric_limits<float>::max());
            }
            for (size_t n = 0; n < N; ++n) {
              w[k * N + n] = std::nextafter(w[(k - 1) * N + n], std::numeric_limits<float>::max());
            }
          }
          const PackedMatrix matrix(w.data(), K, N, N, Precision::kFp32);
          std::vector<float> got(M * matrix.padded_N());
          Multiply(products, Precision::kFp32, a, M, K, matrix,
                   {.fp32 = got.data(), .stride = matrix.padded_N()});
          for (size_t m = 0; m < M; ++m) {
            for (size_t n = 0; n < N; ++n) {
              double want = 0.0, size = 0.0;
              for (size_t k = 0; k < K; ++k) {
                const double product = double{a[m * K + k]} * double{w[k * N + n]};
                want += product;
                size += std::abs(product);
              }
              // A rounding for each addition; for the six products' own and what they leave out, eight.
              ASSERT_NEAR(got[m * matrix.padded_N() + n], want,
                          (8.0 + static_cast<double>(K)) * std::ldexp(size, -24) + 1e-36)
                  << "M " << M << " K " << K << " N " << N << " at " << m << ", " << n;
            }
          }
        }
      }
    }
  }
}

TEST_P(ProductLevels, Fp32AtTheEndsOfItsRange) {
  const size_t M = 16, N = 64;
  const auto product = [&](float a, float w) {
    const std::vector<float> x(M, a), matrix(N, w);
    const PackedMatrix packed(matrix.data(), 1, N, N, Precision::kFp32);
    std::vector<float> y(M * N);
    products.fp32(x.data(), 1, M, packed.panels(), {.fp32 = y.data(), .stride = N});
    for (const float v : y) EXPECT_EQ(std::isnan(v), std::isnan(y[0]));
    return y[0];
  };
  constexpr float kInfinity = std::numeric_limits<float>::infinity(),
                  kNaN = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NEAR(product(1e30f, 1e-30f), 1.0f, 1e-6);
  EXPECT_NEAR(product(3.38e38f, -1.0f) / 3.38e38f, -1.0f, 1e-6);
  EXPECT_NEAR(product(1e20f, 3e18f) / 3e38f, 1.0f, 1e-6);
  // Numbers below the normal ones may count as 0.
  EXPECT_NEAR(product(1e-40f, 1e3f), 0.0f, 1.01e-37f);
  EXPECT_NEAR(product(1.5e-38f, 1.0f), 1.5e-38f, 1.2e-38f);
  // What is not finite stays so, though an infinity may become NaN.
  EXPECT_FALSE(std::isfinite(product(1e30f, 1e30f)));
  EXPECT_FALSE(std::isfinite(product(kInfinity, 1.0f)));
  EXPECT_FALSE(std::isfinite(product(1.0f, -kInfinity)));
  EXPECT_TRUE(std::isnan(product(kNaN, 1.0f)));
  EXPECT_TRUE(std::isnan(product(1.0f, std::bit_cast<float>(0x7fffffffu))));
  EXPECT_TRUE(std::isnan(product(std::bit_cast<float>(0x7fffffffu), 1.0f)));
}

// A scope may hold products of every kind, and other scopes.
TEST_P(ProductLevels, ScopesChangeNothing) {
  const size_t M = 40, K = 72, N = 80;
  const auto a = Numbers(random, M * K), weights = Numbers(random, K * N);
  std::vector<std::vector<float>> got;
  for (int pass = 0; pass < 2; ++pass) {
    std::vector<float> y(M * N);
    const auto all = [&] {
      for (const Precision precision : {Precision::kFp32, Precision::kInt8, Precision::kFp32,
                                        Precision::kBf16, Precision::kInt8}) {
        const PackedMatrix w(weights.data(), K, N, N, precision);
        const float* scale = precision == Precision::kInt8 ? w.scale() : nullptr;
        Multiply(products, precision, a, M, K, w, {.scale = scale, .fp32 = y.data(), .stride = N});
        got.push_back(y);
      }
    };
    if (pass == 0) {
      all();
    } else {
      const MatrixUnitScope outer;
      all();
      const MatrixUnitScope inner;
    }
  }
  for (size_t i = 0; i < 5; ++i) ASSERT_EQ(got[i], got[5 + i]) << i;
}

TEST_P(ProductLevels, Int8ApproximatesTheMatrix) {
  const size_t M = 13, K = 64, N = 48;
  const auto a = Numbers(random, M * K), weights = Numbers(random, K * N);
  const PackedMatrix w(weights.data(), K, N, N, Precision::kInt8);
  // a = (u8 - 128) / 40, so the zero point's share is taken off by the bias.
  std::vector<float> scale(N), bias(N), got(M * N);
  for (size_t n = 0; n < N; ++n) {
    scale[n] = w.scale()[n] / 40.0f;
    bias[n] = -128.0f * scale[n] * w.sum()[n];
  }
  Multiply(products, Precision::kInt8, a, M, K, w,
           {.scale = scale.data(), .bias = bias.data(), .fp32 = got.data(), .stride = N});
  for (size_t m = 0; m < M; ++m) {
    for (size_t n = 0; n < N; ++n) {
      double want = 0.0;
      for (size_t k = 0; k < K; ++k) want += double{a[m * K + k]} * double{weights[k * N + n]};
      ASSERT_NEAR(got[m * N + n], want, 0.8);
    }
  }
}

TEST_P(ProductLevels, Lanes) {
  for (const size_t M : {1, 8, 12, 16, 24, 100, 101}) {
    for (const size_t K : {2, 8, 16, 32, 100}) {
      const auto a = Numbers(random, M * K), b = Numbers(random, K * kPanel);
      std::vector<float> want(M * kPanel), got(M * kPanel);
      // Rows apart, then columns apart.
      for (const auto& [row, k] : {std::array<size_t, 2>{K, 1}, std::array<size_t, 2>{1, M}}) {
        plain.lanes_fp32(a.data(), row, k, M, K, b.data(), want.data());
        products.lanes_fp32(a.data(), row, k, M, K, b.data(), got.data());
        for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(want[i], got[i], 1e-4);
      }
      const size_t stride = K + 6;
      const auto wide = Numbers(random, M * stride);
      std::vector<Bf16> x(wide.size()), panel(b.size());
      plain.to_bf16(wide.data(), wide.size(), x.data());
      plain.to_bf16(b.data(), b.size(), panel.data());
      plain.lanes_bf16(x.data(), stride, M, K, panel.data(), want.data());
      products.lanes_bf16(x.data(), stride, M, K, panel.data(), got.data());
      for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(want[i], got[i], 1e-4);
    }
  }
}

TEST_P(ProductLevels, PanelsOfOneCandidate) {
  for (const size_t K : {4, 12, 64}) {
    for (const size_t N : {16, 32, 48, 80}) {
      const auto weights = Numbers(random, K * N), q = Numbers(random, K);
      const PackedMatrix w(weights.data(), K, N, N, Precision::kFp32);
      std::vector<float> want(K * N), got(K * N), sums(N), sums2(N);
      plain.scale_panels(w.panels(), q.data(), want.data());
      products.scale_panels(w.panels(), q.data(), got.data());
      ASSERT_EQ(want, got);
      const float inverse = 127.0f / plain.top(want.data(), want.size());
      std::vector<int8_t> bytes(K * N), bytes2(K * N);
      plain.quantise_panels(w.panels(), q.data(), inverse, bytes.data(), sums.data());
      products.quantise_panels(w.panels(), q.data(), inverse, bytes2.data(), sums2.data());
      ASSERT_EQ(bytes, bytes2);
      ASSERT_EQ(sums, sums2);
    }
  }
}

TEST_P(ProductLevels, RowsAndColumns) {
  for (const size_t M : {1, 3, 20}) {
    for (const size_t width : {16, 32, 48, 80}) {
      const size_t stride = width + 7;
      const auto x = Numbers(random, M * stride), w = Numbers(random, width),
                 slope = Numbers(random, width, 0.3), shift = Numbers(random, width);
      std::vector<float> want(M * 3, 1.0f), got(M * 3, 1.0f);
      plain.row_dots(x.data(), stride, M, width, w.data(), want.data(), 3);
      products.row_dots(x.data(), stride, M, width, w.data(), got.data(), 3);
      for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(want[i], got[i], 1e-5);
      auto bent = x, bent2 = x;
      plain.dice(bent.data(), stride, M, width, slope.data(), w.data(), shift.data());
      products.dice(bent2.data(), stride, M, width, slope.data(), w.data(), shift.data());
      for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(bent[i], bent2[i], 2e-6);
      ASSERT_EQ(plain.top(x.data(), x.size()), products.top(x.data(), x.size()));
    }
  }
}

TEST_P(ProductLevels, LanesThereAndBack) {
  for (const size_t n : {1, 7, 16, 17, 31, 32}) {
    for (const size_t width : {1, 5, 8, 16, 20, 64}) {
      const size_t stride = width + 3;
      const auto rows = Numbers(random, n * stride);
      std::vector<float> lanes(width * kPanel, -1.0f), back(n * stride, -7.0f);
      products.to_lanes(reinterpret_cast<const uint32_t*>(rows.data()), stride, n, width,
                        reinterpret_cast<uint32_t*>(lanes.data()));
      const auto factor = Numbers(random, kPanel);
      products.from_lanes(lanes.data(), factor.data(), n, width, back.data(), stride);
      for (size_t j = 0; j < width; ++j) {
        for (size_t i = 0; i < kPanel; ++i) {
          ASSERT_EQ(lanes[j * kPanel + i], i < n ? rows[i * stride + j] : 0.0f);
        }
      }
      for (size_t i = 0; i < n; ++i) {
        for (size_t j = 0; j < stride; ++j) {
          ASSERT_EQ(back[i * stride + j], j < width ? rows[i * stride + j] * factor[i] : -7.0f);
        }
      }
    }
  }
}

TEST_P(ProductLevels, SoftmaxDownTheLanes) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  for (const size_t L : {0, 1, 2, 3, 50, 101}) {
    for (const float null_score : {kNone, 0.3f, -1e6f, 1e6f}) {
      for (const double size : {1.0, 100.0, 1e6}) {
        const auto scores = Numbers(random, L * kPanel, size), bias = Numbers(random, L);
        auto want = scores, got = scores;
        const float* offsets = random.Below(3) == 0 ? nullptr : bias.data();
        std::vector<float> inverse(kPanel), evidence(kPanel), inverse2(kPanel), evidence2(kPanel);
        plain.softmax_lanes(want.data(), L, offsets, null_score, inverse.data(), evidence.data(),
                            nullptr);
        products.softmax_lanes(got.data(), L, offsets, null_score, inverse2.data(),
                               evidence2.data(), nullptr);
        for (size_t i = 0; i < kPanel; ++i) {
          ASSERT_NEAR(evidence[i], evidence2[i], 2e-6) << L << " " << null_score << " " << size;
          for (size_t l = 0; l < L; ++l) {
            ASSERT_NEAR(want[l * kPanel + i] * inverse[i], got[l * kPanel + i] * inverse2[i], 2e-6);
          }
        }
        std::vector<Bf16> pairs((L + 1) / 2 * 2 * kPanel, 7);
        got = scores;
        products.softmax_lanes(got.data(), L, offsets, null_score, inverse2.data(),
                               evidence2.data(), pairs.data());
        for (size_t i = 0; i < kPanel; ++i) {
          ASSERT_NEAR(evidence[i], evidence2[i], 1e-3);
          for (size_t l = 0; l < (L + 1) / 2 * 2; ++l) {
            const float e = FromBf16(pairs[(l / 2 * kPanel + i) * 2 + l % 2]);
            const float exact = l < L ? want[l * kPanel + i] * inverse[i] : 0.0f;
            ASSERT_NEAR(e * inverse2[i], exact, 5e-3f * exact + 1e-6f)
                << L << " " << null_score << " " << size;
          }
        }
      }
    }
  }
}

TEST_P(ProductLevels, LayersOfLanes) {
  for (const size_t M : {1, 3, 8, 12, 16, 29, 40}) {
    for (const size_t K : {1, 7, 64}) {
      const size_t k_step = M + 3;
      const auto a = Numbers(random, K * k_step, 1.0), panel = Numbers(random, K * kPanel, 1.0);
      const auto bias = Numbers(random, M, 1.0), start = Numbers(random, M * kPanel, 1.0);
      const auto slope = Numbers(random, M, 1.0);
      for (const bool starts : {false, true}) {
        for (const bool bends : {false, true}) {
          std::vector<float> got(M * kPanel, 9.0f);
          const LanesEpilogue end{.bias = bias.data(),
                                  .start = starts ? start.data() : nullptr,
                                  .slope = bends ? slope.data() : nullptr};
          products.lanes_layer(a.data(), k_step, M, K, panel.data(), end, got.data());
          for (size_t m = 0; m < M; ++m) {
            for (size_t i = 0; i < kPanel; ++i) {
              double sum = static_cast<double>(bias[m]);
              if (starts) sum += static_cast<double>(start[m * kPanel + i]);
              for (size_t k = 0; k < K; ++k) {
                sum += static_cast<double>(a[k * k_step + m]) *
                       static_cast<double>(panel[k * kPanel + i]);
              }
              if (bends && sum < 0) sum *= static_cast<double>(slope[m]);
              ASSERT_NEAR(got[m * kPanel + i], sum, 1e-5 * static_cast<double>(K))
                  << M << " " << K << " " << m << " " << i;
            }
          }
        }
      }
    }
  }
}

TEST_P(ProductLevels, Roundings) {
  for (size_t n = 0; n < 70; ++n) {
    const auto x = Numbers(random, n, 3.0);
    std::vector<Bf16> want(n), got(n);
    plain.to_bf16(x.data(), n, want.data());
    products.to_bf16(x.data(), n, got.data());
    ASSERT_EQ(want, got);
    std::vector<float> back(n), back2(n);
    plain.from_bf16(want.data(), n, back.data());
    products.from_bf16(want.data(), n, back2.data());
    ASSERT_EQ(back, back2);
    std::vector<int8_t> bytes(n);
    for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<int8_t>(random.Below(256));
    plain.from_int8(bytes.data(), n, 0.37f, back.data());
    products.from_int8(bytes.data(), n, 0.37f, back2.data());
    ASSERT_EQ(back, back2);
    for (size_t i = 0; i < n; ++i) ASSERT_EQ(back[i], static_cast<float>(bytes[i]) * 0.37f);
    std::vector<uint8_t> u8(n), u8_2(n);
    const auto scale = Numbers(random, n, 40.0);
    plain.to_u8(x.data(), n, 1, n, scale.data(), 128.0f, u8.data(), n);
    products.to_u8(x.data(), n, 1, n, scale.data(), 128.0f, u8_2.data(), n);
    for (size_t i = 0; i < n; ++i) ASSERT_NEAR(u8[i], u8_2[i], 1);
  }
  EXPECT_EQ(FromBf16(ToBf16(1.0f)), 1.0f);
  EXPECT_TRUE(std::isnan(FromBf16(ToBf16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_EQ(FromBf16(ToBf16(std::numeric_limits<float>::infinity())),
            std::numeric_limits<float>::infinity());
}

INSTANTIATE_TEST_SUITE_P(All, ProductLevels, testing::ValuesIn(AttainableLevels()),
                         [](const auto& level) { return std::string(LevelName(level.param)); });

}  // namespace
}  // namespace heed::kernels
