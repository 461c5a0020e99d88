// What bends the line between two linear layers, column by column. Letters: B rows, C columns.
//   rectifier   y = max(x, 0)
//   PReLU       y = x > 0 ? x : slope_c x                                     (He et al. 2015)
//   Dice        y = p x + (1 - p) slope_c x,  p = sigmoid((x - mean_c) / sqrt(variance_c + 1e-8))
//                                                                    (Zhou et al. 2018, DIN, eq. 3)
// Dice moves the bend to where the column's numbers are: in training by the batch's mean and
// variance (the gradient flows through them), in serving by running averages.
#pragma once

#include <string>
#include <vector>

#include "nn/batch_norm.h"
#include "nn/mat.h"
#include "nn/parameter.h"

namespace heed::nn {

enum class ActivationKind : uint8_t { kRelu, kPRelu, kDice };

struct ActivationTape {
  Matrix x;       // [B, C]: the input (PReLU, Dice) or the output (rectifier)
  NormTape norm;  // Dice
  Matrix p;       // [B, C], Dice
  Matrix d_z;     // scratch of the backward pass
};

class Activation {
 public:
  static constexpr float kDiceEpsilon = 1e-8f, kMomentum = 0.1f;

  Activation() = default;
  // Slopes start at 0.25 (PReLU) and 0 (Dice), as in the papers.
  Activation(const std::string& name, ActivationKind kind, size_t columns);

  // In place.
  void Forward(Phase phase, ActivationTape* tape, Mat x) const;
  // d [B, C]: the gradient of the output becomes that of the input, in place.
  void Backward(ActivationTape* tape, Mat d);
  // After a training step that counts: Dice's running statistics follow the batch's.
  void Track(const ActivationTape& tape);

  std::vector<Parameter*> Parameters();
  void AddBuffers(std::vector<Buffer>* all) {
    if (kind_ == ActivationKind::kDice) running.AddBuffers(name_, all);
  }
  ActivationKind kind() const { return kind_; }

  Parameter slope;           // [1, C]; the rectifier has none
  ColumnStatistics running;  // Dice only

 private:
  ActivationKind kind_ = ActivationKind::kRelu;
  std::string name_;
};

}  // namespace heed::nn
