// The rows form of target attention beside the others: the same answers and the same gradients, of
// every weight, of queries and of rows.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "nn/attention.h"
#include "nn/linear.h"

namespace heed::nn {
namespace {

struct Case {
  bool projected = true, null_slot = true, mean = true, temperature = false;
  size_t width = 5;  // of a part
};

constexpr size_t kParts = 2, kHeads = 2, kW = 6, kRows = 30, kQuery = 4;

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

void Fill(Matrix* m, Random& random) {
  for (size_t i = 0; i < m->size(); ++i) m->data()[i] = static_cast<float>(random.Normal());
}

class World {
 public:
  explicit World(const Case& which) : c(which) {
    for (Matrix& table : tables) table.Resize(kRows, c.width), Fill(&table, random);
    // Histories of 0, 1 and more than a block of tokens; requests of no, one and several candidates.
    for (const uint32_t length : {7, 0, 1, 37, 5}) offsets.push_back(offsets.back() + length);
    request_of = {0, 1, 2, 2, 3, 3, 3};
    for (size_t t = 0; t < offsets.back(); ++t) {
      log_age.push_back(static_cast<float>(random.Uniform(0, 2)));
      for (size_t k = 0; k < kParts; ++k)
        rows.push_back(static_cast<uint32_t>(random.Below(kRows)));
    }
    const size_t D = kParts * c.width, token_width = c.projected ? 7 : D;
    projection = {"event", D, token_width, random};
    attention = {"a",
                 {.query_width = kQuery,
                  .token_width = token_width,
                  .heads = kHeads,
                  .width = kW,
                  .null_slot = c.null_slot},
                 0.3f,
                 random};
    Fill(&projection.bias.value, random);
    Fill(&attention.query_bias.value, random);
    Fill(&attention.null_score.value, random);
    queries.Resize(request_of.size(), kQuery), Fill(&queries, random);
    d_out.Resize(request_of.size(), kW), Fill(&d_out, random);
    d_evidence.Resize(request_of.size(), kHeads), Fill(&d_evidence, random);
    d_mean.Resize(offsets.size() - 1, D), Fill(&d_mean, random);
    inverse.Resize(offsets.size() - 1, kHeads);
    for (size_t i = 0; i < inverse.size(); ++i)
      inverse.data()[i] = 0.5f + 0.1f * static_cast<float>(i);
  }

