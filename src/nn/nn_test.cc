#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "base/checksum.h"
#include "nn/attention_for_test.h"
#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/loss.h"
#include "nn/optimizer.h"
#include "nn/tensor_file.h"

namespace heed::nn {
namespace {

TEST(Linear, GradientMatchesFiniteDifferences) {
  Random random(1);
  Linear layer("l", 5, 3, random);
  Matrix x(4, 5), y(4, 3), dy(4, 3), d_x(4, 5);
  FillNormal(&x, random);
  FillNormal(&dy, random);
  Mat d_input = d_x.view();
  layer.Backward(x.view(), dy.view(), &d_input);
  const auto probe = [&] {
    layer.Forward(x.view(), y.view());
    double sum = 0.0;
    for (size_t i = 0; i < y.size(); ++i) sum += static_cast<double>(y.data()[i] * dy.data()[i]);
    return sum;
  };
  const auto check = [&](Matrix* values, const Matrix& gradient) {
    for (size_t i = 0; i < values->size(); ++i) {
      const float saved = values->data()[i];
      values->data()[i] = saved + 0.01f;
      const double above = probe();
      values->data()[i] = saved - 0.01f;
      const double below = probe();
      values->data()[i] = saved;
      ASSERT_NEAR((above - below) / 0.02, static_cast<double>(gradient.data()[i]), 1e-3);
    }
  };
  check(&layer.weight.value, layer.weight.grad);
  check(&layer.bias.value, layer.bias.grad);
  check(&x, d_x);
}

TEST(Linear, SplitInputIsTheSameLayer) {
  Random random(2);
  Linear whole("l", 7, 4, random), split = whole;
  const std::vector<uint32_t> shared_of = {0, 0, 1, 2, 2, 2};
  Matrix shared(3, 3), own(6, 4), x(6, 7), dy(6, 4), y(6, 4), y2(6, 4), products(3, 4);
  FillNormal(&shared, random);
  FillNormal(&own, random);
  FillNormal(&dy, random);
  for (size_t n = 0; n < 6; ++n) {
    std::copy_n(shared.Row(shared_of[n]), 3, x.Row(n));
    std::copy_n(own.Row(n), 4, x.Row(n) + 3);
  }
  whole.Forward(x.view(), y.view());
  split.ForwardSplit(shared.view(), own.view(), shared_of, products.view(), y2.view());
  for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y.data()[i], y2.data()[i], 1e-5);
  Matrix d_x(6, 7), d_shared(3, 3), d_own(6, 4), d_products(3, 4);
  Mat d_input = d_x.view();
  whole.Backward(x.view(), dy.view(), &d_input);
  split.BackwardSplit(shared.view(), own.view(), shared_of, dy.view(), d_products.view(),
                      d_shared.view(), d_own.view());
  for (size_t i = 0; i < 28; ++i) {
    EXPECT_NEAR(whole.weight.grad.data()[i], split.weight.grad.data()[i], 1e-5);
  }
  for (size_t j = 0; j < 4; ++j) {
    EXPECT_NEAR(whole.bias.grad.data()[j], split.bias.grad.data()[j], 1e-5);
    for (size_t n = 0; n < 6; ++n) EXPECT_NEAR(d_own.Row(n)[j], d_x.Row(n)[3 + j], 1e-5);
  }
  for (size_t j = 0; j < 3; ++j) {
    EXPECT_NEAR(d_shared.Row(2)[j], d_x.Row(3)[j] + d_x.Row(4)[j] + d_x.Row(5)[j], 1e-5);
  }
}

TEST(Dropout, KeepsTheMeanAndTheStreamDecides) {
  Matrix x(100, 101), again(100, 101), mask(100, 101);
  x.Fill(1.0f);
  again.Fill(1.0f);
  Random one(5), same(5);
  DropoutForward(0.3f, one, x.view(), mask.view());
  double mean = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    mean += static_cast<double>(x.data()[i]) / static_cast<double>(x.size());
    ASSERT_TRUE(x.data()[i] == 0.0f || x.data()[i] == 1.0f / 0.7f);
  }
  EXPECT_NEAR(mean, 1.0, 0.03);
  DropoutForward(0.3f, same, again.view(), mask.view());
  EXPECT_TRUE(std::equal(x.data(), x.data() + x.size(), again.data()));
  Matrix dy(100, 101);
  dy.Fill(1.0f);
  DropoutBackward(mask.view(), dy.view());
  EXPECT_TRUE(std::equal(dy.data(), dy.data() + dy.size(), x.data()));
}

