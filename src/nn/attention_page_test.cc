// The numbers of docs/attention.md and its Chinese twin, computed again by the layers they describe:
// every number with four decimals on the page, in order.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <regex>

#include "base/random.h"
#include "nn/attention.h"
#include "nn/attention_pooling.h"

namespace heed::nn {
namespace {

using Numbers = std::vector<double>;

Matrix Rows(const std::vector<std::vector<double>>& rows) {
  Matrix m(rows.size(), rows[0].size());
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < rows[i].size(); ++j) m.Row(i)[j] = static_cast<float>(rows[i][j]);
  }
  return m;
}

void Append(Numbers* to, const float* from, size_t n) { to->insert(to->end(), from, from + n); }

struct Pooled {
  Numbers scores, weights, y;  // of the items, and last the null slot's weight
  double evidence = 0;
};

const std::vector<double> kW = {0.5, 0.5, -0.5};

// s = X w over the rows of `items`, one head.
Pooled Pool(const Matrix& items, bool null_slot) {
  Random random(1);
  AttentionPooling layer("page", {.item_width = items.cols(), .null_slot = null_slot}, random);
  for (size_t j = 0; j < kW.size(); ++j) layer.score.value.data()[j] = static_cast<float>(kW[j]);
  const std::vector<uint32_t> offsets = {0, static_cast<uint32_t>(items.rows())};
  PoolingTape tape;
  Matrix y(1, items.cols()), evidence(1, 1);
  layer.Forward({.items = items.view(), .offsets = offsets}, &tape, y.view(), evidence.view());
  Pooled pooled;
  for (size_t i = 0; i < items.rows(); ++i) {
    double score = 0.0;
    for (size_t j = 0; j < kW.size(); ++j) score += kW[j] * static_cast<double>(items.Row(i)[j]);
    pooled.scores.push_back(score);
  }
  Append(&pooled.weights, tape.weights.data(), items.rows() + 1);
  Append(&pooled.y, y.data(), y.size());
  pooled.evidence = static_cast<double>(evidence.data()[0]);
  return pooled;
}

// Self- or target attention with one head and the same matrix for queries, keys and values.
struct Attended {
  Numbers weights;  // [queries, items + 1]
  Matrix y;
};
Attended Attend(const Matrix& queries, const Matrix& items, const Matrix& w, bool null_slot) {
  Random random(1);
  const AttentionShape shape{.query_width = w.rows(),
                             .token_width = w.rows(),
                             .heads = 1,
                             .width = w.cols(),
                             .null_slot = null_slot};
  TargetAttention layer("page", shape, 0.0f, random);
  for (Parameter* p : {&layer.query, &layer.key, &layer.value}) p->value = w;
  const std::vector<uint32_t> offsets = {0, static_cast<uint32_t>(items.rows())};
  const std::vector<uint32_t> request_of(queries.rows(), 0);
  const std::vector<float> log_age(items.rows(), 0.0f);
  AttentionTape tape;
  Attended answer{.y = Matrix(queries.rows(), w.cols())};
  Matrix evidence(queries.rows(), 1);
  layer.Forward({queries.view(), items.view(), offsets, request_of, log_age, {}}, &tape,
                answer.y.view(), evidence.view());
  Append(&answer.weights, tape.weights.data(), tape.weights.size());
  return answer;
}

void Put(Numbers* page, const Numbers& more) {
  page->insert(page->end(), more.begin(), more.end());
}

Numbers Row(const Matrix& m, size_t i) {
  Numbers row;
  Append(&row, m.Row(i), m.cols());
  return row;
}

