#include "nn/cases.h"
#include "nn/encoder_for_test.h"

namespace heed::nn {
namespace {

void NormCase(Random& random, CaseWriter* cases) {
  // Of two numbers a norm leaves the sign only, and a gradient that is nothing but rounding.
  const size_t rows = 1 + random.Below(6), width = 4 + random.Below(10);
  Matrix x(rows, width), y(rows, width), d_y(rows, width), d_x(rows, width), unit(rows, width),
      d_unit(rows, width);
  FillNormal(&x, random);
  FillNormal(&d_y, random);
  LayerNorm layer("norm", width);
  FillNormal(&layer.gain.value, random);
  FillNormal(&layer.bias.value, random);
  layer.gain.grad.Fill(0.0f);
  layer.bias.grad.Fill(0.0f);
  LayerNormTape tape;
  layer.Forward(x.view(), &tape, y.view());
  layer.Backward(tape, d_y.view(), d_x.view());
  std::vector<float> lengths;
  NormalizeRows(x.view(), unit.view(), &lengths);
  NormalizeRowsBackward(unit.view(), lengths, d_y.view(), d_unit.view());
  cases->Case("norm");
  cases->Put("x", x);
  cases->Put("d_y", d_y);
  cases->Put("y", y);
  cases->Put("d x", d_x);
  cases->Put("unit", unit);
  cases->Put("d unit", d_unit);
  cases->Put(layer.gain);
  cases->Put(layer.bias);
}

void EncoderCaseOf(bool pre_norm, Random& random, CaseWriter* cases) {
  const size_t width = 2 * (2 + random.Below(3));
  EncoderCase c({.width = width, .layers = 2, .hidden = 3 + random.Below(5), .pre_norm = pre_norm},
                {static_cast<uint32_t>(2 + random.Below(5)), 0, 1, 4}, random);
  const size_t rows = c.rows.rows();
  Matrix y(rows, width), d_y(rows, width), d_rows(rows, width);
  FillNormal(&d_y, random);
  EncoderTape tape;
  c.layer.Forward(c.Input(), nullptr, &tape, y.view());
  cases->Case(pre_norm ? "encoder.pre" : "encoder.post");
  cases->Put("d_y", d_y);
  c.layer.Backward(c.Input(), &tape, d_y.view(), d_rows.view());
  cases->Put("pre_norm", std::vector<uint32_t>{pre_norm ? 1u : 0u});
  cases->Put("rows", c.rows);
  cases->Put("offsets", c.offsets);
  cases->Put("y", y);
  cases->Put("d rows", d_rows);
  for (const Parameter* p : c.layer.Parameters()) cases->Put(*p);
}

void SoftmaxCaseOf(const std::string& name, bool with_offsets, Random& random, CaseWriter* cases) {
  SoftmaxCase c(1 + random.Below(9), 1 + random.Below(20), 2 + random.Below(6), with_offsets,
                random);
  const auto scale = static_cast<float>(random.Uniform(0.5, 2.0));
  const double loss = c.Loss(scale);
  cases->Case("softmax." + name);
  cases->Put("queries", c.queries);
  cases->Put("positives", c.positives);
  cases->Put("candidates", c.candidates);
  cases->Put("right", c.right);
  cases->Put("offsets", c.offsets);
  cases->Put("scale", static_cast<double>(scale));
  cases->Put("loss", loss);
  cases->Put("d queries", c.d_queries);
  cases->Put("d positives", c.d_positives);
  cases->Put("d candidates", c.d_candidates);
}

void BinaryCase(Random& random, CaseWriter* cases) {
  const size_t rows = 1 + random.Below(6), each = 1 + random.Below(4), width = 2 + random.Below(6);
  Matrix queries(rows, width), positives(rows, width), negatives(rows * each, width);
  Matrix d_queries(rows, width), d_positives(rows, width), d_negatives(rows * each, width);
  for (Matrix* m : {&queries, &positives, &negatives}) FillNormal(m, random);
  const double loss = BinaryLoss(queries.view(), positives.view(), negatives.view(), 0.7f,
                                 d_queries.view(), d_positives.view(), d_negatives.view());
  cases->Case("binary");
  cases->Put("queries", queries);
  cases->Put("positives", positives);
  cases->Put("negatives", negatives);
  cases->Put("scale", static_cast<double>(0.7f));
  cases->Put("loss", loss);
  cases->Put("d queries", d_queries);
  cases->Put("d positives", d_positives);
  cases->Put("d negatives", d_negatives);
}

}  // namespace

void EncoderCases(Random& random, CaseWriter* cases) {
  NormCase(random, cases);
  EncoderCaseOf(false, random, cases);
  EncoderCaseOf(true, random, cases);
  SoftmaxCaseOf("plain", false, random, cases);
  SoftmaxCaseOf("offsets", true, random, cases);
  BinaryCase(random, cases);
}

}  // namespace heed::nn