TEST(Relu, PassesGradientWhereOutputIsPositive) {
  Matrix x(1, 4), dy(1, 4);
  const float values[] = {-1.0f, 0.0f, 2.0f, 3.0f};
  std::copy_n(values, 4, x.data());
  dy.Fill(1.0f);
  ReluForward(x.view());
  ReluBackward(x.view(), dy.view());
  const float want[] = {0.0f, 0.0f, 1.0f, 1.0f};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(dy.data()[i], want[i]);
}

TEST(Bce, UnknownLabelsAndWeightsAndHugeLogits) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Matrix z(2, 2), d(2, 2);
  const float logits[] = {0.5f, 1e6f, -1e6f, 2.0f};
  std::copy_n(logits, 4, z.data());
  const std::vector<float> labels = {1.0f, 1.0f, 0.0f, nan};
  const double loss = BceWithLogits(z.view(), labels, std::vector<float>{3.0f, 1.0f},
                                    std::vector<float>{1.0f, 2.0f}, d.view());
  EXPECT_NEAR(loss, 0.75 * std::log1p(std::exp(-0.5)), 1e-6);
  EXPECT_NEAR(d.data()[0], 0.75 * (1.0 / (1.0 + std::exp(-0.5)) - 1.0), 1e-6);
  for (int i = 1; i < 4; ++i) EXPECT_EQ(d.data()[i], 0.0f);
  // By task: only what is known and weighs something counts, against the mean weight of a task.
  EXPECT_NEAR(BceWithLogits(z.view(), labels, std::vector<float>{3.0f, 1.0f, 0.0f, 4.0f},
                            std::vector<float>{1.0f, 2.0f}, d.view()),
              0.75 * std::log1p(std::exp(-0.5)), 1e-6);
  EXPECT_NEAR(d.data()[0], 0.75 * (1.0 / (1.0 + std::exp(-0.5)) - 1.0), 1e-6);
  // A wrong answer at 1e6 costs 1e6 and pulls with full weight.
  const std::vector<float> wrong = {nan, 0.0f, nan, nan};
  EXPECT_DOUBLE_EQ(BceWithLogits(z.view(), wrong, {}, std::vector<float>{1.0f, 1.0f}, d.view()),
                   0.5e6);
  EXPECT_FLOAT_EQ(d.data()[1], 0.5f);
  // Nothing counts: no division by zero.
  EXPECT_EQ(BceWithLogits(z.view(), labels, std::vector<float>{0.0f, 0.0f},
                          std::vector<float>{1.0f, 1.0f}, d.view()),
            0.0);
}

TEST(Optimizer, BiasesDoNotDecay) {
  Parameter weight("w", 1, 3, true), bias("b", 1, 3, false);
  weight.value.Fill(1.0f);
  bias.value.Fill(1.0f);
  Apply({.rule = Rule::kAdagrad, .rate = 0.1f, .l2 = 0.5f}, weight);
  Apply({.rule = Rule::kAdagrad, .rate = 0.1f, .l2 = 0.5f}, bias);
  EXPECT_LT(weight.value.data()[0], 1.0f);
  EXPECT_EQ(bias.value.data()[0], 1.0f);
}

TEST(KeyMap, AgreesWithAnOrdinaryMap) {
  Random random(3);
  KeyMap map;
  std::map<uint64_t, uint32_t> want;
  for (int i = 0; i < 20000; ++i) {
    // Small keys and keys with the same low bits: neither may collide.
    const uint64_t key =
        random.Chance(0.5) ? 1 + random.Below(3000) : (1 + random.Below(3000)) << 40;
    map.FindOrInsert(key).row += 1;
    want[key] += 1;
  }
  EXPECT_EQ(map.size(), want.size());
  for (const auto& [key, row] : want) {
    ASSERT_NE(map.Find(key), nullptr);
    ASSERT_EQ(map.Find(key)->row, row);
  }
  EXPECT_EQ(map.Find(0x123456789ull), nullptr);
  EXPECT_EQ(KeyMap().Find(1), nullptr);
}

std::vector<uint32_t> RowsOf(const EmbeddingTable& table, const std::vector<uint64_t>& keys) {
  std::vector<uint32_t> rows(keys.size());
  table.Rows(keys.data(), 1, keys.size(), rows.data(), 1);
  return rows;
}

std::vector<uint32_t> Count(EmbeddingTable* table, const std::vector<uint64_t>& keys) {
  std::vector<uint32_t> rows(keys.size());
  table->CountRows(keys.data(), 1, keys.size(), rows.data(), 1);
  return rows;
}

TEST(EmbeddingTable, AdmitsByCount) {
  EmbeddingTable table({.width = 4, .admit_after = 3});
  EXPECT_EQ(Count(&table, {7, 0, 7, 7, 9}), (std::vector<uint32_t>{1, 0, 1, 2, 1}));
  EXPECT_EQ(RowsOf(table, {7, 9, 0, 12345}), (std::vector<uint32_t>{2, 1, 0, 1}));
  EXPECT_EQ(Count(&table, {9, 9}), (std::vector<uint32_t>{1, 3}));
  EXPECT_EQ(table.rows(), 4u);
}

