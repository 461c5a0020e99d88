// The rows form of the DIN unit beside the other: the same answers and the same gradients, of every
// weight, of queries and of rows.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "nn/activation_unit.h"
#include "nn/attention_for_test.h"
#include "nn/linear.h"

namespace heed::nn {
namespace {

struct Case {
  bool projected = true, mean = true, softmax = true, null_slot = true;
  ActivationKind activation = ActivationKind::kPRelu;
  std::vector<size_t> hidden = {80, 40};
  size_t query_width = 4, width = 5;  // of a part
};

constexpr size_t kParts = 2, kRows = 30;

// Adds every token's gradient to that of its rows.
class Collect : public TokenGradients {
 public:
  Collect(const std::vector<uint32_t>& rows, size_t width, std::vector<Matrix>* d_tables)
      : rows_(rows), width_(width), d_tables_(*d_tables) {}
  void Start(size_t first, size_t tokens) override { next_ = first, end_ = first + tokens; }
  void Take(size_t first, size_t tokens, const float* g, size_t stride,
            kernels::RowFetch*) override {
    ASSERT_EQ(first, next_);
    ASSERT_LE(first + tokens, end_);
    next_ += tokens;
    for (size_t t = 0; t < tokens; ++t) {
      for (size_t k = 0; k < kParts; ++k) {
        float* to = d_tables_[k].Row(rows_[(first + t) * kParts + k]);
        for (size_t j = 0; j < width_; ++j) to[j] += g[t * stride + k * width_ + j];
      }
    }
  }

 private:
  const std::vector<uint32_t>& rows_;
  size_t width_, next_ = 0, end_ = 0;
  std::vector<Matrix>& d_tables_;
};

using Answers = std::map<std::string, std::vector<float>>;

class World {
 public:
  explicit World(const Case& which) : c(which) {
    for (Matrix& table : tables) table.Resize(kRows, c.width), FillNormal(&table, random);
    // Histories of 0, 1 and more than a block of tokens; requests of no, one and several candidates.
    for (const uint32_t length : {7, 0, 1, 57, 5}) offsets.push_back(offsets.back() + length);
    request_of = {0, 1, 2, 2, 3, 3, 3};
    for (size_t t = 0; t < offsets.back(); ++t) {
      log_age.push_back(static_cast<float>(random.Uniform(0, 2)));
      for (size_t k = 0; k < kParts; ++k) {
        rows.push_back(static_cast<uint32_t>(random.Below(kRows)));
      }
    }
    const size_t D = kParts * c.width, token_width = c.projected ? 7 : D;
    projection = {"event", D, token_width, random};
    unit = {"u",
            {.query_width = c.query_width,
             .token_width = token_width,
             .hidden = c.hidden,
             .activation = c.activation,
             .softmax = c.softmax,
             .null_slot = c.null_slot},
            0.3f,
            random};
    FillNormal(&projection.bias.value, random);
    for (Parameter* p : unit.Parameters()) {  // away from the zeros that hide mistakes
      for (size_t i = 0; i < p->value.size(); ++i) {
        p->value.data()[i] += static_cast<float>(random.Uniform(-0.1, 0.1));
      }
    }
    const size_t N = request_of.size();
    queries.Resize(N, c.query_width), FillNormal(&queries, random);
    d_out.Resize(N, token_width), FillNormal(&d_out, random);
    d_evidence.Resize(N, 1), FillNormal(&d_evidence, random);
    d_mean.Resize(offsets.size() - 1, token_width), FillNormal(&d_mean, random);
  }

