// Every level against the plain reference, round the edges of tiles; buffers end at their last element.
#include "kernels/history.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"

namespace heed::kernels {
namespace {

using Numbers = std::vector<float>;

class HistoryLevels : public testing::TestWithParam<Level> {
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

  const HistoryKernels& own = HistoryOf(GetParam());
  const HistoryKernels& plain = HistoryOf(Level::kScalar);
  Random random{17};
};

TEST_P(HistoryLevels, Attention) {
  constexpr size_t kRows = 9;
  for (const size_t parts : {1, 2, 3}) {
    for (const size_t width : {1, 4, 7, 16, 19, 32, 48, 64, 65}) {
      std::vector<Numbers> tables;
      std::vector<const float*> data;
      for (size_t k = 0; k < parts; ++k) tables.push_back(Draw(kRows * (width + parts - 1)));
      for (const Numbers& table : tables) data.push_back(table.data());
      for (const size_t L : {0, 1, 2, 3, 4, 5, 8, 11}) {
        std::vector<uint32_t> rows(L * parts);
        for (uint32_t& row : rows) row = static_cast<uint32_t>(random.Below(kRows));
        RowFetch none;
        const TokenRows x{data.data(), rows.data(), L, parts, width, width + parts - 1};
        for (const size_t H : {1, 2, 4, 7, 8}) {
          const size_t D = parts * width, stride = L + 1;
          const Numbers u = Draw(H * D), dc = Draw(H * D), w = Draw(H * stride),
                        ds = Draw(H * stride), base = Draw(D);
          RowFetch next{.of = x};
          Numbers s1(H * stride, 7.0f), s2 = s1, c1(H * D), c2 = c1, g1(L * D), g2 = g1;
          plain.scores(x, u.data(), H, s1.data(), stride, &none);
          own.scores(x, u.data(), H, s2.data(), stride, &next);
          ExpectNear(s1, s2);
          plain.context(x, w.data(), stride, H, c1.data(), &none);
          own.context(x, w.data(), stride, H, c2.data(), &next);
          ExpectNear(c1, c2);
          for (const float* from : {static_cast<const float*>(nullptr), base.data()}) {
            plain.gradients(w.data(), ds.data(), stride, dc.data(), u.data(), from, H, L, D,
                            g1.data(), &none);
            own.gradients(w.data(), ds.data(), stride, dc.data(), u.data(), from, H, L, D,
                          g2.data(), &next);
            ExpectNear(g1, g2);
          }
          own.fetch(&next);
          if (GetParam() != Level::kScalar) {
            EXPECT_EQ(next.done, L * parts);
          }
        }
        Numbers a(parts * width, 5.0f), b = a;
        plain.sum(x, a.data());
        own.sum(x, b.data());
        ExpectNear(a, b);
      }
    }
  }
}

TEST_P(HistoryLevels, AdagradRows) {
  constexpr size_t kRows = 12, kParts = 2;
  for (const size_t width : {1, 7, 16, 20, 64, 70}) {
    const size_t D = kParts * width;
    const std::vector<uint32_t> rows = {5, 0, 11, 3, 2, 7, 1, 9}, index = {0, 1, 3};
    Numbers g = Draw(4 * D), t1 = Draw(kRows * width), t2 = t1, q1(kRows, 0.3f), q2 = q1;
    const Numbers before = t1;
    g[1 * D] = std::numeric_limits<float>::infinity();  // token 1: row 11 must stay as it is
    RowFetch none;
    const auto run = [&](const HistoryKernels& kernels, Numbers* table, Numbers* squares) {
      return kernels.adagrad_rows(table->data(), squares->data(), rows.data(), kParts, index.data(),
                                  index.size(), width, g.data(), D, 0.1f, 1e-8f, 0.01f, &none);
    };
    EXPECT_FALSE(std::isfinite(run(plain, &t1, &q1)));
    EXPECT_FALSE(std::isfinite(run(own, &t2, &q2)));
    ExpectNear(t1, t2);
    ExpectNear(q1, q2);
    for (size_t row = 0; row < kRows; ++row) {
      const bool moves = row == 5 || row == 1;
      EXPECT_EQ(moves, t2[row * width] != before[row * width]) << row;
      EXPECT_EQ(moves, q2[row] != 0.3f) << row;
    }
    g[1 * D] = 0.0f;
    EXPECT_NEAR(run(plain, &t1, &q1) / run(own, &t2, &q2), 1.0, 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(All, HistoryLevels, testing::ValuesIn(AttainableLevels()),
                         [](const auto& level) { return std::string(LevelName(level.param)); });

}  // namespace
}  // namespace heed::kernels