TEST(EmbeddingTable, ARowDependsOnItsKeyNotOnItsTurn) {
  EmbeddingTable a({.width = 8, .zero_tail = 2, .seed = 5}), b = a, c({.width = 8, .seed = 6});
  Count(&a, {1, 2, 3});
  Count(&b, {3, 2, 1});
  Count(&c, {1, 2, 3});
  for (const uint64_t key : {1, 2, 3}) {
    const float *x = a.Row(RowsOf(a, {key})[0]), *y = b.Row(RowsOf(b, {key})[0]);
    EXPECT_TRUE(std::equal(x, x + 8, y));
    EXPECT_FALSE(std::equal(x, x + 6, c.Row(RowsOf(c, {key})[0])));
    EXPECT_EQ(x[6], 0.0f);
    EXPECT_EQ(x[7], 0.0f);
  }
}

TEST(EmbeddingTable, NewRowsHaveTheDeviationAskedFor) {
  EmbeddingTable table({.width = 16, .init_deviation = 0.01f});
  std::vector<uint64_t> keys(2000);
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = i + 1;
  Count(&table, keys);
  double mean = 0.0, squares = 0.0;
  for (const float v : table.values()) {
    mean += static_cast<double>(v);
    squares += static_cast<double>(v) * static_cast<double>(v);
  }
  const auto n = static_cast<double>(table.values().size());
  EXPECT_NEAR(mean / n, 0.0, 2e-4);
  EXPECT_NEAR(std::sqrt(squares / n), 0.01, 1e-4);
}

TEST(RowGradient, SumsEachRowOnceInOrderOfFirstTouch) {
  RowGradient gradient;
  gradient.Start(10, 4);
  Matrix g(3, 2);
  for (size_t i = 0; i < 6; ++i) g.data()[i] = static_cast<float>(i + 1);
  const std::vector<uint32_t> rows = {5, 99, 2, 99, 5, 99};  // every second is a neighbour's
  gradient.Add(rows.data(), 2, 1, g.view());
  EXPECT_EQ(gradient.rows(), (std::vector<uint32_t>{5, 2}));
  const std::vector<float> want = {0, 6, 8, 0, 0, 3, 4, 0};
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(gradient.Of(i / 4)[i % 4], want[i]);
  EXPECT_FLOAT_EQ(static_cast<float>(gradient.Squares()), 36 + 64 + 9 + 16);
  gradient.Start(12, 4);
  EXPECT_TRUE(gradient.rows().empty());
  gradient.Add(rows.data(), 2, 0, g.view());
  EXPECT_EQ(gradient.Of(0)[0], 6.0f) << "the sums of the last batch are gone";
}

TEST(EmbeddingTable, OnlyTouchedRowsMove) {
  for (const Rule rule : {Rule::kAdam, Rule::kAdagrad}) {
    EmbeddingTable table({.width = 4});
    Count(&table, {1, 2, 3});
    const Floats before = table.values();
    RowGradient gradient;
    gradient.Start(table.rows(), 4);
    Matrix g(1, 4);
    g.Fill(1.0f);
    const uint32_t row = 3;
    gradient.Add(&row, 1, 0, g.view());
    table.Apply({.rule = rule, .rate = 0.1f}, gradient);
    for (size_t i = 0; i < before.size(); ++i) {
      // Both rules' first step is the rate, whatever the gradient's size.
      EXPECT_NEAR(table.values()[i], before[i] - (i / 4 == row ? 0.1f : 0.0f), 1e-6);
    }
  }
}

TEST(EmbeddingTable, WithoutAnOptimisersStateItStartsAtZero) {
  const TableShape shape{.width = 2};
  EmbeddingTable::Stored stored{.keys = {0, 0, 8, 4}, .values = {1, 2, 3, 4, 5, 6, 7, 8}};
  EmbeddingTable bare(shape), whole(shape);
  ASSERT_TRUE(bare.Restore(stored).ok());
  stored.moment1.assign(8, 0.0f);
  stored.moment2.assign(8, 0.0f);
  stored.squares.assign(4, 0.0f);
  ASSERT_TRUE(whole.Restore(stored).ok());
  const std::vector<uint64_t> keys = {4, 9, 8};
  Matrix found(3, 2);
  bare.LookUp(keys.data(), 1, found.view());
  EXPECT_EQ(std::vector<float>(found.data(), found.data() + 6),
            (std::vector<float>{7, 8, 3, 4, 5, 6}));
  for (const Rule rule : {Rule::kAdam, Rule::kAdagrad}) {
    for (EmbeddingTable* table : {&bare, &whole}) {
      RowGradient gradient;
      gradient.Start(table->rows(), 2);
      Matrix g(1, 2);
      g.Fill(0.5f);
      const uint32_t row = 3;
      gradient.Add(&row, 1, 0, g.view());
      table->Apply({.rule = rule, .rate = 0.1f}, gradient);
    }
  }
  EXPECT_EQ(bare.values(), whole.values());
  EXPECT_EQ(bare.moment2(), whole.moment2());
  EXPECT_EQ(bare.squares(), whole.squares());
}

