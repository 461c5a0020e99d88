// Every level against the plain reference, round the edges of tiles; buffers end at their last element.
#include "kernels/unit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"

namespace heed::kernels {
namespace {

using Numbers = std::vector<float>;

class UnitLevels : public testing::TestWithParam<Level> {
 protected:
  Numbers Draw(size_t n) {
    Numbers x(n);
    for (float& v : x) v = static_cast<float>(random.Normal());
    return x;
  }
  static void ExpectNear(const Numbers& want, const Numbers& got) {
    ASSERT_EQ(want.size(), got.size());
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_NEAR(want[i], got[i], 1e-4 * (1.0 + std::abs(static_cast<double>(want[i])))) << i;
    }
  }

  const UnitKernels& own = UnitOf(GetParam());
  const UnitKernels& plain = UnitOf(Level::kScalar);
  Random random{17};
};

TEST_P(UnitLevels, Products) {
  constexpr size_t kRows = 9;
  for (const size_t parts : {1, 3}) {
    for (const size_t width : {1, 4, 7, 16, 19, 64}) {
      std::vector<Numbers> tables;
      std::vector<const float*> data;
      for (size_t k = 0; k < parts; ++k) tables.push_back(Draw(kRows * (width + parts - 1)));
      for (const Numbers& table : tables) data.push_back(table.data());
      for (const size_t L : {0, 1, 3, 5, 8, 13, 31}) {
        std::vector<uint32_t> rows(L * parts);
        for (uint32_t& row : rows) row = static_cast<uint32_t>(random.Below(kRows));
        const TokenRows x{data.data(), rows.data(), L, parts, width, width + parts - 1};
        for (const size_t N : {16, 32, 48, 64, 80, 96, 112, 144, 192}) {
          RowFetch none;
          const Numbers w = Draw(parts * width * N), base = Draw(N), d = Draw(L * N);
          for (const float* from : {static_cast<const float*>(nullptr), base.data()}) {
            Numbers y1(L * N, 7.0f), y2 = y1;
            plain.times(x, w.data(), from, N, y1.data(), &none);
            own.times(x, w.data(), from, N, y2.data(), &none);
            ExpectNear(y1, y2);
          }
          Numbers s1 = w, s2 = w;
          plain.outer(x, d.data(), N, s1.data(), &none);
          own.outer(x, d.data(), N, s2.data(), &none);
          ExpectNear(s1, s2);
        }
      }
    }
  }
}

TEST_P(UnitLevels, OwnMatrix) {
  for (const size_t M : {16, 64}) {
    for (const size_t N : {16, 80}) {
      const Numbers side = Draw(M * N), product = Draw(M * N), q = Draw(M), d = Draw(M * N);
      Numbers a(M * N), b(M * N);
      plain.own(side.data(), product.data(), q.data(), M, N, a.data());
      own.own(side.data(), product.data(), q.data(), M, N, b.data());
      ExpectNear(a, b);
      plain.own_transposed(side.data(), product.data(), q.data(), M, N, a.data());
      own.own_transposed(side.data(), product.data(), q.data(), M, N, b.data());
      ExpectNear(a, b);
      Numbers side1 = Draw(M * N), side2 = side1, product1 = Draw(M * N), product2 = product1;
      Numbers q1 = Draw(M), q2 = q1;
      plain.own_backward(d.data(), product.data(), q.data(), M, N, side1.data(), product1.data(),
                         q1.data());
      own.own_backward(d.data(), product.data(), q.data(), M, N, side2.data(), product2.data(),
                       q2.data());
      ExpectNear(side1, side2);
      ExpectNear(product1, product2);
      ExpectNear(q1, q2);
    }
  }
}

TEST_P(UnitLevels, Bends) {
  for (const size_t L : {0, 1, 7}) {
    for (const size_t N : {16, 48}) {
      Numbers x = Draw(L * N);
      if (L > 0) x[3] = 0.0f;
      const Numbers slope = Draw(N);
      Numbers a(L * N), b(L * N), d1 = Draw(L * N), d2 = d1;
      Numbers slope1 = Draw(N), slope2 = slope1, bias1 = Draw(N), bias2 = bias1;
      plain.bend(x.data(), slope.data(), L, N, a.data());
      own.bend(x.data(), slope.data(), L, N, b.data());
      ExpectNear(a, b);
      plain.bend_backward(x.data(), slope.data(), L, N, d1.data(), slope1.data(), bias1.data());
      own.bend_backward(x.data(), slope.data(), L, N, d2.data(), slope2.data(), bias2.data());
      ExpectNear(d1, d2);
      ExpectNear(slope1, slope2);
      ExpectNear(bias1, bias2);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, UnitLevels, testing::ValuesIn(AttainableLevels()),
                         [](const auto& level) { return std::string(LevelName(level.param)); });

}  // namespace
}  // namespace heed::kernels
