// Runs every layer forward and backward on random numbers and writes inputs, outputs and gradients
// to a tensor file, for torch_judge.py to compute again with PyTorch.
//   nn_torch_cases FILE
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <string>

#include "nn/attention_for_test.h"
#include "nn/linear.h"
#include "nn/loss.h"
#include "nn/optimizer.h"
#include "nn/tensor_file.h"

namespace heed::nn {
namespace {

class Dump {
 public:
  void Case(const std::string& name) { prefix_ = name + "/"; }
  void Put(const std::string& name, const Matrix& m) {
    out_.Floats(prefix_ + name, {m.data(), m.size()}, {m.rows(), m.cols()});
  }
  void Put(const std::string& name, const std::vector<float>& v) {
    out_.Floats(prefix_ + name, v, {v.size()});
  }
  void Put(const std::string& name, const std::vector<uint32_t>& v) {
    out_.Uint32s(prefix_ + name, v);
  }
  void Put(const Parameter& p) {
    Put(p.name, p.value);
    Put("d " + p.name, p.grad);
  }
  std::string Finish() { return out_.Finish(); }

 private:
  TensorWriter out_;
  std::string prefix_;
};

void LinearCase(Random& random, Dump* dump) {
  Linear layer("linear", 37, 21, random);
  FillNormal(&layer.bias.value, random);
  Matrix x(19, 37), y(19, 21), dy(19, 21), d_x(19, 37);
  FillNormal(&x, random);
  FillNormal(&dy, random);
  layer.Forward(x.view(), y.view());
  Mat d_input = d_x.view();
  layer.Backward(x.view(), dy.view(), &d_input);
  dump->Case("linear");
  dump->Put("x", x);
  dump->Put("y", y);
  dump->Put("dy", dy);
  dump->Put("d x", d_x);
  dump->Put(layer.weight);
  dump->Put(layer.bias);
  // The rectifier, on the same numbers.
  ReluForward(y.view());
  ReluBackward(y.view(), dy.view());
  dump->Put("relu y", y);
  dump->Put("relu d", dy);
}

void AttentionCaseOf(const std::string& name, AttentionForm form, bool null_slot, bool masks,
                     size_t per_request, Random& random, Dump* dump) {
  AttentionCase c(
      {.query_width = 24, .token_width = 20, .heads = 4, .width = 32, .null_slot = null_slot},
      {9, 0, 30, 1, 17}, per_request, random);
  for (size_t t = 0; masks && t < c.tokens.rows(); ++t) c.excluded.push_back(random.Chance(0.3));
  AttentionAnswer answer(c, form);
  Matrix d_out(answer.out.rows(), answer.out.cols()), d_queries(c.queries.rows(), 24);
  Matrix d_evidence(answer.out.rows(), 4), d_tokens(c.tokens.rows(), 20);
  FillNormal(&d_out, random);
  FillNormal(&d_evidence, random);
  d_queries.Fill(0.0f);
  d_tokens.Fill(0.0f);
  c.layer.Backward(c.Input(), &answer.tape, d_out.view(), d_evidence.view(), d_queries.view(),
                   d_tokens.view());
  dump->Case(name);
  dump->Put("queries", c.queries);
  dump->Put("tokens", c.tokens);
  dump->Put("offsets", c.offsets);
  dump->Put("request_of", c.request_of);
  dump->Put("log_age", c.log_age);
  dump->Put("excluded", std::vector<uint32_t>(c.excluded.begin(), c.excluded.end()));
  dump->Put("null_slot", std::vector<uint32_t>{null_slot ? 1u : 0u});
  dump->Put("out", answer.out);
  dump->Put("evidence", answer.evidence);
  dump->Put("weights", std::vector<float>(answer.tape.weights.begin(), answer.tape.weights.end()));
  dump->Put("d_out", d_out);
  dump->Put("d_evidence", d_evidence);
  dump->Put("d queries", d_queries);
  dump->Put("d tokens", d_tokens);
  for (const Parameter* p : c.layer.Parameters()) dump->Put(*p);
}

void PoolCase(Random& random, Dump* dump) {
  const std::vector<uint32_t> offsets = {0, 4, 4, 11};
  Matrix tokens(11, 6), out(3, 6), d_out(3, 6), d_tokens(11, 6);
  FillNormal(&tokens, random);
  FillNormal(&d_out, random);
  d_tokens.Fill(0.0f);
  MeanPoolForward(tokens.view(), offsets, out.view());
  MeanPoolBackward(offsets, d_out.view(), d_tokens.view());
  dump->Case("pool");
  dump->Put("tokens", tokens);
  dump->Put("offsets", offsets);
  dump->Put("out", out);
  dump->Put("d_out", d_out);
  dump->Put("d tokens", d_tokens);
}

void LossCase(Random& random, Dump* dump) {
  Matrix logits(40, 3), d_logits(40, 3);
  FillNormal(&logits, random, 4.0);
  std::vector<float> labels, weights;
  for (size_t i = 0; i < logits.size(); ++i) {
    labels.push_back(random.Chance(0.2) ? std::numeric_limits<float>::quiet_NaN()
                                        : static_cast<float>(random.Chance(0.5)));
  }
  for (size_t n = 0; n < logits.rows(); ++n) {
    weights.push_back(static_cast<float>(random.Uniform()));
  }
  const std::vector<float> task_weights = {1.0f, 0.5f, 2.0f};
  const double loss = BceWithLogits(logits.view(), labels, weights, task_weights, d_logits.view());
  dump->Case("loss");
  dump->Put("logits", logits);
  dump->Put("labels", labels);
  dump->Put("weights", weights);
  dump->Put("task_weights", task_weights);
  dump->Put("loss", std::vector<float>{static_cast<float>(loss)});
  dump->Put("d logits", d_logits);
}

void OptimizerCase(const std::string& name, Rule rule, Random& random, Dump* dump) {
  Parameter p("w", 7, 9, true);
  FillNormal(&p.value, random);
  dump->Case(name);
  dump->Put("before", p.value);
  for (uint64_t step = 1; step <= 4; ++step) {
    FillNormal(&p.grad, random, 1e-2);
    dump->Put("grad" + std::to_string(step), p.grad);
    Apply({.rule = rule, .rate = 0.01f, .l2 = 0.1f, .step = step}, p);
  }
  dump->Put("after", p.value);
}

std::string AllCases() {
  Random random(20230711);
  Dump dump;
  LinearCase(random, &dump);
  PoolCase(random, &dump);
  LossCase(random, &dump);
  OptimizerCase("adam", Rule::kAdam, random, &dump);
  OptimizerCase("adagrad", Rule::kAdagrad, random, &dump);
  for (const bool absorbed : {false, true}) {
    const AttentionForm form = absorbed ? AttentionForm::kAbsorbed : AttentionForm::kShared;
    const std::string name = absorbed ? "attention absorbed" : "attention shared";
    AttentionCaseOf(name, form, true, false, 1, random, &dump);
    AttentionCaseOf(name + " many", form, true, false, 6, random, &dump);
    AttentionCaseOf(name + " masks", form, true, true, 2, random, &dump);
    AttentionCaseOf(name + " no null", form, false, false, 2, random, &dump);
  }
  return dump.Finish();
}

}  // namespace
}  // namespace heed::nn

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string bytes = heed::nn::AllCases();
  std::ofstream out(argv[1], std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  return out ? 0 : 1;
}
