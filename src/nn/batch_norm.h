// Batch normalisation (Ioffe & Szegedy 2015). Letters: B rows of the batch, C columns.
//   z = (x - mean) / sqrt(variance + epsilon)        y = scale z + shift
// In training, mean and variance are the batch's own, column by column, and the gradient flows
// through them; in serving they are running averages, so that a row's answer does not depend on the
// rows beside it. An empty batch is fine; a batch of one row has variance 0, so z = 0.
#pragma once

#include <string>
#include <vector>

#include "nn/mat.h"
#include "nn/parameter.h"

namespace heed::nn {

// Whether a pass uses (and later tracks) the batch's own statistics or the running ones.
enum class Phase : bool { kServe, kTrain };

// Numbers a layer keeps that no gradient moves; a model file carries them like weights.
struct Buffer {
  std::string name;
  Matrix* value = nullptr;
};

// Running mean and variance of columns: what both batch normalisation and Dice keep.
struct ColumnStatistics {
  Matrix mean;      // [1, C], starts at 0
  Matrix variance;  // [1, C], starts at 1

  ColumnStatistics() = default;
  explicit ColumnStatistics(size_t columns);
  void AddBuffers(const std::string& name, std::vector<Buffer>* all) {
    all->push_back({name + ".mean", &mean});
    all->push_back({name + ".variance", &variance});
  }
  // running += momentum (batch - running), with the unbiased variance (B - 1); rows of the batch B.
  void Track(const std::vector<float>& batch_mean, const std::vector<float>& batch_variance,
             size_t rows, float momentum);
};

struct NormTape {
  Phase phase = Phase::kServe;
  std::vector<float> mean, variance;  // [C], those used; of the batch, divided by B
  std::vector<float> inverse;         // [C]: 1 / sqrt(variance + epsilon)
  Matrix z;                           // [B, C]
};

// z = (x - mean) / sqrt(variance + epsilon) into tape->z. Statistics are summed in double.
void Standardise(ConstMat x, const ColumnStatistics& running, float epsilon, Phase phase,
                 NormTape* tape);
// d_x += the gradient of x, given the gradient d_z of tape.z.
void StandardiseBackward(const NormTape& tape, ConstMat d_z, Mat d_x);

class BatchNorm {
 public:
  static constexpr float kEpsilon = 1e-5f, kMomentum = 0.1f;

  BatchNorm() = default;
  BatchNorm(const std::string& name, size_t columns);  // scale 1, shift 0

  // x [B, C] -> y [B, C]; y may be x.
  void Forward(ConstMat x, Phase phase, NormTape* tape, Mat y) const;
  // d_x [B, C] is set; it may be d_y.
  void Backward(const NormTape& tape, ConstMat d_y, Mat d_x);
  // After a training step that counts: the running statistics follow the batch's.
  void Track(const NormTape& tape) {
    if (tape.phase == Phase::kTrain) {
      running.Track(tape.mean, tape.variance, tape.z.rows(), kMomentum);
    }
  }

  std::vector<Parameter*> Parameters() { return {&scale, &shift}; }
  void AddBuffers(std::vector<Buffer>* all) { running.AddBuffers(name_, all); }

  Parameter scale, shift;  // [1, C]
  ColumnStatistics running;

 private:
  std::string name_;
  Matrix d_z_;  // scratch of Backward
};

}  // namespace heed::nn
