// From the blocks' outputs to one logit a task: one linear layer, or experts shared by gates and a
// linear layer for each task (families.h). Letters: N candidates, Z inputs, T tasks.
#pragma once

#include <string>
#include <vector>

#include "model/families.h"
#include "nn/experts.h"
#include "nn/linear.h"

namespace heed::model {

struct HeadTape {
  struct Level {
    nn::ExpertTape experts;
    std::vector<nn::Matrix> y, d_y;  // [N, width] each: of the tasks, then the shared one
  };
  std::vector<Level> levels;
  nn::Matrix logit, d_logit, d_first;
};

class Head {
 public:
  Head() = default;
  Head(const HeadConfig& config, size_t inputs, size_t tasks, Random& random);
  static uint64_t Count(const HeadConfig& config, size_t inputs, size_t tasks);

  // z [N, Z] -> logits [N, T], set.
  void Forward(nn::ConstMat z, HeadTape* tape, nn::Mat logits) const;
  // d_z [N, Z] is set.
  void Backward(nn::ConstMat z, HeadTape* tape, nn::ConstMat d_logits, nn::Mat d_z);

  void SetBias(const std::vector<float>& bias);  // one a task
  std::vector<nn::Parameter*> Parameters();
  const std::vector<nn::ExpertLayer>& levels() const { return levels_; }
  // One layer [Z, T] without levels, else one [width, 1] for each task.
  const std::vector<nn::Linear>& outputs() const { return out_; }

 private:
  std::vector<nn::ConstMat> Inputs(nn::ConstMat z, const HeadTape& tape, size_t level) const;

  size_t tasks_ = 0;
  std::vector<nn::ExpertLayer> levels_;
  std::vector<nn::Linear> out_;  // one for all tasks, or one each
};

}  // namespace heed::model