TEST(EmbeddingTable, RestoreRefusesNonsense) {
  const TableShape shape{.width = 2, .admit_after = 3};
  EmbeddingTable::Stored good{.keys = {0, 0, 8, 4},
                              .waiting = {{3, 1}, {5, 2}},
                              .values = Floats(8),
                              .moment1 = Floats(8),
                              .moment2 = Floats(8),
                              .squares = Floats(4)};
  EXPECT_TRUE(EmbeddingTable(shape).Restore(good).ok());
  const auto refuses = [&](auto change) {
    EmbeddingTable::Stored bad = good;
    change(&bad);
    EXPECT_EQ(EmbeddingTable(shape).Restore(std::move(bad)).code(), Code::kCorruption);
  };
  refuses([](auto* s) { s->keys[3] = 8; });
  refuses([](auto* s) { s->keys[3] = 0; });
  refuses([](auto* s) { s->keys[0] = 1; });
  refuses([](auto* s) { s->keys.pop_back(); });
  refuses([](auto* s) { s->values.pop_back(); });
  refuses([](auto* s) { s->moment1.clear(); });
  refuses([](auto* s) { s->squares.pop_back(); });
  refuses([](auto* s) { s->counted_at = {1, 2, 3}; });
  refuses([](auto* s) { s->waiting[0].key = 8; });
  refuses([](auto* s) { s->waiting[0].key = 6; });
  refuses([](auto* s) { s->waiting[0].key = 0; });
  refuses([](auto* s) { s->waiting[1].count = 3; });
}

TEST(TensorFile, RoundTripAndOrder) {
  const auto write = [](bool turned) {
    TensorWriter out;
    const std::vector<float> f = {1, 2, 3, 4, 5, 6};
    const std::vector<uint32_t> u = {7};
    if (turned) out.Uint32s("u", u);
    out.Floats("f", f, {2, 3});
    if (!turned) out.Uint32s("u", u);
    out.Uint64s("empty", {});
    out.Bytes("b", "hello");
    return out.Finish();
  };
  const std::string bytes = write(false);
  EXPECT_EQ(bytes, write(true));
  auto in = TensorReader::Open(bytes);
  ASSERT_TRUE(in.ok());
  std::vector<float> f(6);
  ASSERT_TRUE(in.value().Floats("f", {2, 3}, f).ok());
  EXPECT_EQ(f[5], 6.0f);
  EXPECT_FALSE(in.value().Floats("f", {3, 2}, f).ok());
  EXPECT_FALSE(in.value().Floats("u", {1}, {f.data(), 1}).ok());
  EXPECT_EQ(in.value().Uint32s("u").value(), std::vector<uint32_t>{7});
  EXPECT_TRUE(in.value().Uint64s("empty").value().empty());
  EXPECT_EQ(in.value().Bytes("b").value(), "hello");
  EXPECT_EQ(in.value().Bytes("nothing").status().code(), Code::kCorruption);
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string bad = bytes;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    ASSERT_FALSE(TensorReader::Open(bad).ok()) << i;
    ASSERT_FALSE(TensorReader::Open(bytes.substr(0, i)).ok()) << i;
  }
}

// The one in docs/formats/model.md, byte for byte.
TEST(TensorFile, WorkedExample) {
  TensorWriter out;
  out.Bytes("b", "hi");
  const std::string want(
      "HEEDTNS1\x01\x01"
      "b\x04\x01\x02"
      "hi\x14\xb7\xbd\xd8",
      20);
  EXPECT_EQ(out.Finish(), want);
}

// One content, one spelling: a vector told as a matrix of one row would be written back otherwise.
TEST(TensorFile, VectorsHaveOneDimension) {
  std::string bytes(
      "HEEDTNS1\x01\x01"
      "b\x04\x02\x01\x02"
      "hi",
      17);
  const uint32_t sum = Crc32(bytes);
  bytes.append(reinterpret_cast<const char*>(&sum), sizeof(sum));
  const auto in = TensorReader::Open(bytes);
  ASSERT_TRUE(in.ok());
  EXPECT_EQ(in.value().Bytes("b").status().code(), Code::kCorruption);
}

}  // namespace
}  // namespace heed::nn
