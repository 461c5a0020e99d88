#include "nn/activation.h"

#include <algorithm>

#include "nn/linear.h"
#include "nn/loss.h"

namespace heed::nn {
namespace {

void Copy(ConstMat from, Matrix* to) {
  to->Resize(from.rows, from.cols);
  for (size_t i = 0; i < from.rows; ++i) std::copy_n(from.Row(i), from.cols, to->Row(i));
}

}  // namespace

Activation::Activation(const std::string& name, ActivationKind kind, size_t columns)
    : kind_(kind), name_(name) {
  if (kind == ActivationKind::kRelu) return;
  slope = {name + ".slope", 1, columns, false};
  slope.value.Fill(kind == ActivationKind::kPRelu ? 0.25f : 0.0f);
  if (kind == ActivationKind::kDice) running = ColumnStatistics(columns);
}

std::vector<Parameter*> Activation::Parameters() {
  return kind_ == ActivationKind::kRelu ? std::vector<Parameter*>() : std::vector{&slope};
}

void Activation::Forward(Phase phase, ActivationTape* tape, Mat x) const {
  if (kind_ == ActivationKind::kRelu) {
    ReluForward(x);
    Copy(x, &tape->x);
    return;
  }
  Copy(x, &tape->x);
  const float* a = slope.value.data();
  if (kind_ == ActivationKind::kPRelu) {
    for (size_t i = 0; i < x.rows; ++i) {
      float* row = x.Row(i);
      for (size_t j = 0; j < x.cols; ++j) row[j] = row[j] > 0.0f ? row[j] : a[j] * row[j];
    }
    return;
  }
  Standardise(x, running, kDiceEpsilon, phase, &tape->norm);
  tape->p.Resize(x.rows, x.cols);
  for (size_t i = 0; i < x.rows; ++i) {
    float *row = x.Row(i), *p = tape->p.Row(i);
    const float* z = tape->norm.z.Row(i);
    for (size_t j = 0; j < x.cols; ++j) {
      p[j] = Sigmoid(z[j]);
      row[j] *= p[j] + (1.0f - p[j]) * a[j];
    }
  }
}

void Activation::Backward(ActivationTape* tape, Mat d) {
  if (kind_ == ActivationKind::kRelu) return ReluBackward(tape->x.view(), d);
  const float* a = slope.value.data();
  float* d_slope = slope.grad.data();
  if (kind_ == ActivationKind::kPRelu) {
    for (size_t i = 0; i < d.rows; ++i) {
      float* row = d.Row(i);
      const float* x = tape->x.Row(i);
      for (size_t j = 0; j < d.cols; ++j) {
        if (x[j] > 0.0f) continue;
        d_slope[j] += row[j] * x[j];
        row[j] *= a[j];
      }
    }
    return;
  }
  tape->d_z.Resize(d.rows, d.cols);
  for (size_t i = 0; i < d.rows; ++i) {
    float *row = d.Row(i), *d_z = tape->d_z.Row(i);
    const float *x = tape->x.Row(i), *p = tape->p.Row(i);
    for (size_t j = 0; j < d.cols; ++j) {
      d_slope[j] += row[j] * (1.0f - p[j]) * x[j];
      d_z[j] = row[j] * x[j] * (1.0f - a[j]) * p[j] * (1.0f - p[j]);
      row[j] *= p[j] + (1.0f - p[j]) * a[j];
    }
  }
  StandardiseBackward(tape->norm, tape->d_z.view(), d);
}

void Activation::Track(const ActivationTape& tape) {
  if (kind_ != ActivationKind::kDice || tape.norm.phase != Phase::kTrain) return;
  running.Track(tape.norm.mean, tape.norm.variance, tape.norm.z.rows(), kMomentum);
}

}  // namespace heed::nn
