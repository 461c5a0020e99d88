#include "nn/batch_norm.h"

#include <algorithm>
#include <cmath>

namespace heed::nn {

ColumnStatistics::ColumnStatistics(size_t columns) : mean(1, columns), variance(1, columns) {
  variance.Fill(1.0f);
}

void ColumnStatistics::Track(const std::vector<float>& batch_mean,
                             const std::vector<float>& batch_variance, size_t rows,
                             float momentum) {
  if (rows == 0) return;
  const float unbiased = rows > 1 ? static_cast<float>(rows) / static_cast<float>(rows - 1) : 1.0f;
  for (size_t j = 0; j < mean.cols(); ++j) {
    mean.data()[j] += momentum * (batch_mean[j] - mean.data()[j]);
    variance.data()[j] += momentum * (unbiased * batch_variance[j] - variance.data()[j]);
  }
}

void Standardise(ConstMat x, const ColumnStatistics& running, float epsilon, Phase phase,
                 NormTape* tape) {
  const size_t B = x.rows, C = x.cols;
  tape->phase = phase;
  tape->z.Resize(B, C);
  if (phase == Phase::kTrain) {
    // Two passes: the variance of large numbers close together would cancel in one.
    std::vector<double> sum(C, 0.0);
    for (size_t i = 0; i < B; ++i) {
      const float* row = x.Row(i);
      for (size_t j = 0; j < C; ++j) sum[j] += static_cast<double>(row[j]);
    }
    const double share = B > 0 ? 1.0 / static_cast<double>(B) : 0.0;
    tape->mean.resize(C);
    for (size_t j = 0; j < C; ++j) tape->mean[j] = static_cast<float>(sum[j] * share);
    std::fill(sum.begin(), sum.end(), 0.0);
    for (size_t i = 0; i < B; ++i) {
      const float* row = x.Row(i);
      for (size_t j = 0; j < C; ++j) {
        const float d = row[j] - tape->mean[j];
        sum[j] += static_cast<double>(d * d);
      }
    }
    tape->variance.resize(C);
    for (size_t j = 0; j < C; ++j) tape->variance[j] = static_cast<float>(sum[j] * share);
  } else {
    tape->mean.assign(running.mean.data(), running.mean.data() + C);
    tape->variance.assign(running.variance.data(), running.variance.data() + C);
  }
  tape->inverse.resize(C);
  for (size_t j = 0; j < C; ++j) tape->inverse[j] = 1.0f / std::sqrt(tape->variance[j] + epsilon);
  for (size_t i = 0; i < B; ++i) {
    const float* row = x.Row(i);
    float* z = tape->z.Row(i);
    for (size_t j = 0; j < C; ++j) z[j] = (row[j] - tape->mean[j]) * tape->inverse[j];
  }
}

void StandardiseBackward(const NormTape& tape, ConstMat d_z, Mat d_x) {
  const size_t B = d_z.rows, C = d_z.cols;
  std::vector<float> mean_d(C, 0.0f), mean_dz(C, 0.0f);
  if (tape.phase == Phase::kTrain && B > 0) {
    std::vector<double> sum_d(C, 0.0), sum_dz(C, 0.0);
    for (size_t i = 0; i < B; ++i) {
      const float *d = d_z.Row(i), *z = tape.z.Row(i);
      for (size_t j = 0; j < C; ++j) {
        sum_d[j] += static_cast<double>(d[j]);
        sum_dz[j] += static_cast<double>(d[j] * z[j]);
      }
    }
    const double share = 1.0 / static_cast<double>(B);
    for (size_t j = 0; j < C; ++j) {
      mean_d[j] = static_cast<float>(sum_d[j] * share);
      mean_dz[j] = static_cast<float>(sum_dz[j] * share);
    }
  }
  for (size_t i = 0; i < B; ++i) {
    const float *d = d_z.Row(i), *z = tape.z.Row(i);
    float* out = d_x.Row(i);
    for (size_t j = 0; j < C; ++j) {
      out[j] += tape.inverse[j] * (d[j] - mean_d[j] - z[j] * mean_dz[j]);
    }
  }
}

BatchNorm::BatchNorm(const std::string& name, size_t columns)
    : scale(name + ".scale", 1, columns, false),
      shift(name + ".shift", 1, columns, false),
      running(columns),
      name_(name) {
  scale.value.Fill(1.0f);
}

void BatchNorm::Forward(ConstMat x, Phase phase, NormTape* tape, Mat y) const {
  Standardise(x, running, kEpsilon, phase, tape);
  for (size_t i = 0; i < x.rows; ++i) {
    const float* z = tape->z.Row(i);
    float* out = y.Row(i);
    for (size_t j = 0; j < x.cols; ++j) {
      out[j] = scale.value.data()[j] * z[j] + shift.value.data()[j];
    }
  }
}

void BatchNorm::Backward(const NormTape& tape, ConstMat d_y, Mat d_x) {
  const size_t C = d_y.cols;
  d_z_.Resize(d_y.rows, C);
  for (size_t i = 0; i < d_y.rows; ++i) {
    const float *d = d_y.Row(i), *z = tape.z.Row(i);
    float* out = d_z_.Row(i);
    for (size_t j = 0; j < C; ++j) {
      scale.grad.data()[j] += d[j] * z[j];
      shift.grad.data()[j] += d[j];
      out[j] = d[j] * scale.value.data()[j];
    }
  }
  for (size_t i = 0; i < d_x.rows; ++i) std::fill(d_x.Row(i), d_x.Row(i) + C, 0.0f);
  StandardiseBackward(tape, d_z_.view(), d_x);
}

}  // namespace heed::nn