  Answers Run(AttentionForm form) {
    for (Parameter* p : Parameters()) p->grad.Fill(0.0f);
    const size_t N = request_of.size(), D = kParts * c.width, R = offsets.size() - 1;
    HistoryRows history{.rows = rows, .width = c.width, .stride = c.width, .mean = c.mean};
    for (const Matrix& table : tables) history.tables.push_back(table.data());
    if (c.projected) history.projection = &projection;
    Matrix raw(offsets.back(), D), tokens(offsets.back(), attention.shape().token_width);
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
    if (c.temperature) in.inverse_temperature = inverse.view();
    if (form == AttentionForm::kRows) in.tokens = {};
    AttentionTape tape;
    tape.form = form;
    Matrix out(N, kW), evidence(N, kHeads), d_queries(N, kQuery),
        d_tokens(tokens.rows(), tokens.cols());
    std::vector<Matrix> d_tables(kParts, Matrix(kRows, c.width));
    attention.Forward(in, &tape, out.view(), evidence.view());
    Matrix mean(R, D);
    if (form == AttentionForm::kRows) {
      Collect collect(rows, c.width, &d_tables), more(rows, c.width, &d_tables);
      TokenGradients* const lanes[] = {&collect, &more};
      attention.BackwardRows(in, &tape, d_out.view(), d_evidence.view(),
                             c.mean ? ConstMat(d_mean.view()) : ConstMat{}, d_queries.view(),
                             c.projected ? &projection : nullptr, lanes);
      if (c.mean) mean = tape.mean;
    } else {
      attention.Backward(in, &tape, d_out.view(), d_evidence.view(), d_queries.view(),
                         d_tokens.view());
      Matrix d_raw(raw.rows(), D);
      if (c.projected) {
        Mat view = d_raw.view();
        projection.Backward(raw.view(), d_tokens.view(), &view);
      } else {
        d_raw = d_tokens;
      }
      if (c.mean) {
        MeanPoolForward(raw.view(), offsets, mean.view());
        MeanPoolBackward(offsets, d_mean.view(), d_raw.view());
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
    if (c.temperature) put("d inverse temperature", tape.d_inverse_temperature);
    for (const Parameter* p : Parameters()) put("d " + p->name, p->grad);
    return all;
  }

  std::vector<Parameter*> Parameters() {
    std::vector<Parameter*> all = attention.Parameters();
    if (c.projected) all.insert(all.end(), {&projection.weight, &projection.bias});
    return all;
  }

  Case c;
  Random random{31};
  Matrix tables[kParts];
  std::vector<uint32_t> offsets = {0}, request_of, rows;
  std::vector<float> log_age;
  Linear projection;
  TargetAttention attention;
  Matrix queries, d_out, d_evidence, d_mean, inverse;
};

void ExpectSame(const Answers& want, const Answers& got) {
  ASSERT_EQ(want.size(), got.size());
  for (const auto& [name, numbers] : want) {
    const std::vector<float>& own = got.at(name);
    ASSERT_EQ(numbers.size(), own.size()) << name;
    double top = 0;
    for (const float x : numbers) top = std::max(top, std::abs(static_cast<double>(x)));
    EXPECT_TRUE(name == "mean" || top > 0.0) << name << " is not wired in";
    for (size_t i = 0; i < numbers.size(); ++i) {
      ASSERT_NEAR(numbers[i], own[i], 5e-6 * (1.0 + top)) << name << " at " << i;
    }
  }
}

TEST(AttentionRows, AllFormsAgree) {
  for (const bool projected : {false, true}) {
    for (const bool mean : {false, true}) {
      for (const bool temperature : {false, true}) {
        for (const size_t width : {5, 16}) {
          World world(
              {.projected = projected, .mean = mean, .temperature = temperature, .width = width});
          const Answers shared = world.Run(AttentionForm::kShared);
          ExpectSame(shared, world.Run(AttentionForm::kAbsorbed));
          ExpectSame(shared, world.Run(AttentionForm::kRows));
        }
      }
    }
  }
}

// Without the null slot be Wk shifts all scores alike: neither it nor the null score has a gradient.
TEST(AttentionRows, WithoutTheNullSlot) {
  World world({.null_slot = false});
  Answers shared = world.Run(AttentionForm::kShared), rows = world.Run(AttentionForm::kRows);
  for (Answers* answers : {&shared, &rows}) {
    for (const float x : answers->at("d a.null_score")) EXPECT_EQ(x, 0.0f);
    answers->erase("d a.null_score");
  }
  ExpectSame(shared, rows);
}

// A training batch, where each candidate has a history of its own, takes the rows; a request with
// hundreds of candidates shares keys and values.
TEST(AttentionRows, ChosenByCounts) {
  World world({});
  HistoryRows history{.rows = world.rows, .width = 5, .stride = 5, .projection = &world.projection};
  for (const Matrix& table : world.tables) history.tables.push_back(table.data());
  const std::vector<uint32_t> offsets = {0, 100};
  for (const auto& [candidates, form] :
       {std::pair{1, AttentionForm::kRows}, std::pair{500, AttentionForm::kShared}}) {
    const std::vector<uint32_t> request_of(static_cast<size_t>(candidates), 0);
    EXPECT_EQ(world.attention.BestForm({.offsets = offsets,
                                        .request_of = request_of,
                                        .log_age = {},
                                        .excluded = {},
                                        .rows = &history}),
              form);
  }
}

}  // namespace
}  // namespace heed::nn
