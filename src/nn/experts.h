// Experts shared by tasks. Letters: B rows, I inputs, O outputs of an expert, T tasks, S shared
// experts, P private experts of each task; task t chooses among M = S + P experts.
//   expert_m(x) = relu(x W_m + b_m)
//   g_t = softmax(x_t G_t)                     over the M experts that task t may use
//   y_t = Σ_m g_t,m expert_m
// P = 0 is MMoE (Ma et al. 2018). P > 0 is the customised gate control of PLE (Tang et al. 2020);
// there the next level needs a shared output, too: y_shared chooses among all S + T P experts.
// Inputs come per task (and one for the shared experts), because a second level has one for each; a
// first level passes the same matrix T + 1 times.
#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "nn/linear.h"

namespace heed::nn {

struct ExpertShape {
  size_t inputs = 0, outputs = 0;
  size_t tasks = 1;
  size_t shared = 4;           // S, at least 1
  size_t own = 0;              // P
  bool shared_output = false;  // y_shared, for a level that follows
};

struct ExpertTape {
  std::vector<Matrix> experts;  // [B, O] each: S shared, then P of each task
  std::vector<Matrix> gates;    // [B, M] each: one a task, then the shared one
  Matrix d_gate;
  std::vector<Matrix> d_experts;
};

class ExpertLayer {
 public:
  ExpertLayer() = default;
  // Gates start at zero: every expert weighs the same.
  ExpertLayer(const std::string& name, const ExpertShape& shape, Random& random);

  size_t sides() const { return shape_.tasks + 1; }  // inputs and outputs: tasks, then shared
  size_t outputs() const { return shape_.tasks + (shape_.shared_output ? 1 : 0); }

  // x: sides() views [B, I]; y: outputs() views [B, O], set.
  void Forward(const std::vector<ConstMat>& x, ExpertTape* tape, const std::vector<Mat>& y) const;
  // d_y: outputs() views; adds to d_x: sides() views, which may be the same matrix.
  void Backward(const std::vector<ConstMat>& x, ExpertTape* tape, const std::vector<ConstMat>& d_y,
                const std::vector<Mat>& d_x);

  std::vector<Parameter*> Parameters();
  const ExpertShape& shape() const { return shape_; }
  size_t SideOf(size_t expert) const {  // whose input it reads
    return expert < shape_.shared ? shape_.tasks : (expert - shape_.shared) / shape_.own;
  }
  // The experts that gate g chooses among.
  std::vector<size_t> ChoiceOf(size_t gate) const;

  std::vector<Linear> experts;   // S shared, then P of each task
  std::vector<Parameter> gates;  // [I, M] each: one a task, then the shared one

 private:
  ExpertShape shape_;
};

}  // namespace heed::nn
