// Activations, batch norm, the DIN unit, and dot attention under a temperature.
#include <algorithm>

#include "nn/cases.h"
#include "nn/temperature.h"
#include "nn/unit_for_test.h"

namespace heed::nn {
namespace {

void PutBuffers(const std::vector<Buffer>& buffers, const char* prefix, CaseWriter* cases) {
  for (const Buffer& buffer : buffers) cases->Put(prefix + buffer.name, *buffer.value);
}

void NormCase(Phase phase, size_t rows, Random& random, CaseWriter* cases) {
  BatchNorm layer("norm", 1 + random.Below(9));
  const size_t C = layer.scale.value.cols();
  Matrix x(rows, C), y(rows, C), d_y(rows, C), d_x(rows, C);
  for (Matrix* m : {&layer.scale.value, &layer.shift.value, &layer.running.mean, &x, &d_y}) {
    FillNormal(m, random);
  }
  cases->Case(std::string("batch_norm.") + (phase == Phase::kTrain ? "train" : "serve") + " " +
              std::to_string(rows));
  std::vector<Buffer> buffers;
  layer.AddBuffers(&buffers);
  PutBuffers(buffers, "", cases);
  NormTape tape;
  layer.Forward(x.view(), phase, &tape, y.view());
  layer.Backward(tape, d_y.view(), d_x.view());
  layer.Track(tape);
  cases->Put("train", std::vector<uint32_t>{phase == Phase::kTrain ? 1u : 0u});
  cases->Put("x", x);
  cases->Put("y", y);
  cases->Put("d_y", d_y);
  cases->Put("d x", d_x);
  for (const Parameter* p : layer.Parameters()) cases->Put(*p);
  PutBuffers(buffers, "after ", cases);
}

void ActivationCase(ActivationKind kind, Phase phase, Random& random, CaseWriter* cases) {
  const size_t B = 5 + random.Below(12), C = 1 + random.Below(7);
  Activation layer("bend", kind, C);
  Matrix x(B, C), y(B, C), d(B, C);
  FillNormal(&layer.slope.value, random);
  FillNormal(&x, random, 2.0);
  FillNormal(&d, random);
  cases->Case((kind == ActivationKind::kDice ? "dice." : "prelu.") +
              std::string(phase == Phase::kTrain ? "train" : "serve"));
  std::vector<Buffer> buffers;
  layer.AddBuffers(&buffers);
  for (const Buffer& buffer : buffers) {
    for (size_t i = 0; i < C; ++i) {
      buffer.value->data()[i] += static_cast<float>(random.Uniform());
    }
  }
  PutBuffers(buffers, "", cases);
  cases->Put("train", std::vector<uint32_t>{phase == Phase::kTrain ? 1u : 0u});
  cases->Put("x", x);
  cases->Put("d_y", d);
  std::copy_n(x.data(), x.size(), y.data());
  ActivationTape tape;
  layer.Forward(phase, &tape, y.view());
  layer.Backward(&tape, d.view());
  cases->Put("y", y);
  cases->Put("d x", d);
  cases->Put(layer.slope);
}

void UnitCaseOf(const std::string& name, const ActivationUnitShape& shape, bool masks,
                size_t per_request, Random& random, CaseWriter* cases) {
  UnitCase c(shape, {5, 0, 9, 1, 3}, per_request, random);
  for (size_t t = 0; masks && t < c.tokens.rows(); ++t) c.excluded.push_back(random.Chance(0.3));
  UnitAnswer answer(c);
  Matrix d_out(answer.out.rows(), shape.token_width), d_evidence(answer.out.rows(), 1);
  Matrix d_queries(c.queries.rows(), shape.query_width), d_tokens(c.tokens.rows(), c.tokens.cols());
  FillNormal(&d_out, random);
  FillNormal(&d_evidence, random);
  d_queries.Fill(0.0f);
  d_tokens.Fill(0.0f);
  c.layer.Backward(c.Input(), &answer.tape, d_out.view(), d_evidence.view(), d_queries.view(),
                   d_tokens.view());
  cases->Case("unit." + name);
  cases->Put("queries", c.queries);
  cases->Put("tokens", c.tokens);
  cases->Put("offsets", c.offsets);
  cases->Put("request_of", c.request_of);
  cases->Put("log_age", c.log_age);
  cases->Put("excluded", std::vector<uint32_t>(c.excluded.begin(), c.excluded.end()));
  cases->Put("kind", std::vector<uint32_t>{static_cast<uint32_t>(shape.activation),
                                           shape.softmax ? 1u : 0u, shape.null_slot ? 1u : 0u,
                                           static_cast<uint32_t>(shape.hidden.size())});
  cases->Put("out", answer.out);
  cases->Put("evidence", answer.evidence);
  cases->Put("weights", answer.tape.weights);
  cases->Put("d_out", d_out);
  cases->Put("d_evidence", d_evidence);
  cases->Put("d queries", d_queries);
  cases->Put("d tokens", d_tokens);
  // What only shifts or stretches all scores has small gradients, left over from large terms; they
  // are compared on the scale of the whole score layer's.
  std::vector<float> d_score;
  const Linear& score = c.layer.layers.back();
  for (const Parameter* p : c.layer.Parameters()) {
    if (p != &score.weight && p != &score.bias && p != &c.layer.null_score && p != &c.layer.decay) {
      cases->Put(*p);
      continue;
    }
    cases->Put(p->name, p->value);
    d_score.insert(d_score.end(), p->grad.data(), p->grad.data() + p->grad.size());
  }
  cases->Put("d score", d_score);
}

void TemperatureCase(AttentionForm form, Random& random, CaseWriter* cases) {
  AttentionCase c({.query_width = 5, .token_width = 6, .heads = 2, .width = 8}, {4, 0, 7, 1}, 2,
                  random);
  for (size_t t = 0; t < c.tokens.rows(); ++t) c.excluded.push_back(random.Chance(0.2));
  Temperature layer("temperature", 3, 2);
  Matrix context(4, 3), inverse(4, 2), out(8, 8), evidence(8, 2), d_out(8, 8), d_evidence(8, 2);
  Matrix d_context(4, 3), d_queries(8, 5), d_tokens(c.tokens.rows(), 6);
  for (Matrix* m : {&context, &d_out, &d_evidence}) FillNormal(m, random);
  FillNormal(&layer.linear.weight.value, random, 0.2);
  for (Matrix* m : {&d_context, &d_queries, &d_tokens}) m->Fill(0.0f);
  layer.Forward(context.view(), inverse.view());
  AttentionInput in = c.Input();
  in.inverse_temperature = inverse.view();
  AttentionTape tape;
  tape.form = form;
  c.layer.Forward(in, &tape, out.view(), evidence.view());
  c.layer.Backward(in, &tape, d_out.view(), d_evidence.view(), d_queries.view(), d_tokens.view());
  layer.Backward(context.view(), inverse.view(), tape.d_inverse_temperature.view(),
                 d_context.view());
  cases->Case(form == AttentionForm::kShared ? "temperature.shared" : "temperature.absorbed");
  cases->Put("context", context);
  cases->Put("queries", c.queries);
  cases->Put("tokens", c.tokens);
  cases->Put("offsets", c.offsets);
  cases->Put("request_of", c.request_of);
  cases->Put("log_age", c.log_age);
  cases->Put("excluded", std::vector<uint32_t>(c.excluded.begin(), c.excluded.end()));
  cases->Put("inverse", inverse);
  cases->Put("out", out);
  cases->Put("evidence", evidence);
  cases->Put("d_out", d_out);
  cases->Put("d_evidence", d_evidence);
  cases->Put("d context", d_context);
  cases->Put("d queries", d_queries);
  cases->Put("d tokens", d_tokens);
  for (const Parameter* p : c.layer.Parameters()) cases->Put(*p);
  for (const Parameter* p : layer.Parameters()) cases->Put(*p);
}

}  // namespace

void UnitCases(Random& random, CaseWriter* cases) {
  NormCase(Phase::kTrain, 5 + random.Below(20), random, cases);
  NormCase(Phase::kTrain, 1, random, cases);
  NormCase(Phase::kServe, 3, random, cases);
  for (const Phase phase : {Phase::kTrain, Phase::kServe}) {
    ActivationCase(ActivationKind::kPRelu, phase, random, cases);
    ActivationCase(ActivationKind::kDice, phase, random, cases);
  }
  const size_t Dq = 2 + random.Below(4), Dt = 6 + random.Below(4);
  using enum ActivationKind;
  UnitCaseOf("softmax dice", {Dq, Dt, {7, 4}, kDice, true, true}, false, 3, random, cases);
  UnitCaseOf("softmax masks", {Dt, Dt, {6}, kPRelu, true, true}, true, 3, random, cases);
  UnitCaseOf("softmax no null", {Dq, Dt, {5}, kRelu, true, false}, true, 2, random, cases);
  UnitCaseOf("sum", {Dt, Dt, {6, 3}, kPRelu, false, false}, false, 2, random, cases);
  UnitCaseOf("sum masks", {Dq, Dt, {6}, kDice, false, false}, true, 2, random, cases);
  TemperatureCase(AttentionForm::kShared, random, cases);
  TemperatureCase(AttentionForm::kAbsorbed, random, cases);
}

}  // namespace heed::nn
