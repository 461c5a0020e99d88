#include <limits>

#include "nn/attention_for_test.h"
#include "nn/cases.h"
#include "nn/linear.h"
#include "nn/loss.h"
#include "nn/optimizer.h"

namespace heed::nn {
namespace {

void LinearCase(Random& random, CaseWriter* cases) {
  Linear layer("linear", 37, 21, random);
  FillNormal(&layer.bias.value, random);
  Matrix x(19, 37), y(19, 21), dy(19, 21), d_x(19, 37);
  FillNormal(&x, random);
  FillNormal(&dy, random);
  layer.Forward(x.view(), y.view());
  Mat d_input = d_x.view();
  layer.Backward(x.view(), dy.view(), &d_input);
  cases->Case("linear");
  cases->Put("x", x);
  cases->Put("y", y);
  cases->Put("dy", dy);
  cases->Put("d x", d_x);
  cases->Put(layer.weight);
  cases->Put(layer.bias);
  // The rectifier, on the same numbers.
  ReluForward(y.view());
  ReluBackward(y.view(), dy.view());
  cases->Put("relu y", y);
  cases->Put("relu d", dy);
}

void LossCase(Random& random, CaseWriter* cases) {
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
  cases->Case("loss");
  cases->Put("logits", logits);
  cases->Put("labels", labels);
  cases->Put("weights", weights);
  cases->Put("task_weights", task_weights);
  cases->Put("loss", std::vector<float>{static_cast<float>(loss)});
  cases->Put("d logits", d_logits);
}

void OptimizerCase(const std::string& name, Rule rule, Random& random, CaseWriter* cases) {
  Parameter p("w", 7, 9, true);
  FillNormal(&p.value, random);
  cases->Case(name);
  cases->Put("before", p.value);
  for (uint64_t step = 1; step <= 4; ++step) {
    FillNormal(&p.grad, random, 1e-2);
    cases->Put("grad" + std::to_string(step), p.grad);
    Apply({.rule = rule, .rate = 0.01f, .l2 = 0.1f, .step = step}, p);
  }
  cases->Put("after", p.value);
}

}  // namespace

void LinearCases(Random& random, CaseWriter* cases) {
  LinearCase(random, cases);
  LossCase(random, cases);
  OptimizerCase("adam", Rule::kAdam, random, cases);
  OptimizerCase("adagrad", Rule::kAdagrad, random, cases);
}

}  // namespace heed::nn