  Answers Run(bool rows_form) {
    for (Parameter* p : Parameters()) p->grad.Fill(0.0f);
    const size_t N = request_of.size(), D = kParts * c.width, R = offsets.size() - 1;
    const size_t token_width = unit.shape().token_width;
    HistoryRows history{.rows = rows, .width = c.width, .stride = c.width, .mean = c.mean};
    for (const Matrix& table : tables) history.tables.push_back(table.data());
    if (c.projected) history.projection = &projection;
    Matrix raw(offsets.back(), D), tokens(offsets.back(), token_width);
    for (size_t t = 0; t < raw.rows(); ++t) {
      for (size_t k = 0; k < kParts; ++k) {
        std::copy_n(tables[k].Row(rows[t * kParts + k]), c.width, raw.Row(t) + k * c.width);
      }
    }
    if (c.projected) {
      projection.Forward(raw.view(), tokens.view());
    } else {
      tokens = raw;
    }
    AttentionInput in{.queries = queries.view(),
                      .tokens = tokens.view(),
                      .offsets = offsets,
                      .request_of = request_of,
                      .log_age = log_age,
                      .excluded = {},
                      .rows = &history};
    if (rows_form) in.tokens = {};
    ActivationUnitTape tape;
    tape.rows_form = rows_form;
    Matrix out(N, token_width), evidence(N, 1), d_queries(N, c.query_width), mean(R, token_width),
        d_tokens(tokens.rows(), tokens.cols());
    std::vector<Matrix> d_tables(kParts, Matrix(kRows, c.width));
    unit.Forward(in, Phase::kTrain, &tape, out.view(), evidence.view());
    if (rows_form) {
      Collect collect(rows, c.width, &d_tables), more(rows, c.width, &d_tables);
      TokenGradients* const lanes[] = {&collect, &more};
      unit.BackwardRows(in, &tape, d_out.view(), d_evidence.view(),
                        c.mean ? ConstMat(d_mean.view()) : ConstMat{}, d_queries.view(),
                        c.projected ? &projection : nullptr, lanes);
      if (c.mean) mean = tape.rows.mean;
    } else {
      unit.Backward(in, &tape, d_out.view(), d_evidence.view(), d_queries.view(), d_tokens.view());
      if (c.mean) {
        MeanPoolForward(tokens.view(), offsets, mean.view());
        MeanPoolBackward(offsets, d_mean.view(), d_tokens.view());
      }
      Matrix d_raw(raw.rows(), D);
      if (c.projected) {
        Mat view = d_raw.view();
        projection.Backward(raw.view(), d_tokens.view(), &view);
      } else {
        d_raw = d_tokens;
      }
      for (size_t t = 0; t < raw.rows(); ++t) {
        for (size_t k = 0; k < kParts; ++k) {
          for (size_t j = 0; j < c.width; ++j) {
            d_tables[k].Row(rows[t * kParts + k])[j] += d_raw.Row(t)[k * c.width + j];
          }
        }
      }
    }
    Answers all;
    const auto put = [&](const std::string& name, const Matrix& m) {
      all[name].assign(m.data(), m.data() + m.size());
    };
    put("out", out), put("evidence", evidence), put("mean", mean), put("d queries", d_queries);
    for (size_t k = 0; k < kParts; ++k) put("d table " + std::to_string(k), d_tables[k]);
    for (const Parameter* p : Parameters()) put("d " + p->name, p->grad);
    all["weights"].assign(tape.weights.begin(), tape.weights.end());
    return all;
  }

  std::vector<Parameter*> Parameters() {
    std::vector<Parameter*> all = unit.Parameters();
    if (c.projected) all.insert(all.end(), {&projection.weight, &projection.bias});
    return all;
  }

  Case c;
  Random random{31};
  Matrix tables[kParts];
  std::vector<uint32_t> offsets = {0}, request_of, rows;
  std::vector<float> log_age;
  Linear projection;
  ActivationUnit unit;
  Matrix queries, d_out, d_evidence, d_mean;
};

void ExpectFormsAgree(const Case& c) {
  World world(c);
  const Answers want = world.Run(false), got = world.Run(true);
  ASSERT_EQ(want.size(), got.size());
  for (const auto& [name, numbers] : want) {
    const std::vector<float>& own = got.at(name);
    ASSERT_EQ(numbers.size(), own.size()) << name;
    double top = 0;
    for (const float x : numbers) top = std::max(top, std::abs(static_cast<double>(x)));
    const bool may_be_zero = name == "mean" || !c.null_slot || !c.softmax;
    EXPECT_TRUE(may_be_zero || top > 0.0) << name << " is not wired in";
    for (size_t i = 0; i < numbers.size(); ++i) {
      ASSERT_NEAR(numbers[i], own[i], 1e-5 * (1.0 + top)) << name << " at " << i;
    }
  }
}

TEST(UnitRows, BothFormsAgree) {
  for (const bool projected : {false, true}) {
    for (const bool mean : {false, true}) {
      for (const size_t width : {5, 16}) {
        ExpectFormsAgree({.projected = projected, .mean = mean, .width = width});
      }
    }
  }
}

TEST(UnitRows, WhateverTheShape) {
  for (const ActivationKind kind : {ActivationKind::kRelu, ActivationKind::kPRelu}) {
    for (const bool softmax : {false, true}) {
      for (const bool null_slot : {false, true}) {
        ExpectFormsAgree({.softmax = softmax,
                          .null_slot = null_slot,
                          .activation = kind,
                          .hidden = {18, 11, 7},
                          .query_width = 7});
        ExpectFormsAgree({.softmax = softmax,
                          .null_slot = null_slot,
                          .activation = kind,
                          .hidden = {1},
                          .query_width = 3});
      }
    }
  }
}

TEST(UnitRows, NotWithDice) {
  EXPECT_FALSE(World({.activation = ActivationKind::kDice}).unit.ReadsRows());
  EXPECT_TRUE(World({.activation = ActivationKind::kRelu}).unit.ReadsRows());
}

}  // namespace
}  // namespace heed::nn
