#include "nn/experts.h"

#include <algorithm>
#include <cmath>

#include "kernels/gemm.h"
#include "kernels/table.h"

namespace heed::nn {

using kernels::Gemm;
using kernels::Trans;

ExpertLayer::ExpertLayer(const std::string& name, const ExpertShape& shape, Random& random)
    : shape_(shape) {
  assert(shape.shared > 0 && shape.tasks > 0);
  for (size_t e = 0; e < shape.shared + shape.tasks * shape.own; ++e) {
    experts.emplace_back(name + ".expert." + std::to_string(e), shape.inputs, shape.outputs,
                         random);
  }
  for (size_t g = 0; g < outputs(); ++g) {
    gates.emplace_back(name + ".gate." + std::to_string(g), shape.inputs, ChoiceOf(g).size(), true);
  }
}

std::vector<size_t> ExpertLayer::ChoiceOf(size_t gate) const {
  std::vector<size_t> choice;
  for (size_t e = 0; e < shape_.shared + shape_.tasks * shape_.own; ++e) {
    if (gate == shape_.tasks || SideOf(e) == shape_.tasks || SideOf(e) == gate) {
      choice.push_back(e);
    }
  }
  return choice;
}

std::vector<Parameter*> ExpertLayer::Parameters() {
  std::vector<Parameter*> all;
  for (Linear& expert : experts) {
    all.push_back(&expert.weight);
    all.push_back(&expert.bias);
  }
  for (Parameter& gate : gates) all.push_back(&gate);
  return all;
}

void ExpertLayer::Forward(const std::vector<ConstMat>& x, ExpertTape* tape,
                          const std::vector<Mat>& y) const {
  const kernels::Table& k = kernels::Active();
  const size_t B = x[0].rows, O = shape_.outputs;
  tape->experts.resize(experts.size());
  for (size_t e = 0; e < experts.size(); ++e) {
    tape->experts[e].Resize(B, O);
    experts[e].Forward(x[SideOf(e)], tape->experts[e].view());
    ReluForward(tape->experts[e].view());
  }
  tape->gates.resize(gates.size());
  for (size_t g = 0; g < gates.size(); ++g) {
    const std::vector<size_t> choice = ChoiceOf(g);
    Matrix& weights = tape->gates[g];
    weights.Resize(B, choice.size());
    MatMul(x[g], gates[g].value.view(), weights.view());
    for (size_t i = 0; i < B; ++i) {
      float *w = weights.Row(i), *out = y[g].Row(i);
      k.softmax_null(w, choice.size(), -INFINITY);
      std::fill(out, out + O, 0.0f);
      for (size_t m = 0; m < choice.size(); ++m) {
        k.axpy(w[m], tape->experts[choice[m]].Row(i), out, O);
      }
    }
  }
}

void ExpertLayer::Backward(const std::vector<ConstMat>& x, ExpertTape* tape,
                           const std::vector<ConstMat>& d_y, const std::vector<Mat>& d_x) {
  const kernels::Table& k = kernels::Active();
  const size_t B = x[0].rows, I = shape_.inputs, O = shape_.outputs;
  tape->d_experts.resize(experts.size());
  for (Matrix& d : tape->d_experts) {
    d.Resize(B, O);
    d.Fill(0.0f);
  }
  for (size_t g = 0; g < gates.size(); ++g) {
    const std::vector<size_t> choice = ChoiceOf(g);
    tape->d_gate.Resize(B, choice.size());
    for (size_t i = 0; i < B; ++i) {
      const float *w = tape->gates[g].Row(i), *d = d_y[g].Row(i);
      float* d_gate = tape->d_gate.Row(i);
      for (size_t m = 0; m < choice.size(); ++m) {
        d_gate[m] = k.dot(d, tape->experts[choice[m]].Row(i), O);
        k.axpy(w[m], d, tape->d_experts[choice[m]].Row(i), O);
      }
      k.softmax_backward(w, 0.0f, d_gate, 0.0f, choice.size());
    }
    const size_t M = choice.size();
    Gemm(Trans::kYes, Trans::kNo, I, M, B, x[g].data, x[g].stride, tape->d_gate.data(), M, 1.0f,
         gates[g].grad.data(), M);
    Gemm(Trans::kNo, Trans::kYes, B, I, M, tape->d_gate.data(), M, gates[g].value.data(), M, 1.0f,
         d_x[g].data, d_x[g].stride);
  }
  for (size_t e = 0; e < experts.size(); ++e) {
    ReluBackward(tape->experts[e].view(), tape->d_experts[e].view());
    Mat d_input = d_x[SideOf(e)];
    experts[e].Backward(x[SideOf(e)], tape->d_experts[e].view(), &d_input, Into::kAdd);
  }
}

}  // namespace heed::nn