Numbers PageNumbers() {
  Numbers page;
  // Three tokens, scores 0, -2, -2.
  const Matrix tokens = Rows({{0.5, 0.5, 1}, {-2, -2, 0}, {0, 0, 4}});
  const Pooled three = Pool(tokens, false);
  for (size_t i = 0; i < 3; ++i) {
    Put(&page, Row(tokens, i));
    Put(&page, {three.scores[i], std::exp(three.scores[i]), three.weights[i]});
  }
  Put(&page, three.y);
  // A weight of 0.8.
  const double e = std::log(8.0);
  const Matrix eight = Rows({{0.5, 0.5, 1}, {-e, -e, 0}, {0, 0, 2 * e}});
  const Pooled plain = Pool(eight, false), slotted = Pool(eight, true);
  for (size_t i = 0; i < 3; ++i) {
    Put(&page, Row(eight, i));
    Put(&page, {plain.scores[i], std::exp(plain.scores[i]), plain.weights[i], slotted.weights[i]});
  }
  Put(&page, plain.y);
  Put(&page, slotted.y);
  page.push_back(slotted.evidence);
  // The first token alone.
  const Matrix alone = Rows({{0.5, 0.5, 1}});
  page.push_back(Pool(alone, false).weights[0]);
  page.push_back(Pool(alone, true).weights[0]);
  // The softmax over its features.
  const double total = 2 * std::exp(0.5) + std::exp(1.0);
  Put(&page, {std::exp(0.5) / total, std::exp(0.5) / total, std::exp(1.0) / total});
  // The gradient of the scores for L = y_1.
  double mean = 0.0;
  for (size_t i = 0; i < 3; ++i) mean += plain.weights[i] * static_cast<double>(eight.Row(i)[0]);
  for (size_t i = 0; i < 3; ++i) {
    page.push_back(plain.weights[i] * (static_cast<double>(eight.Row(i)[0]) - mean));
  }
  // Two candidates ask one history.
  const Matrix history = Rows({{1, 0}, {0.9, 0.1}, {0, 1}}), ask = Rows({{2, 0}, {0, 2}});
  const Attended asked = Attend(ask, history, Rows({{1, 0}, {0, 1}}), true);
  for (size_t n = 0; n < 2; ++n) {
    Put(&page, Row(ask, n));
    Put(&page, {asked.weights.begin() + static_cast<ptrdiff_t>(4 * n),
                asked.weights.begin() + static_cast<ptrdiff_t>(4 * n + 4)});
    Put(&page, Row(asked.y, n));
  }
  // The batch of three: pooled, and among themselves.
  const Matrix batch = Rows({{0.5, 0.5, -0.5}, {0.3, 0.2, 0.1}, {0.1, 0.3, 0.2}});
  const Pooled pooled = Pool(batch, false);
  for (size_t i = 0; i < 3; ++i) Put(&page, {pooled.scores[i], pooled.weights[i]});
  Put(&page, pooled.y);
  const Attended self =
      Attend(batch, batch, Rows({{1, 0, 0.5}, {0, 1, -0.5}, {0.5, -0.5, 1}}), false);
  for (size_t i = 0; i < 3; ++i) {
    Put(&page, {self.weights.begin() + static_cast<ptrdiff_t>(4 * i),
                self.weights.begin() + static_cast<ptrdiff_t>(4 * i + 3)});
    Put(&page, Row(self.y, i));
  }
  return page;
}

class AttentionPage : public testing::TestWithParam<const char*> {};

TEST_P(AttentionPage, NumbersAreWhatTheLayersGive) {
  const std::string path = std::string(std::getenv("HEED_SOURCE_DIR")) + "/docs/" + GetParam();
  std::ifstream in(path);
  ASSERT_TRUE(in) << path;
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const std::regex number(R"(-?\d+\.\d{4}(?!\d))");
  std::vector<std::string> shown;
  for (auto i = std::sregex_iterator(text.begin(), text.end(), number); i != std::sregex_iterator();
       ++i) {
    shown.push_back(i->str());
  }
  const Numbers wanted = PageNumbers();
  ASSERT_EQ(shown.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    char line[32];
    // Rounded here, so that -0.00001 is not "-0.0000".
    std::snprintf(line, sizeof(line), "%.4f", std::round(wanted[i] * 1e4) / 1e4 + 0.0);
    EXPECT_EQ(shown[i], line) << GetParam() << ", number " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Languages, AttentionPage,
                         testing::Values("attention.md", "attention.zh-CN.md"),
                         [](const auto& page) {
                           return std::string(page.param).find("zh") == std::string::npos
                                      ? "English"
                                      : "Chinese";
                         });

}  // namespace
}  // namespace heed::nn
